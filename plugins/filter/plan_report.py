# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_report
short_description: The plan of a host as text for people
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - One block for each instance, with where it listens, its memory by part, and every setting with its value, its source
    and the reason.
options:
  _input:
    description: The answer of P(gpufleet.vllm.vllm_plan#filter).
    type: dict
    required: true
  specs:
    description: What P(gpufleet.vllm.instance_specs#filter) returned.
    type: list
    elements: dict
    required: true
  host:
    description: The host's name in the inventory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ gpufleet_plan | gpufleet.vllm.plan_report(gpufleet_specs, inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from ..module_utils._plan_report import report


def plan_report(plan, specs, host):
    return report(plan, specs, host)


class FilterModule:
    def filters(self):
        return {"plan_report": plan_report}
