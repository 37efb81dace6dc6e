# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: inventory_problems
short_description: What is wrong with the inventory of a host, before the host is asked anything
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Checks types and values of the collection's variables, merges the deployments to see whether they agree, and
    compares their engine arguments with what the release knows.
  - Values of secrets never appear in the answer.
options:
  _input:
    description: The collection's variables that the host sees, by name.
    type: dict
    required: true
  host:
    description: The host's name in the inventory.
    type: str
    required: true
  deployments:
    description: Whether the host runs deployments, that is whether they are checked too.
    type: bool
    default: true
  webui_hosts:
    description: Hosts with an Open-WebUI, which must reach the engines.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show what is wrong
  ansible.builtin.debug:
    msg: "{{ {'vllm_device': 'rocm'} | gpufleet.vllm.inventory_problems('gpu1') | map(attribute='message') }}"
"""

RETURN = r"""
_value:
  description: One entry for each problem, with C(code), C(host) and C(message), a line for a person.
  type: list
  elements: dict
"""

from ..module_utils._deployment_problems import deployment_problems
from ..module_utils._preflight import named
from ..module_utils._preflight_inventory import as_port, bind_problem, inventory_problems


def problems_of(variables, host, deployments=True, webui_hosts=()):
    problems = inventory_problems(variables)
    if deployments:
        if variables.get("vllm_bind_address"):
            problems.append(bind_problem(host, webui_hosts, variables["vllm_bind_address"], None))
        problems += deployment_problems(variables, as_port(variables.get("vllm_port_base")) or 8000)
    return [named(host, problem) for problem in problems if problem is not None]


class FilterModule:
    def filters(self):
        return {"inventory_problems": problems_of}
