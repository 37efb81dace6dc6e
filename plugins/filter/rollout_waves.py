# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_waves
short_description: The wave in which each host is changed
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - The first host that asks for no wave is the canary, unless a host asks to be the canary; all others are in V(main).
options:
  _input:
    description: Hosts in inventory order.
    type: list
    elements: str
    required: true
  chosen:
    description:
      - By host, the wave it asks for, V(canary), V(early) or V(main). A host that asks for none is left out or empty.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the waves
  ansible.builtin.debug:
    msg: "{{ ['gpu1', 'gpu2', 'gpu3'] | gpufleet.vllm.rollout_waves({'gpu3': 'early'}) }}"
    # -> {"gpu1": "canary", "gpu2": "main", "gpu3": "early"}
"""

RETURN = r"""
_value:
  description: By host, its wave.
  type: dict
"""


def rollout_waves(hosts, chosen=None):
    waves = {host: (chosen or {}).get(host) for host in hosts}
    if "canary" not in waves.values():
        first = next((host for host, wave in waves.items() if not wave), None)
        if first is not None:
            waves[first] = "canary"
    return {host: wave or "main" for host, wave in waves.items()}


class FilterModule:
    def filters(self):
        return {"rollout_waves": rollout_waves}
