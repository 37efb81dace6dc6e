# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: public_specs
short_description: Instance specs without the values of the environment
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - An inventory may put a token into C(env) of a deployment. Names are kept, so that a plan shows what is set;
    values are kept only where they are the collection's own.
options:
  _input:
    description: What P(gpufleet.vllm.instance_specs#filter) returned.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the specs
  ansible.builtin.debug:
    msg: "{{ gpufleet_specs | gpufleet.vllm.public_specs }}"
"""

RETURN = r"""
_value:
  description: The specs.
  type: list
  elements: dict
"""

from ..module_utils._planner.inventory.specs import DEVICE_ENV, OFFLINE_ENV

HIDDEN = "(hidden)"
OURS = {pair for env in (OFFLINE_ENV, *DEVICE_ENV.values()) for pair in env.items()}


def public_specs(specs):
    return [{**spec, "env": _names(spec["env"])} if "env" in spec else spec for spec in specs]


def _names(env):
    return {name: value if (name, value) in OURS else HIDDEN for name, value in env.items()}


class FilterModule:
    def filters(self):
        return {"public_specs": public_specs}
