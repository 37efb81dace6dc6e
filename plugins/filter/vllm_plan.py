# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vllm_plan
short_description: Plan vLLM's settings for the deployments of a host
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Computes every setting of each deployment, its memory by part and the reason of each value, on the control node.
  - What cannot be planned stands in C(errors) of the answer; only an invalid request raises.
options:
  _input:
    description: The request; see C(docs/planner.md).
    type: dict
    required: true
seealso:
  - module: gpufleet.vllm.vllm_plan
"""

EXAMPLES = r"""
- name: Plan this host
  ansible.builtin.set_fact:
    gpufleet_plan: "{{ request | gpufleet.vllm.vllm_plan }}"
  vars:
    request:
      vllm_version: 0.32.0
      gpus: []
      runtime: {device: cpu}
      host: {memory_bytes: 25769803776}
      deployments:
        - name: qwen3-4b
          model: {id: Qwen/Qwen3-4B, config: "{{ model.config }}"}
"""

RETURN = r"""
_value:
  description: The answer, with C(instances), C(warnings) and C(errors).
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan


def vllm_plan(request):
    """See DOCUMENTATION."""
    try:
        return plan(request)
    except InvalidRequest as error:
        raise AnsibleFilterError("[%s] %s" % (error.code, error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"vllm_plan": vllm_plan}
