# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_status
short_description: What a host is at, as a table
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Models that are there or on their way with bytes, rate and time left, and instances with their state.
options:
  _input:
    description: What M(gpufleet.vllm.model_store_info) returned.
    type: dict
    required: true
  instances:
    description: What M(gpufleet.vllm.instance_info) returned for each instance, with C(item) as its name.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ store | gpufleet.vllm.fleet_status(instances=looked.results) }}"
"""

RETURN = r"""
_value:
  description: Lines of the table.
  type: list
  elements: str
"""

from ..plugin_utils._fleet_status import table


def fleet_status(store, instances=None):
    found = [
        {
            "name": each["item"],
            "state": each.get("state", "unknown"),
            "cause": (each.get("failure") or {}).get("code", ""),
        }
        for each in instances or []
    ]
    return table(store, found)


class FilterModule:
    def filters(self):
        return {"fleet_status": fleet_status}
