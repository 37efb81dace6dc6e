#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_snapshot
short_description: Keep a whole, verified copy of a model on a host
version_added: "1.0.0"
author:
  - gpufleet contributors (@gpufleet)
description:
  - Downloads a model from Hugging Face, ModelScope or a mirror of one of them into O(store), as
    C(<store>/<id>/<commit>).
  - The directory appears by one rename when every file is there and has the hash that the hub lists. A directory that
    is not whole is never visible.
  - A run that is killed goes on at the byte where it stopped. Cut connections, status 429 and 5xx are tried again.
  - Two runs for the same model on one host wait for each other.
  - A commit that is there already needs no network.
extends_documentation_fragment:
  - gpufleet.vllm.hub
options:
  id:
    description:
      - Name of the model at the hub, as C(organisation/name).
      - Required unless O(state=absent). O(state=absent) without it empties the store.
    type: str
  source:
    description:
      - Where to look, the first that has the model wins.
    type: list
    elements: str
    choices: [huggingface, modelscope]
    default: [modelscope, huggingface]
  store:
    description:
      - Directory of all models.
    type: path
    default: /var/lib/gpufleet/models
  state:
    description:
      - V(absent) removes the commit given as O(revision), or every revision without it.
      - V(absent) without O(id) removes every snapshot that this module made in O(store), what is left of unfinished
        ones, and the folders that are empty then, O(store) itself included. What others put there stays.
    type: str
    choices: [present, absent]
    default: present
  allow_patterns:
    description:
      - Only files whose path matches one of these shell patterns. Empty means all.
    type: list
    elements: str
    default: []
  ignore_patterns:
    description:
      - No files whose path matches one of these shell patterns.
    type: list
    elements: str
    default: []
  verify:
    description:
      - How to look at a snapshot that is there already. V(checksum) reads all of it. What is missing or wrong is
        fetched again, and only that.
      - What is downloaded is always verified by hash.
    type: str
    choices: [size, checksum]
    default: size
  workers:
    description:
      - Files fetched at the same time.
    type: int
    default: 4
  retries:
    description:
      - Failures in a row, without a byte in between, after which a file is given up.
    type: int
    default: 8
  lock_timeout:
    description:
      - Seconds to wait for another run that fetches the same model.
    type: int
    default: 7200
  progress_file:
    description:
      - File to keep fresh with stage, bytes done and bytes in all, as JSON.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and says truthfully what it would do.
    support: full
  diff_mode:
    description: Shows what changes, or would change, in diff mode.
    support: full
  platform:
    description: Target operating system families.
    platforms: linux
    support: full
seealso:
  - module: gpufleet.vllm.model_info
"""

EXAMPLES = r"""
- name: Have one commit of a model
  gpufleet.vllm.model_snapshot:
    id: Qwen/Qwen3-4B
    source: [huggingface]
    revision: 1cfa9a7208912126459214e8b04321603b3df60c

- name: Have the default branch without the weights in other formats
  gpufleet.vllm.model_snapshot:
    id: Qwen/Qwen3-4B
    ignore_patterns: ["*.pth", "original/"]

- name: Look for damage, and repair it
  gpufleet.vllm.model_snapshot:
    id: Qwen/Qwen3-4B
    revision: 1cfa9a7208912126459214e8b04321603b3df60c
    verify: checksum

- name: Remove every revision of a model
  gpufleet.vllm.model_snapshot:
    id: Qwen/Qwen3-4B
    state: absent

- name: Remove every model
  gpufleet.vllm.model_snapshot:
    store: /var/lib/gpufleet/models
    state: absent
"""

RETURN = r"""
path:
  description: Directory of the snapshot.
  returned: success
  type: str
  sample: /var/lib/gpufleet/models/Qwen/Qwen3-4B/1cfa9a7208912126459214e8b04321603b3df60c
revision:
  description: The commit.
  returned: success
  type: str
  sample: 1cfa9a7208912126459214e8b04321603b3df60c
