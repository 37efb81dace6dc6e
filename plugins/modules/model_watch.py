#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_watch
short_description: Watch models being fetched in the background, for a while
version_added: "1.0.0"
author:
  - gpufleet contributors (@gpufleet)
description:
  - Waits until the given background jobs of M(gpufleet.vllm.model_snapshot) have ended, but not longer than O(seconds),
    and tells how far they are.
  - Renews the lease of the server that M(gpufleet.vllm.model_peer) started for O(run).
  - A play calls it in rounds over all hosts. So no host occupies one of the play's forks until its download is over,
    and hosts that are done go on serving.
  - A job that failed does not fail this module; RV(failed_jobs) tells.
options:
  run:
    description:
      - Name of the run.
    type: str
    required: true
  jobs:
    description:
      - Names of the jobs, as C(ansible_job_id) of tasks with C(async) and C(poll) 0.
    type: list
    elements: str
    default: []
  jobs_dir:
    description:
      - Folder in which Ansible keeps the answers of such jobs on the host.
    type: str
    default: ~/.ansible_async
  store:
    description:
      - Directory of all models.
    type: path
    default: /var/lib/gpufleet/models
  snapshots:
    description:
      - What the jobs bring, each with C(id), C(revision) and C(bytes).
    type: list
    elements: dict
    default: []
  seconds:
    description:
      - Longest wait. Where there are more hosts than forks each host gets less, so that no round lasts much longer.
    type: int
    default: 20
  patience:
    description:
      - A host that has been out of reach for so many seconds is RV(lost), and RV(done). The others go on without it.
      - Only the part on the control node looks at it.
    type: int
    default: 300
  lost_since:
    description:
      - RV(lost_since) of the round before, from which O(patience) counts.
    type: float
    default: 0
attributes:
  check_mode:
    description: Can run in check mode; it waits for nothing then.
    support: full
  diff_mode:
    description: Does not change anything that could be compared.
    support: none
  action:
    description: Has a part on the control node, which prints the progress of each host.
    support: full
  platform:
    description: Target operating system families.
    platforms: linux
    support: full
"""

EXAMPLES = r"""
- name: Watch for a while
  gpufleet.vllm.model_watch:
    run: k3v9x2
    jobs: "{{ started.results | map(attribute='ansible_job_id') }}"
    snapshots:
      - {id: Qwen/Qwen3-4B, revision: 1cfa9a7208912126459214e8b04321603b3df60c, bytes: 8060855808}
  register: watched
"""

RETURN = r"""
done:
  description: Whether all jobs have ended.
  returned: success
  type: bool
  sample: false
failed_jobs:
  description: The C(code) and C(msg) of each job that failed.
  returned: success
  type: list
  elements: dict
  sample: []
fetched:
  description: For each job that brought something C(path), C(bytes_downloaded) and C(neighbours).
  returned: success
  type: list
  elements: dict
done_bytes:
  description: Bytes that are there.
  returned: success
  type: int
  sample: 4030427904
total_bytes:
  description: Bytes in all.
  returned: success
  type: int
  sample: 8060855808
rate:
  description: Bytes per second that came meanwhile.
  returned: success
  type: int
  sample: 117440512
lost:
  description: Whether the host has been out of reach for longer than O(patience). Then it counts as done.
  returned: when the host is out of reach
  type: bool
  sample: false
lost_since:
  description: When the host was first out of reach, in seconds since 1970 by the clock of the control node.
  returned: when the host is out of reach
  type: float
  sample: 1790000000.0
serves:
  description: Whether the server of the run was there to have its lease renewed.
  returned: success
  type: bool
  sample: true
code:
  description: Stable code of the error.
  returned: failure
  type: str
  sample: model.peer_failed
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._errors import Problem
from ..module_utils._hub._peer_status import Job, progress_of
from ..module_utils._hub._peer_unit import PeerServer

POLL_SECONDS = 0.3


def watch(jobs: list[Job], server: PeerServer, seconds: float) -> bool:
    """Wait until all have ended or the time is over. Whether the server was there to be renewed in the end."""
    end = time.monotonic() + seconds
    while True:
        serves = server.renew()
        if all(job.look() for job in jobs) or time.monotonic() >= end:
            return serves
        time.sleep(POLL_SECONDS)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "run": {"type": "str", "required": True},
            "jobs": {"type": "list", "elements": "str", "default": []},
            "jobs_dir": {"type": "str", "default": "~/.ansible_async"},
            "store": {"type": "path", "default": "/var/lib/gpufleet/models"},
            "snapshots": {"type": "list", "elements": "dict", "default": []},
            "seconds": {"type": "int", "default": 20},
            "patience": {"type": "int", "default": 300},
            "lost_since": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        server = PeerServer(params["run"], module.run_command)
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code)
    jobs = [Job(params["jobs_dir"], name) for name in params["jobs"]]
    begun, (had, _total) = time.monotonic(), progress_of(params["store"], params["snapshots"])
    serves = watch(jobs, server, 0 if module.check_mode else params["seconds"])
    has, total = progress_of(params["store"], params["snapshots"])
    answers = [job.answer for job in jobs if job.answer is not None]
    module.exit_json(
        changed=False,
        done=len(answers) == len(jobs),
        failed_jobs=[
            {"code": each.get("code", ""), "msg": each.get("msg", "")} for each in answers if each.get("failed")
        ],
        fetched=[
            {key: each.get(key) for key in ("path", "bytes_downloaded", "neighbours")}
            for each in answers
            if not each.get("failed")
        ],
        done_bytes=has,
        total_bytes=total,
        rate=int(max(0, has - had) / max(time.monotonic() - begun, 0.5)),
        serves=serves,
    )


if __name__ == "__main__":
    main()
