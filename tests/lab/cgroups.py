# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's control groups: one per host, so that everything a host ever started can be found and ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.lab.lab import LabError


def root() -> Path:
    """Where cgroup2 is mounted: /sys/fs/cgroup on a unified machine, .../unified on a hybrid one."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.split()[0] == "cgroup2":
            found.append(Path(fields.split()[4]))
    if not found:
        raise LabError("No cgroup2 file system is mounted here; `mount -t cgroup2 none /sys/fs/cgroup` makes one.")
    return min(found, key=lambda path: len(path.parts))


def folders(group: Path) -> list[Path]:
    """``group`` and all groups below it, the deepest first; os.walk does not mind if some vanish meanwhile."""
    return [Path(path) for path, _, _ in os.walk(group, topdown=False)]


def processes(group: Path) -> list[int]:
    """Every process in ``group`` and below it."""
    found: list[int] = []
    for folder in folders(group):
        try:
            found += [int(word) for word in (folder / "cgroup.procs").read_text().split()]
        except OSError:  # the group went away, or is a threaded one
            continue
    return found


def kill(group: Path, seconds: float = 10) -> None:
    """End every process in ``group``, without asking. Raises LabError when some survive ``seconds``."""
    deadline = time.monotonic() + seconds
    while left := processes(group) if group.is_dir() else []:
        if time.monotonic() > deadline:
            raise LabError(f"Processes {left} in {group} do not end.")
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def remove(group: Path) -> None:
    """End what runs in ``group`` and remove it with all groups below."""
    if not group.is_dir():
        return
    kill(group)
    deadline = time.monotonic() + 5
    while group.is_dir():
        for folder in folders(group):
            _rmdir(folder)
        if group.is_dir():
            if time.monotonic() > deadline:
                raise LabError(f"The cgroup {group} cannot be removed; processes in it: {processes(group)}.")
            time.sleep(0.02)  # the kernel empties a group a moment after its last process ended


def _rmdir(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        return
