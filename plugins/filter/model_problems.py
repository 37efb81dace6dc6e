# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: model_problems
short_description: Why models could not be read
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Picks the failures with a stable code out of the results of a loop over M(gpufleet.vllm.model_info).
options:
  _input:
    description: The C(results) of the loop.
    type: list
    elements: dict
    required: true
  host:
    description: The host's name in the inventory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what went wrong
  ansible.builtin.debug:
    msg: "{{ models.results | gpufleet.vllm.model_problems(inventory_hostname) | map(attribute='message') }}"
"""

RETURN = r"""
_value:
  description: One entry for each problem, with C(code), C(host) and C(message), a line for a person.
  type: list
  elements: dict
"""

from ..module_utils._preflight import line


def problems_of(results, host):
    return [line(host, result["code"], result["msg"]) for result in results if result.get("code")]


class FilterModule:
    def filters(self):
        return {"model_problems": problems_of}
