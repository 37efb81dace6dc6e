# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: bind_address
short_description: The address on which a host's engines listen
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - V(127.0.0.1) while nobody outside the host needs the engines, that is while no Open-WebUI runs on another host.
  - Otherwise O(explicit), or else O(default_ipv4) if that is a private address. A public address is never chosen.
options:
  _input:
    description: The host.
    type: str
    required: true
  webui_hosts:
    description: Hosts with an Open-WebUI.
    type: list
    elements: str
    required: true
  explicit:
    description: What the inventory asks for (C(vllm_bind_address)). It always wins.
    type: str
    default: ""
  default_ipv4:
    description: The host's address toward its default route.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show where the engines of gpu1 listen
  ansible.builtin.debug:
    msg: "{{ 'gpu1' | gpufleet.vllm.bind_address(['web1'], default_ipv4='10.0.0.11') }}"  # -> 10.0.0.11
"""

RETURN = r"""
_value:
  description: An IP address.
  type: str
"""

from ansible.errors import AnsibleFilterError

from ..module_utils._errors import Problem
from ..module_utils._preflight_inventory import choose_bind_address


def bind_address(host, webui_hosts, explicit="", default_ipv4=""):
    try:
        return choose_bind_address(host, webui_hosts, explicit, default_ipv4)
    except Problem as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self):
        return {"bind_address": bind_address}
