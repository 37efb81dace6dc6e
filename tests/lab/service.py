# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of this machine that belong to a lab, such as its model hub: they end with it, however it ends."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab import cgroups, network
from tests.lab.lab import NAME, REPOSITORY, Lab, LabError, alive, read_json, start_time, write_json


def folder(lab: Lab, name: str) -> Path:
    """Where the service's record and log lie. Raises LabError for a bad name."""
    if not NAME.fullmatch(name):
        raise LabError(f"'{name}' is no service name.")
    return lab.state / "services" / name


def running(lab: Lab, name: str) -> bool:
    """Whether the service that was started last still runs."""
    record = read_json(folder(lab, name) / "service.json")
    return alive(record.get("pid"), record.get("start"))


def start(lab: Lab, name: str, command: Sequence[str], *, bridge: bool = False) -> int:
    """Start ``command`` in the background, in the lab's own cgroup; ends an older one of that name first.

    ``bridge`` runs it inside the closed network, where hosts find it at 10.66.0.1. Answers the PID.
    """
    stop(lab, name)
    lab.create()
    place = folder(lab, name)
    place.mkdir(parents=True, exist_ok=True)
    group = _group(lab, name)
    group.mkdir(parents=True, exist_ok=True)
    if bridge:
        network.ensure(lab)
    enter = [
        "sh",
        "-c",
        'echo $$ > "$0" && exec "$@"',
        str(group / "cgroup.procs"),
        *(network.prefix(lab) if bridge else []),
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(  # it outlives this command on purpose
            [*enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
        )
    write_json(
        place / "service.json",
        {"schema": 1, "pid": process.pid, "start": start_time(process.pid), "command": list(command), "bridge": bridge},
    )
    return process.pid


def await_until(lab: Lab, name: str, ready: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until ``ready()``. Raises LabError with the end of the log when the service ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not running(lab, name) or time.monotonic() > deadline:
            what = "takes too long to start" if running(lab, name) else "ended"
            tail = "\n".join((folder(lab, name) / "log").read_text(errors="replace").splitlines()[-15:])
            raise LabError(f"The service '{name}' {what}:\n{tail}")
        time.sleep(0.02)


def stop(lab: Lab, name: str) -> None:
    """End the service and all its processes; nothing happens when there is none."""
    cgroups.remove(_group(lab, name))
    (folder(lab, name) / "service.json").unlink(missing_ok=True)


def _group(lab: Lab, name: str) -> Path:
    # No host name starts with a line, so the two never meet.
    return cgroups.root() / lab.cgroup_name / f"_{name}"
