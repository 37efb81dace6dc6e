#!/usr/bin/python
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: Tell the state of one vLLM instance, or wait for it
version_added: "1.0.0"
description:
  - Reads what systemd, the files under C(/run/gpufleet) and the engine's own API say about one instance.
  - Can wait until the instance is ready or stopped. An engine that dies while it starts ends the wait at once, with the
    classified cause and the last lines of its journal, not with a time-out.
  - Never changes anything.
author:
  - gpufleet contributors (@gpufleet)
options:
  name:
    description:
      - Name of the instance. Its unit is C(vllm@<name>.service).
    type: str
    required: true
  base_url:
    description:
      - Where the engine listens, as seen from its own host, without C(/v1). When empty, the API is not asked.
    type: str
    default: ""
  api_key:
    description:
      - Key of the engine's API. It is cut out of all log lines that are returned.
    type: str
  served_name:
    description:
      - Model name that the engine must list. The instance's name by default.
    type: str
  expect_revision:
    description:
      - Revision that should run. O(wait=ready) waits for just this one, and RV(needs_start) is told by it.
    type: str
  wait:
    description:
      - What to wait for.
    type: str
    choices: [none, ready, stopped]
    default: none
  patience:
    description:
      - How many seconds an active engine that runs at O(expect_revision) may take to answer before it is V(failed).
        A busy engine may be slow, and starting it again would end all of its requests.
      - Only with O(wait=none).
    type: int
    default: 60
  wait_timeout:
    description:
      - Longest wait in seconds.
    type: int
    default: 600
  smoke:
    description:
      - With O(wait=ready), a completion that must come back in the end.
    type: dict
    suboptions:
      prompt:
        description:
          - Text to complete.
        type: str
        default: The capital of France is
      max_tokens:
        description:
          - Longest answer in tokens.
        type: int
        default: 8
  predicted:
    description:
      - The instance in the planner's answer, of which C(memory) and C(kv) are read. RV(memory) then holds them beside
        what the engine printed at its start, and a deviation of more than 5 % is a warning.
      - An empty one only reads what was printed. Without this option the log is not read for it.
    type: dict
  journal_lines:
    description:
      - How many journal lines RV(journal_tail) holds at most.
    type: int
    default: 30
  progress_file:
    description:
      - File that the module keeps fresh while it waits, for the one who shows progress.
    type: path
attributes:
  check_mode:
    support: full
    description: Can run in check mode without changing anything.
  diff_mode:
    support: N/A
    description: Does not change anything.
"""

EXAMPLES = r"""
- name: Wait until the instance answers
  gpufleet.vllm.instance_info:
    name: chat
    base_url: http://127.0.0.1:8000
    api_key: "{{ chat_api_key }}"
    wait: ready
    smoke:
      max_tokens: 4

- name: See whether the instance is up to date
  gpufleet.vllm.instance_info:
    name: chat
    base_url: http://127.0.0.1:8000
    api_key: "{{ chat_api_key }}"
    expect_revision: "{{ chat_revision }}"
  register: chat
"""

RETURN = r"""
state:
  description:
    - V(missing) (the host does not know it), V(stopped), V(loading) (on its way), V(ready) (it answers),
      V(failed) (ended by itself, waits for its automatic restart, or runs without answering).
  returned: always
  type: str
  sample: ready
desired_revision:
  description: Revision that the unit will run at its next start.
  returned: always
  type: str
running_revision:
  description: Revision that has answered a completion. Empty when none has.
  returned: always
  type: str
needs_start:
  description: Whether O(expect_revision) neither runs nor is on its way. False when it was not given.
  returned: always
  type: bool
served_models:
  description: Names that the engine lists.
  returned: always
  type: list
  elements: str
pid:
  description: Main process, 0 when there is none.
  returned: always
  type: int
n_restarts:
  description: How often systemd has restarted it by itself since it was last started.
  returned: always
  type: int
unit:
  description: Some properties of the unit, as systemd names them.
  returned: always
  type: dict
completion:
  description: Text of the completion that O(smoke) asked for.
  returned: when O(smoke) was asked
  type: str
journal_tail:
  description:
    - Last lines of the engine's journal, without the key and without the frames of tracebacks.
    - Only when something is wrong.
  returned: always
  type: list
  elements: str
memory:
  description:
    - C(measured) holds what the engine printed of its memory at its start, in bytes, and C(kv_tokens),
      C(max_concurrency) and C(max_model_len); what the release does not print is missing. The role keeps it in
      C(measured.json) of the instance's state folder.
    - C(compared) is a list of C(figure), C(predicted), C(measured), C(deviation) (a share of the predicted one) and
      C(warn).
  returned: when O(predicted) is given and the instance is ready
  type: dict
failure:
  description: The classified cause, with C(code), C(class), C(evidence) and C(remedy). Empty when nothing is wrong.
  returned: always
  type: dict
  sample:
    code: engine.port_taken
    class: port_taken
    evidence: "OSError: [Errno 98] Address already in use"
    remedy: "Set `port:` of the deployment, or stop the program that listens there"
