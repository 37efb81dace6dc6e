#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_plan
short_description: Plan vLLM's settings for the deployments of a host
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Computes every setting of each deployment from the GPUs, the host and the model, with the memory by part and the
    reason of each value.
  - Nothing is read from the host and nothing is changed; the request holds all there is to know.
options:
  request:
    description:
      - The request. It needs C(vllm_version), C(gpus) (may be empty) and C(deployments), each with C(name) and
        C(model.config). An unknown key is an error.
    type: dict
    required: true
  fail_on_infeasible:
    description:
      - Whether a deployment that cannot be planned fails the task. When V(false) the reasons stand in RV(plan.errors).
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return the same as in a real run, for it changes nothing.
  diff_mode:
    support: full
    description: Nothing changes, so the difference is always empty.
  platform:
    support: full
    platforms: posix
    description: Target operating system.
seealso:
  - plugin: gpufleet.vllm.vllm_plan
    plugin_type: filter
  - module: gpufleet.vllm.gpu_facts
  - module: gpufleet.vllm.model_info
"""

EXAMPLES = r"""
- name: Plan one deployment on the GPUs of this host
  gpufleet.vllm.vllm_plan:
    request:
      vllm_version: 0.32.0
      gpus: "{{ ansible_facts['gpufleet']['gpus'] }}"
      deployments:
        - name: qwen3-4b
          model:
            id: Qwen/Qwen3-4B
            config: "{{ found.model.config }}"
            tensors: "{{ found.model.tensors }}"
          workload:
            max_model_len: 16384
            concurrency: 16
  register: planned

- name: Show what would not fit, without failing
  gpufleet.vllm.vllm_plan:
    request: "{{ request }}"
    fail_on_infeasible: false
  register: planned
"""

RETURN = r"""
plan:
  description: The answer.
  returned: when the request is valid
  type: dict
  contains:
    schema:
      description: Version of this structure.
      type: int
      sample: 1
    instances:
      description: One entry for each deployment that can run.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the deployment.
          type: str
        device:
          description: V(cuda) or V(cpu).
          type: str
        vllm_version:
          description: Release that was planned for.
          type: str
        fingerprint:
          description: Digest of all that the memory of the engine depends on; measured figures carry it.
          type: str
        env:
          description: What the environment of the unit needs.
          type: dict
        settings:
          description: What vLLM's configuration file needs, by long argument name.
          type: dict
        gpu_uuids:
          description: The GPUs it gets.
          type: list
          elements: str
        gpu_indices:
          description: The same by index.
          type: list
          elements: int
        memory:
          description: Memory of the first GPU, or of the host, by part in bytes.
          type: dict
        kv:
          description: Blocks, tokens and full-length requests that the KV cache holds.
          type: dict
        ranks:
          description: Memory of the other GPUs where it differs from the first one's.
          type: list
          elements: dict
        decisions:
          description: Each setting with C(value), C(source) (V(user), V(computed) or V(default)) and C(reason).
          type: list
          elements: dict
        warnings:
          description: What deserves attention.
          type: list
          elements: str
    warnings:
      description: What deserves attention and concerns no single deployment.
      type: list
      elements: str
    errors:
      description:
        - What cannot run, with C(code), C(deployment), C(message), C(needed_bytes), C(available_bytes) and C(remedies).
      type: list
      elements: dict
code:
  description: Stable code of the error.
  returned: failure
  type: str
  sample: plan.does_not_fit
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._planner.errors import InvalidRequest
from ..module_utils._planner.plan import plan


def main():
    module = AnsibleModule(
        argument_spec={
            "request": {"type": "dict", "required": True},
            "fail_on_infeasible": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        answer = plan(module.params["request"])
    except InvalidRequest as error:
        module.fail_json(msg="[%s] %s" % (error.code, error), code=error.code)
    if answer["errors"] and module.params["fail_on_infeasible"]:
        messages = [" ".join(["[%s] %s" % (e["code"], e["message"])] + e["remedies"]) for e in answer["errors"]]
        module.fail_json(msg="\n".join(messages), code=answer["errors"][0]["code"], plan=answer)
    for text in answer["warnings"]:
        module.warn(text)
    for instance in answer["instances"]:
        for text in instance["warnings"]:
            module.warn("%s: %s" % (instance["name"], text))
    module.exit_json(changed=False, plan=answer)


if __name__ == "__main__":
    main()
