# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_models
short_description: The models that the deployments of hosts name
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Reads the inventory alone, so also of hosts that C(--limit) leaves out.
  - Fails with C(inventory.unknown_models) where it cannot be known what a host wants, so that nothing is removed then.
options:
  _input:
    description: Variables of the hosts.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: See what the fleet wants
  ansible.builtin.debug:
    msg: "{{ groups['gpu_hosts'] | map('extract', hostvars) | gpufleet.vllm.fleet_models }}"
"""

RETURN = r"""
_value:
  description: Each with C(id), C(revision), C(source) and C(path), as deployments have them.
  type: list
  elements: dict
"""

import re

from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.merge import merge_deployments

_NAMES = re.compile(r"vllm_deployments(__\w+)?$")


def fleet_models(hosts):
    found = []
    for host in hosts:
        try:
            variables = {name: host[name] for name in host if _NAMES.match(name)}
            deployments = merge_deployments(
                variables,
                port_base=int(host.get("vllm_port_base", 8000)),
                device=str(host.get("vllm_device", "cuda")),
            )
        except Exception as error:
            # Whatever it is: an undefined variable, a wrong type, a vault without its password.
            problem = Problem(
                "inventory.unknown_models",
                host.get("inventory_hostname", "a host"),
                "its deployments cannot be read: %s" % " ".join(str(error).split())[:300],
                "Correct them first: a store that it shares must not lose its models",
            )
            raise AnsibleFilterError(str(problem)) from error
        found += [each["model"] for each in deployments if each["state"] != "absent" and each["model"] not in found]
    return found


class FilterModule:
    def filters(self):
        return {"fleet_models": fleet_models}
