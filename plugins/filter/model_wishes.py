# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: model_wishes
short_description: The models that instances want, for the role model_store
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Lists the model of every instance once. Its source is the one that the plan found, followed by the other sources of
    the deployment, which stand in where that one has lost a file.
options:
  _input:
    description: What P(gpufleet.vllm.instance_specs#filter) returned.
    type: list
    elements: dict
    required: true
  deployments:
    description: What P(gpufleet.vllm.merge_deployments#filter) returned.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Have the models
  ansible.builtin.include_role:
    name: gpufleet.vllm.model_store
  vars:
    model_store_snapshots: "{{ gpufleet_specs | gpufleet.vllm.model_wishes(gpufleet_deployments) }}"
"""

RETURN = r"""
_value:
  description: Models, as the role takes them.
  type: list
  elements: dict
"""


def model_wishes(specs, deployments):
    ranked = {each["name"]: each.get("model", {}).get("source") or [] for each in deployments}
    wishes = []
    for spec in specs:
        model = spec.get("model")
        if not model:
            continue
        others = [each for each in ranked.get(spec["name"], []) if each not in (model["source"], "path")]
        wish = {**model, "source": [model["source"], *([] if model["source"] == "path" else others)]}
        if wish not in wishes:
            wishes.append(wish)
    return wishes


class FilterModule:
    def filters(self):
        return {"model_wishes": model_wishes}
