# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: described_host
short_description: Facts of a host that is described in the inventory
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Turns the variable C(gpufleet_described_host) into what M(gpufleet.vllm.host_info), M(gpufleet.vllm.gpu_facts) and
    M(gpufleet.vllm.model_info) would answer of such a host, so that C(playbooks/plan.yml) plans for hardware that is
    not there yet.
  - What is not described is as the roles want it.
options:
  _input:
    description:
      - C(gpus), a list of C(card) (a name such as V(RTX 4090)) with C(count), C(display), C(held_mib) and C(nvlink);
        C(driver_version), C(memory_gib), C(cpus), C(os) (C(id), C(version)), C(default_ipv4); C(models), by name of the
        deployment, with C(config), C(weights_bytes) and C(tensors).
    type: dict
    required: true
  deployments:
    description: What P(gpufleet.vllm.merge_deployments#filter) returned.
    type: list
    elements: dict
    default: []
  paths:
    description: Folders whose space will be judged.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at a card that is not bought yet
  ansible.builtin.debug:
    msg: "{{ {'gpus': [{'card': 'RTX 5090'}]} | gpufleet.vllm.described_host }}"
"""

RETURN = r"""
_value:
  description: C(host), C(gpu), and C(models) by name of the deployment.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest, InventoryError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.described import described_host
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.values import plain


def described(description, deployments=(), paths=()):
    """See DOCUMENTATION."""
    try:
        return described_host(plain(description), plain(list(deployments)), [str(path) for path in paths])
    except InventoryError as error:
        raise AnsibleFilterError(str(error)) from error
    except InvalidRequest as error:
        raise AnsibleFilterError("[%s] %s" % (error.code, error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"described_host": described}
