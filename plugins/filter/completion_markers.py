# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: completion_markers
short_description: Files that tell which runtimes and models are complete on a host already
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Lists the completion markers of all that the deployments need, for O(gpufleet.vllm.host_info#module:markers).
options:
  _input:
    description: What P(gpufleet.vllm.merge_deployments#filter) returned.
    type: list
    elements: dict
    required: true
  models:
    description: By name of the deployment, what M(gpufleet.vllm.model_info) returned as C(model).
    type: dict
    default: {}
  webui_marker:
    description: Completion marker of Open-WebUI's runtime, empty where none is to run.
    type: str
    default: ""
  runtimes_dir:
    description: Folder of the runtimes on the host.
    type: str
    default: /opt/gpufleet/runtimes
  models_dir:
    description: Folder of the model store on the host.
    type: str
    default: /var/lib/gpufleet/models
"""

EXAMPLES = r"""
- name: Read the host
  gpufleet.vllm.host_info:
    markers: "{{ gpufleet_deployments | gpufleet.vllm.completion_markers(models=gpufleet_models) }}"
  register: host
"""

RETURN = r"""
_value:
  description: Paths.
  type: list
  elements: str
"""

from ..module_utils._preflight_wants import markers


def completion_markers(
    deployments,
    models=None,
    webui_marker="",
    runtimes_dir="/opt/gpufleet/runtimes",
    models_dir="/var/lib/gpufleet/models",
):
    return markers(deployments, models or {}, webui_marker or None, runtimes_dir, models_dir)


class FilterModule:
    def filters(self):
        return {"completion_markers": completion_markers}