source:
  description: The source that had the model.
  returned: when O(state=present)
  type: str
  sample: huggingface
endpoint:
  description: The endpoint the snapshot came from.
  returned: when O(state=present)
  type: str
  sample: https://huggingface.co
bytes_downloaded:
  description: Bytes of file content that came over the network in this run.
  returned: success
  type: int
  sample: 8060855808
bytes_to_download:
  description: Bytes that were (in check mode, are) missing.
  returned: success
  type: int
  sample: 8060855808
bytes_total:
  description: Size of the snapshot in bytes.
  returned: success
  type: int
  sample: 8060855808
actions:
  description: What was done, or in check mode would be done, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["publish /var/lib/gpufleet/models/Qwen/Qwen3-4B/1cfa9a7208912126459214e8b04321603b3df60c"]
code:
  description: Stable code of the error.
  returned: failure
  type: str
  sample: hub.unreachable
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._errors import Problem
from ..module_utils._hub._fetch import Settings
from ..module_utils._hub._progress import Progress
from ..module_utils._hub._remove import ensure_absent, ensure_store_absent
from ..module_utils._hub._snapshot import Outcome, Wish, ensure_present


def answer(outcome: Outcome, state: str) -> dict[str, object]:
    """The module's return values."""
    result: dict[str, object] = {
        "changed": outcome.changed,
        "path": outcome.path,
        "revision": outcome.revision,
        "bytes_downloaded": outcome.bytes_downloaded,
        "bytes_to_download": outcome.bytes_to_download,
        "bytes_total": outcome.bytes_total,
        "actions": outcome.actions,
        "diff": {
            "before_header": outcome.path,
            "after_header": outcome.path,
            "before": "".join(each + "\n" for each in outcome.before),
            "after": "".join(each + "\n" for each in outcome.after),
        },
    }
    if state == "present":
        result.update(source=outcome.source, endpoint=outcome.endpoint)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str"},
            "source": {
                "type": "list",
                "elements": "str",
                "choices": ["huggingface", "modelscope"],
                "default": ["modelscope", "huggingface"],
            },
            "revision": {"type": "str"},
            "endpoints": {"type": "dict", "default": {}},
            "tokens": {"type": "dict", "default": {}, "no_log": True},
            "timeout": {"type": "int", "default": 60},
            "store": {"type": "path", "default": "/var/lib/gpufleet/models"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "allow_patterns": {"type": "list", "elements": "str", "default": []},
            "ignore_patterns": {"type": "list", "elements": "str", "default": []},
            "verify": {"type": "str", "choices": ["size", "checksum"], "default": "size"},
            "workers": {"type": "int", "default": 4},
            "retries": {"type": "int", "default": 8},
            "lock_timeout": {"type": "int", "default": 7200},
            "progress_file": {"type": "path"},
        },
        required_if=[("state", "present", ["id"])],
        supports_check_mode=True,
    )
    params = module.params
    wish = Wish(
        model_id=params["id"] or "",
        sources=params["source"],
        revision=params["revision"] or None,
        endpoints=params["endpoints"],
        tokens=params["tokens"],
        store=params["store"],
        allow_patterns=params["allow_patterns"],
        ignore_patterns=params["ignore_patterns"],
        verify=params["verify"],
        workers=params["workers"],
        timeout=float(params["timeout"]),
        lock_timeout=float(params["lock_timeout"]),
    )
    try:
        if params["state"] == "absent":
            if params["revision"] and not params["id"]:
                module.fail_json(msg="revision is given without id")
            remove = ensure_absent if params["id"] else ensure_store_absent
            outcome = remove(wish, module.check_mode)
        else:
            progress = Progress(params["progress_file"])
            settings = Settings(retries=params["retries"])
            outcome = ensure_present(wish, progress, module.check_mode, settings)
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code)
    module.exit_json(**answer(outcome, params["state"]))


if __name__ == "__main__":
    main()
