# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_artifact
short_description: What is kept of the plan of a host
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Joins the plan with the GPUs that it is about, what else would fit beside it, the problems of the host, and what
    the engines measured at their last start.
options:
  _input:
    description: The answer of P(gpufleet.vllm.vllm_plan#filter).
    type: dict
    required: true
  request:
    description: The request that it answers.
    type: dict
    required: true
  host:
    description: The host's name in the inventory.
    type: str
    required: true
  specs:
    description: What P(gpufleet.vllm.public_specs#filter) returned; no value of an environment stands in it.
    type: list
    elements: dict
    default: []
  problems:
    description: Problems of the host, with C(code), C(host) and C(message).
    type: list
    elements: dict
    default: []
  instances:
    description: C(instances) of M(gpufleet.vllm.host_info), of which C(measured) is read.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show what else would fit
  ansible.builtin.debug:
    msg: "{{ (gpufleet_plan | gpufleet.vllm.plan_artifact(request, inventory_hostname)).besides }}"
"""

RETURN = r"""
_value:
  description: The artifact, with C(schema), C(host), C(gpus), C(plan), C(specs), C(besides), C(problems), C(compared).
  type: dict
"""

from ansible_collections.gpufleet.vllm.plugins.module_utils import _engine_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.artifact import artifact


def plan_artifact(plan, request, host, specs=(), problems=(), instances=()):
    """See DOCUMENTATION."""
    found = {entry["name"]: (entry.get("measured") or {}).get("measured") for entry in instances}
    compared = {
        entry["name"]: _engine_memory.compare(_engine_memory.predicted(entry), found[entry["name"]])
        for entry in plan["instances"]
        if found.get(entry["name"])
    }
    return artifact(host, plan, request, specs, problems, compared)


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"plan_artifact": plan_artifact}
