# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fetch_jobs
short_description: What a host fetches with the help of its neighbours
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - For each row of P(gpufleet.vllm.fetch_plan#filter) in which the host lacks the commit, the options of
    M(gpufleet.vllm.model_snapshot).
options:
  _input:
    description: The C(rows) of P(gpufleet.vllm.fetch_plan#filter).
    type: list
    elements: dict
    required: true
  host:
    description: Variables of the host.
    type: dict
    required: true
  ports:
    description: By name of the host the port on which it serves. Who is not named here is left out.
    type: dict
    required: true
  run:
    description: Name of the run.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See what this host fetches
  ansible.builtin.debug:
    msg: "{{ gpufleet_fetch.rows | gpufleet.vllm.fetch_jobs(hostvars[inventory_hostname], ports, run) }}"
"""

RETURN = r"""
_value:
  description: Each with C(id), C(revision), C(source), C(sources), C(bytes), and C(peers) without the token.
  type: list
  elements: dict
"""

from ..module_utils._peer_plan import jobs


def fetch_jobs(rows, host, ports, run):
    return jobs(rows, host, ports, run)


class FilterModule:
    def filters(self):
        return {"fetch_jobs": fetch_jobs}
