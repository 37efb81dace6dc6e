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
  - A file that another snapshot in the store has already is hard-linked, and what other tools have put on the host is
    taken from there (see O(adopt)). Only what is missing is fetched.
extends_documentation_fragment:
  - gpufleet.vllm.hub
  - gpufleet.vllm.peers
options:
  id:
    description:
      - Name of the model at the hub, as C(organisation/name).
      - Required with O(state=present). O(state=absent) without it empties the store.
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
      - V(pruned) removes every snapshot that O(keep) does not want and that no instance of the collection and no
        process on the host uses, and what is left of unfinished ones of models that O(keep) does not name.
      - V(absent) without O(id) removes every snapshot that this module made in O(store), what is left of unfinished
        ones, and the folders that are empty then, O(store) itself included. What others put there stays.
    type: str
    choices: [present, absent, pruned]
    default: present
  adopt:
    description:
      - Folders on the host in which other tools may have put files of the model. Each may be a clone with git-lfs (with
        its C(.git/lfs/objects)), a local folder of C(hf download), a cache of Hugging Face or ModelScope, or a folder
        of models as C(<organisation>/<name>) or C(<name>).
      - A file counts when its hash is right. It is hard-linked if it is on the same file system, belongs to root or to
        the user the module runs as, and nobody else may write to it; else it is copied. The original is never changed.
    type: list
    elements: path
    default: []
  keep:
    description:
      - With O(state=pruned) the models that stay, each with C(id) and maybe C(revision), or with C(path).
      - Without a commit the snapshot that came last stays, and the last one that came for the branch or tag.
    type: list
    elements: dict
    default: []
  keep_shared:
    description:
      - As O(keep), the models of all other hosts. They count only if the store is, or may be, theirs too.
    type: list
    elements: dict
    default: []
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
      - Connections at the same time. They fetch different files, and where there are fewer of those, ranges of one.
    type: int
    default: 4
  retries:
    description:
      - Failures in a row, with next to nothing in between, after which a file is given up.
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

- name: Take what a clone and a cache have, and fetch the rest
  gpufleet.vllm.model_snapshot:
    id: Qwen/Qwen3-4B
    adopt: [/data/clones, ~/.cache/huggingface]

- name: Export a model to a disk, without a network
  gpufleet.vllm.model_snapshot:
    id: Qwen/Qwen3-4B
    source: [huggingface]
    endpoints: {huggingface: "file:///var/lib/gpufleet/models"}
    store: /media/disk/models

- name: Import it on another host
  gpufleet.vllm.model_snapshot:
    id: Qwen/Qwen3-4B
    source: [huggingface]
    endpoints: {huggingface: "file:///media/disk/models"}

- name: Say what nothing wants any more
  gpufleet.vllm.model_snapshot:
    state: pruned
    keep:
      - id: Qwen/Qwen3-4B
  check_mode: true

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
  returned: when O(state) is V(present) or V(absent)
  type: str
  sample: /var/lib/gpufleet/models/Qwen/Qwen3-4B/1cfa9a7208912126459214e8b04321603b3df60c
revision:
  description: The commit.
  returned: when O(state) is V(present) or V(absent)
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
  returned: when O(state) is V(present) or V(absent)
  type: int
  sample: 8060855808
bytes_to_download:
  description: Bytes that were (in check mode, are) missing.
  returned: when O(state) is V(present) or V(absent)
  type: int
  sample: 8060855808
bytes_total:
  description: Size of the snapshot in bytes.
  returned: when O(state) is V(present) or V(absent)
  type: int
  sample: 8060855808
origins:
  description:
    - Where the files came from (in check mode, would come from), each with C(kind), C(from), C(how) (V(fetch), V(link)
      or V(copy)), C(files) and C(bytes). In check mode files on the host are judged by their size.
    - C(kind) is V(fetch) (an endpoint), V(link) (another snapshot of the store), V(adopt) (a folder of O(adopt)),
      V(import) (an exported folder), V(repair) (good files of a damaged snapshot) or V(keep) (left by an earlier run).
  returned: when O(state=present)
  type: list
  elements: dict
  sample: [{"kind": "adopt", "from": "/data/clones/Qwen3-4B", "how": "link", "files": 3, "bytes": 8044936192}]