code:
  description: Stable code of the failure.
  returned: failure
  type: str
  sample: engine.out_of_memory
"""

import socket
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.gpufleet.vllm.plugins.module_utils import _engine_memory
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine_api import HttpApi
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine_failures import Failure, condense
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._instance import (
    ApiError,
    Instance,
    Snapshot,
    Waiting,
    write_progress,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._systemd import UnitError


def describe(seen: Snapshot, revision: str | None, lines: int, failure: Failure | None) -> dict[str, t.Any]:
    """The return values of the module for one look at the instance."""
    properties = {key: value for key, value in seen.unit.items() if key != "Environment"}
    return {
        "state": seen.state,
        "desired_revision": seen.desired_revision or "",
        "running_revision": seen.running_revision or "",
        "needs_start": revision is not None and seen.needs_start(revision),
        "served_models": seen.served_models,
        "pid": seen.pid,
        "n_restarts": seen.n_restarts,
        "unit": properties,
        "journal_tail": condense(seen.journal)[-lines:],
        "failure": failure.as_dict() if failure is not None else {},
    }


def refuse(name: str, failure: Failure) -> Problem:
    """The error for an instance that does not get ready."""
    asked = "%s: instance '%s' should serve" % (socket.gethostname(), name)
    return Problem(failure.code, asked, failure.evidence.rstrip("."), failure.remedy)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "base_url": {"type": "str", "default": ""},
            "api_key": {"type": "str", "no_log": True},
            "served_name": {"type": "str"},
            "expect_revision": {"type": "str"},
            "wait": {"type": "str", "choices": ["none", "ready", "stopped"], "default": "none"},
            "patience": {"type": "int", "default": 60},
            "wait_timeout": {"type": "int", "default": 600},
            "smoke": {
                "type": "dict",
                "options": {
                    "prompt": {"type": "str", "default": "The capital of France is"},
                    "max_tokens": {"type": "int", "default": 8, "no_log": False},
                },
            },
            "predicted": {"type": "dict"},
            "journal_lines": {"type": "int", "default": 30},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        result, problem = inspect(module.params, module.run_command)
    except UnitError as error:
        module.fail_json(
            msg="[host.no_systemd] instance '%s': %s" % (module.params["name"], error), code="host.no_systemd"
        )
    if problem is not None:
        lines = ["Last lines of its journal:"] + result["journal_tail"] if result["journal_tail"] else []
        module.fail_json(msg="\n  ".join([str(problem)] + lines), code=problem.code, **result)
    for sentence in _engine_memory.warnings(module.params["name"], result.get("memory", {}).get("compared", ())):
        module.warn(sentence)
    module.exit_json(changed=False, **result)


def inspect(
    params: dict[str, t.Any], run: t.Callable[..., tuple[int, str, str]]
) -> tuple[dict[str, t.Any], Problem | None]:
    """What the module returns, and the error when what was waited for did not come."""
    api = HttpApi(params["base_url"], params["api_key"], open_url) if params["base_url"] else None
    instance = Instance(run, params["name"], api, params["served_name"], [params["api_key"] or ""])

    def report(stage: str, message: str) -> None:
        write_progress(params["progress_file"], stage, message)

    waiting = Waiting(instance, time.monotonic, time.sleep, report)
    failure: Failure | None
    completion: dict[str, str] = {}
    problem: Problem | None = None
    if params["wait"] == "ready":
        seen, failure = waiting.until_ready(params["wait_timeout"], params["expect_revision"])
        if failure is None and params["smoke"] is not None:
            try:
                text = instance.complete(params["smoke"]["prompt"], params["smoke"]["max_tokens"], 120)
                completion = {"completion": text}
            except ApiError as error:
                failure = Failure("engine.unresponsive", str(error), "Look at the journal of the unit")
        if failure is not None:
            seen = seen._replace(journal=seen.journal or instance.journal(seen.unit))
            problem = refuse(params["name"], failure)
    elif params["wait"] == "stopped":
        seen, gone = waiting.until_stopped(params["wait_timeout"])
        failure = seen.failure
        if not gone:
            problem = Problem(
                "engine.unresponsive",
                "%s: instance '%s' should stop" % (socket.gethostname(), params["name"]),
                "it still runs after %d s (pid %d)" % (params["wait_timeout"], seen.pid),
                "Look at the journal of the unit",
            )
    else:
        seen = waiting.patiently(params["patience"], params["expect_revision"])
        failure = seen.failure
    result = describe(seen, params["expect_revision"], params["journal_lines"], failure)
    if params["predicted"] is not None and seen.state == "ready":
        found = instance.measured(seen)
        compared = _engine_memory.compare(_engine_memory.predicted(params["predicted"]), found)
        result["memory"] = {"measured": found, "compared": compared}
    return dict(result, **completion), problem


if __name__ == "__main__":
    main()
