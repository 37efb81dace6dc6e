#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_info
short_description: Read what a model is, without downloading it
version_added: "1.0.0"
author:
  - gpufleet contributors (@gpufleet)
description:
  - Reads commit, file list with hashes, configuration and the headers of the weights of a model from Hugging Face,
    ModelScope, a mirror of one of them, or a directory of the host.
  - Reads a few hundred kilobytes whatever the model's size.
  - With O(store) a model that M(gpufleet.vllm.model_snapshot) put there is read from there, and no hub is asked.
extends_documentation_fragment:
  - gpufleet.vllm.hub
options:
  source:
    description:
      - Where to look, the first that has the model wins. V(path) stands alone and reads O(path).
    type: list
    elements: str
    choices: [huggingface, modelscope, path]
    default: [modelscope, huggingface]
  path:
    description:
      - Directory of the model on the host, for O(source=path).
    type: path
  store:
    description:
      - Directory of all models on the host. Without it a hub is asked in every case.
      - A commit that lies there with all its files is read from there.
      - Without O(revision) the model stays what the store holds of it, which is the snapshot that came last, from
        whichever O(source). A hub is asked only where the store holds nothing of the model, or to repair a damaged
        snapshot.
      - A branch or tag is asked for in every case.
    type: path
  read_tensors:
    description:
      - Whether to read names, types and shapes of all tensors from the headers of the safetensors files.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode and says truthfully what it would do.
    support: full
  diff_mode:
    description: Shows what changes, or would change, in diff mode.
    support: N/A
    details:
      - Changes nothing.
  platform:
    description: Target operating system families.
    platforms: linux
    support: full
seealso:
  - module: gpufleet.vllm.model_snapshot
"""

EXAMPLES = r"""
- name: Read a model from ModelScope, or from Hugging Face if that does not answer
  gpufleet.vllm.model_info:
    id: Qwen/Qwen3-4B
    source: [modelscope, huggingface]
  register: result

- name: Read a model that lies on the host
  gpufleet.vllm.model_info:
    source: path
    path: /srv/models/qwen3-4b
  register: result

- name: Read a model, from the host if it is there
  gpufleet.vllm.model_info:
    id: Qwen/Qwen3-4B
    store: /var/lib/gpufleet/models
  register: result

- name: Read a gated model through a mirror
  gpufleet.vllm.model_info:
    id: meta-llama/Llama-3.1-8B-Instruct
    source: huggingface
    endpoints:
      huggingface: [https://hub.example.org]
    tokens:
      huggingface: "{{ hub_token }}"
  register: result
"""

RETURN = r"""
model:
  description: What is known of the model.
  returned: success
  type: dict
  contains:
    id:
      description: Name of the model; for O(source=path) without O(id) the name of the directory.
      type: str
      returned: success
      sample: Qwen/Qwen3-4B
    source:
      description: The source that had it.
      type: str
      returned: success
      sample: modelscope
    endpoint:
      description: The endpoint that answered. Null for O(source=path).
      type: str
      returned: success
      sample: https://modelscope.cn
    path:
      description: The directory, for O(source=path).
      type: str
      returned: success
    requested_revision:
      description: The revision that was asked for, or the default branch of the source.
      type: str
      returned: success
      sample: master
    revision:
      description:
        - The commit. For O(source=path) the commit if M(gpufleet.vllm.model_snapshot) made the directory, otherwise a
          hash over names, sizes and modification times of its files.
      type: str
      returned: success
      sample: 1cfa9a7208912126459214e8b04321603b3df60c
    in_store:
      description: Whether the answer was read from O(store), without a hub.
      type: bool
      returned: success
    files:
      description: Every file with its path, its size in bytes, and its C(sha256) or C(git_sha1).
      type: list
      elements: dict
      returned: success
      contains:
        path:
          description: Path below the model's directory.
          type: str
          returned: success
        size:
          description: Size in bytes.
          type: int
          returned: success
    total_bytes:
      description: Size of all files in bytes.
      type: int
      returned: success
      sample: 8060855808
    weights_bytes:
      description: Size in bytes of the files an engine loads as weights.
      type: int
      returned: success
      sample: 8044982000
    config:
      description: Content of C(config.json).
      type: dict
      returned: success
    generation_config:
      description: Content of C(generation_config.json), or null.
      type: dict
      returned: success
    tensors:
      description: For each tensor its C(dtype) and C(shape). Null where the weights are no safetensors or too many.
      type: dict
      returned: success
code:
  description: Stable code of the error.
  returned: failure
  type: str
  sample: model.not_found
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._errors import Problem
from ..module_utils._hub._info import read_model
from ..module_utils._hub._snapshot import Wish


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str"},
            "source": {
                "type": "list",
                "elements": "str",
                "choices": ["huggingface", "modelscope", "path"],
                "default": ["modelscope", "huggingface"],
            },
            "path": {"type": "path"},
            "revision": {"type": "str"},
            "endpoints": {"type": "dict", "default": {}},
            "tokens": {"type": "dict", "default": {}, "no_log": True},
            "timeout": {"type": "int", "default": 60},
            "store": {"type": "path"},
            "read_tensors": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    if "path" not in params["source"] and not params["id"]:
        module.fail_json(msg="id is required unless source is path")
    wish = Wish(
        model_id=params["id"] or "",
        sources=params["source"],
        revision=params["revision"] or None,
        endpoints=params["endpoints"],
        tokens=params["tokens"],
        timeout=float(params["timeout"]),
        store=params["store"] or "",
    )
    try:
        model = read_model(wish, params["path"], params["read_tensors"], bool(params["store"]))
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code)
    module.exit_json(changed=False, model=model)


if __name__ == "__main__":
    main()
