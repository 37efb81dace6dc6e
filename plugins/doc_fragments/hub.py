# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that say where a model comes from."""

    DOCUMENTATION = r"""
options:
  id:
    description:
      - Name of the model at the hub, as C(organisation/name).
    type: str
  revision:
    description:
      - Branch, tag or commit. It is resolved to a commit, which is returned.
      - Without it the hub's default branch is taken, C(main) at Hugging Face and C(master) at ModelScope.
      - The same model has different commits at different hubs.
    type: str
  endpoints:
    description:
      - For each source a ranked list of URLs. The next one is tried where one cannot be reached.
      - C(file:///dir) is a folder with snapshots of this collection, such as a model store or a copy of one.
      - The default is C(https://huggingface.co), then C(https://hf-mirror.com), and C(https://modelscope.cn).
    type: dict
    default: {}
  tokens:
    description:
      - For each source the access token of private and gated models.
      - It goes to the endpoints that O(endpoints) names for the source, or without them to the source's own hub; never
        to a default mirror, nor to another host that a hub redirects to.
    type: dict
    default: {}
  timeout:
    description:
      - Longest silence of a server in seconds. This is no limit for a whole download.
    type: int
    default: 60
"""
