# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: chat_backends
short_description: Where a chat page finds the engines of all hosts
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Lists the base URL of every engine that is to run, in the order of the hosts and deployments, each with the key.
options:
  _input:
    description:
      - Variables of the hosts with engines, each with C(gpufleet_specs), C(gpufleet_host) and C(gpufleet_api_key).
      - The key is each host's own - hosts of one inventory may be given different ones.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Connect the chat page
  ansible.builtin.include_role:
    name: gpufleet.vllm.open_webui
  vars:
    open_webui_backends: >-
      {{ groups['gpu_hosts'] | map('extract', hostvars) | gpufleet.vllm.chat_backends }}
"""

RETURN = r"""
_value:
  description: One entry for each engine, with C(url) and C(key).
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError

ANY = ("0.0.0.0", "::")  # noqa: S104  (compared with, not bound to)


def chat_backends(hosts):
    backends = []
    for host in hosts:
        if "gpufleet_specs" not in host:
            raise AnsibleFilterError(
                "[inventory.limited] %s: the chat page wants the addresses of all engines. "
                "This run left this host out. "
                "Run again without --limit, or with a limit that holds all hosts with engines."
                % host.get("inventory_hostname", "a host")
            )
        for spec in host["gpufleet_specs"]:
            if spec["state"] == "present":
                address = host["gpufleet_host"]["default_ipv4"] if spec["host"] in ANY else spec["host"]
                address = "[%s]" % address if ":" in address else address
                backends.append({"url": "http://%s:%d/v1" % (address, spec["port"]), "key": host["gpufleet_api_key"]})
    return backends


class FilterModule:
    def filters(self):
        return {"chat_backends": chat_backends}
