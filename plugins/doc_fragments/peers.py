# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The option that says which hosts of the play give each other a model."""

    DOCUMENTATION = r"""
options:
  peers:
    description:
      - Other hosts that want this commit or have it, and serve it with M(gpufleet.vllm.model_peer) in this play. Files
        come from them as far as possible, each verified as if it came from the hub, and the hub is asked for what none
        of them has. Filter P(gpufleet.vllm.fetch_jobs#filter) makes it.
      - With it no hub is asked for a file list, and O(revision) must be a commit.
    type: dict
    suboptions:
      run:
        description: Name of the run, as given to M(gpufleet.vllm.model_peer).
        type: str
        required: true
      token:
        description: Token of the run.
        type: str
        required: true
      me:
        description: Place of this host in O(peers.members), from 0.
        type: int
        required: true
      roots:
        description: So many of the first members have the commit already, or fetch it from the hub.
        type: int
        default: 1
      members:
        description: All hosts that take part, each with C(name), C(address) and C(port), in the order of the inventory.
        type: list
        elements: dict
        required: true
      listing:
        description: The file list, with C(source), C(endpoint), C(requested_revision), C(revision) and C(files).
        type: dict
        required: true
"""
