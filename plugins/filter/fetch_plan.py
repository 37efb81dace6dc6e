# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fetch_plan
short_description: Who fetches which model from whom
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Puts the hosts that want or have the same commit of a model into a row, in the order of the inventory, so that one
    of them fetches it from the hub and each of the others takes it from one before it.
  - A commit that only one host wants, or that all have, needs no row. A host without a private address is in none,
    and its C(lines) say so.
options:
  _input:
    description:
      - Variables of all hosts of the play, with C(gpufleet_specs), C(gpufleet_models) and C(gpufleet_host).
    type: list
    elements: dict
    required: true
  seed:
    description: Host that fetches from the hub where nobody has the commit, if it wants it. Else it is the first.
    type: str
    default: ""
  outside:
    description:
      - C(name) and C(address) of a host that wants no model itself, such as the control node. It fetches what nobody
        has, for all others, even for a single one.
    type: dict
"""

EXAMPLES = r"""
- name: See who fetches from whom
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | map('extract', hostvars) | gpufleet.vllm.fetch_plan }}"
"""

RETURN = r"""
_value:
  description:
    - C(rows), each with C(id), C(revision), C(source), C(bytes) and C(hosts); and C(hosts), by name what it C(serves)
      and C(lines) for people.
  type: dict
"""

from ..module_utils._peer_plan import plan


def fetch_plan(hosts, seed="", outside=None):
    return plan(list(hosts), seed, outside)


class FilterModule:
    def filters(self):
        return {"fetch_plan": fetch_plan}
