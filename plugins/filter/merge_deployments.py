# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_deployments
short_description: Merge, check and complete the deployments of a host
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Merges the lists of C(vllm_deployments) and every C(vllm_deployments__<anything>) by name, checks keys, types,
    names and ports, and fills in the defaults.
  - C(vllm_deployments) has the lowest rank. The others rank equal; where two of them give one key different values,
    that is an error.
  - Without any such variable the default deployment (Qwen3-4B) is returned. Entries with C(state=ignore) are left out.
options:
  _input:
    description: Variable names and their values; other variables are ignored.
    type: dict
    required: true
  port_base:
    description: First port for deployments that name none.
    type: int
    default: 8000
  version:
    description: vLLM release for deployments that name none.
    type: str
    default: 0.32.0
  device:
    description: V(cuda) or V(cpu), for deployments that name none.
    type: str
    default: cuda
  held:
    description:
      - Instances on the host, what M(gpufleet.vllm.host_info) returned as C(instances). A deployment that names no port
        keeps the one it has there.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Merge the deployments of this host
  ansible.builtin.set_fact:
    gpufleet_deployments: "{{ variables | gpufleet.vllm.merge_deployments(port_base=8000, device='cpu') }}"
  vars:
    variables:
      vllm_deployments: "{{ vllm_deployments }}"
      vllm_deployments__team: "{{ vllm_deployments__team }}"
"""

RETURN = r"""
_value:
  description: Complete deployments, sorted by name.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InventoryError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.merge import (
    DEFAULT_VERSION,
    merge_deployments,
)


def merge(variables, port_base=8000, version=DEFAULT_VERSION, device="cuda", held=()):
    """See DOCUMENTATION."""
    try:
        return merge_deployments(variables, port_base=port_base, version=str(version), device=str(device), held=held)
    except InventoryError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"merge_deployments": merge}
