# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_request
short_description: Put the planner's request together from what the modules found
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Joins the deployments, the models and the facts of a host into the request of P(gpufleet.vllm.vllm_plan#filter).
  - Deployments with C(state=absent) are left out.
options:
  _input:
    description: What P(gpufleet.vllm.merge_deployments#filter) returned.
    type: list
    elements: dict
    required: true
  models:
    description: By name of the deployment, the model that was found (C(config), C(weights_bytes), C(tensors)).
    type: dict
    required: true
  host:
    description: What M(gpufleet.vllm.host_info) returned as C(host).
    type: dict
    required: true
  gpu_facts:
    description: What M(gpufleet.vllm.gpu_facts) found (C(gpus), C(driver_version), C(reason), C(remedy)).
    type: dict
    default: {}
  device:
    description: V(cuda) or V(cpu), for deployments that name none.
    type: str
    default: cuda
"""

EXAMPLES = r"""
- name: Plan this host
  ansible.builtin.set_fact:
    gpufleet_plan: >-
      {{ gpufleet_deployments
         | gpufleet.vllm.plan_request(models=gpufleet_models, host=gpufleet_host, device='cpu')
         | gpufleet.vllm.vllm_plan }}
"""

RETURN = r"""
_value:
  description: The request.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.compose import build_request
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.values import plain


def plan_request(deployments, models, host, gpu_facts=None, device="cuda"):
    """See DOCUMENTATION."""
    try:
        return build_request(plain(deployments), plain(models), plain(host), plain(gpu_facts), str(device))
    except InvalidRequest as error:
        raise AnsibleFilterError("[%s] %s" % (error.code, error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"plan_request": plan_request}