pruned:
  description: What went (in check mode, would go), each with C(path), C(id), C(revision) and the C(bytes) it sets free.
  returned: when O(state=pruned)
  type: list
  elements: dict
kept:
  description: What stays, each with C(path), C(id), C(revision) and C(reason).
  returned: when O(state=pruned)
  type: list
  elements: dict
bytes_freed:
  description: Bytes that RV(pruned) sets free. A file that is shared with a snapshot that stays counts for nothing.
  returned: when O(state=pruned)
  type: int
  sample: 8060855808
neighbours:
  description: By name of a host of O(peers), the C(bytes) that came from it, and why it was C(dropped), if it was.
  returned: when O(state=present)
  type: dict
  sample: {"gpu1": {"bytes": 8060855808, "dropped": ""}}
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
from ..module_utils._hub._peer_unit import PEERS, peers_of
from ..module_utils._hub._progress import Progress
from ..module_utils._hub._prune import Pruned, prune
from ..module_utils._hub._remove import ensure_absent, ensure_store_absent
from ..module_utils._hub._snapshot import Outcome, Wish, ensure_present
from ..module_utils._hub._users import Users


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
        result.update(source=outcome.source, endpoint=outcome.endpoint, origins=outcome.origins)
        result["neighbours"] = outcome.neighbours
    return result


def answer_pruned(pruned: Pruned) -> dict[str, object]:
    """The return values of state pruned."""
    stays = [str(each["path"]) for each in pruned.kept]
    goes = [str(each["path"]) for each in pruned.removed]
    return {
        "changed": bool(goes),
        "pruned": pruned.removed,
        "kept": pruned.kept,
        "bytes_freed": pruned.bytes_freed,
        "actions": ["remove %s, %d bytes" % (each["path"], each["bytes"]) for each in pruned.removed],
        "diff": {
            "before": "".join(each + "\n" for each in sorted(stays + goes)),
            "after": "".join(each + "\n" for each in stays),
        },
    }


def register(module: AnsibleModule, wish: Wish, outcome: Outcome) -> None:
    """Tell other hosts that mount the store that this one uses the snapshot."""
    if module.check_mode or not outcome.revision:
        return
    try:
        Users(wish.store).add(wish.model_id, outcome.revision)
    except Problem as problem:
        if outcome.changed:
            raise
        # What is there may lie on a file system that this host only reads.
        module.warn("Other hosts do not learn that this one uses %s: %s" % (outcome.path, problem))


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
            "state": {"type": "str", "choices": ["present", "absent", "pruned"], "default": "present"},
            "adopt": {"type": "list", "elements": "path", "default": []},
            "keep": {"type": "list", "elements": "dict", "default": []},
            "keep_shared": {"type": "list", "elements": "dict", "default": []},
            "allow_patterns": {"type": "list", "elements": "str", "default": []},
            "ignore_patterns": {"type": "list", "elements": "str", "default": []},
            "verify": {"type": "str", "choices": ["size", "checksum"], "default": "size"},
            "workers": {"type": "int", "default": 4},
            "retries": {"type": "int", "default": 8},
            "lock_timeout": {"type": "int", "default": 7200},
            "peers": {"type": "dict", "options": PEERS},
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
        adopt=params["adopt"],
    )
    try:
        wish.peers = peers_of(params["peers"], module.run_command)
        if params["state"] == "pruned":
            pruned = prune(wish, params["keep"], module.check_mode, keep_shared=params["keep_shared"])
            module.exit_json(**answer_pruned(pruned))
        if params["state"] == "absent":
            if params["revision"] and not params["id"]:
                module.fail_json(msg="revision is given without id")
            remove = ensure_absent if params["id"] else ensure_store_absent
            outcome = remove(wish, module.check_mode)
        else:
            progress = Progress(params["progress_file"])
            settings = Settings(retries=params["retries"])
            outcome = ensure_present(wish, progress, module.check_mode, settings)
            register(module, wish, outcome)
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code)
    module.exit_json(**answer(outcome, params["state"]))


if __name__ == "__main__":
    main()
