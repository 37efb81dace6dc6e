# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave nothing: hosts, processes, cgroups, namespaces, control sockets, state directories."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab import cgroups, network
from tests.lab.lab import Lab

REMOVAL_SECONDS = 4.0  # what a destroy waits for the disk


def destroy(lab: Lab, names: Sequence[str] = ()) -> None:
    """Remove the named hosts, or the whole lab when none is named. Nothing is asked of the hosts: they are killed.

    Works from the names that follow from the state directory, so it also clears what a killed launcher left.
    """
    if names:
        with lab.lock():
            for name in names:
                _close_connections(lab)
                cgroups.remove(cgroups.root() / lab.cgroup_name / name)
                _delete(lab, lab.host_dir(name))
        return
    _close_connections(lab)
    cgroups.remove(cgroups.root() / lab.cgroup_name)
    network.remove(lab)
    shutil.rmtree(lab.run_dir, ignore_errors=True)
    with contextlib.suppress(OSError):  # other labs are there
        lab.run_dir.parent.rmdir()
    _delete(lab, lab.state)


def _close_connections(lab: Lab) -> None:
    """End the ssh connections that Ansible keeps open to the hosts."""
    folder = lab.run_dir / "cp"
    for path in folder.iterdir() if folder.is_dir() else []:
        subprocess.run(
            ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "lab"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        path.unlink(missing_ok=True)


def _delete(lab: Lab, folder: Path) -> None:
    """Remove a tree: out of the way at once, then from the disk, which for gigabytes goes on after this returned.

    The next clean-up beside it takes up what a killed removal left.
    """
    trash = lab.state.parent / f".trash-{lab.id}-{secrets.token_hex(4)}"
    with contextlib.suppress(FileNotFoundError):
        folder.rename(trash)
    waiting = sorted(lab.state.parent.glob(".trash-*"))
    if not waiting:
        return
    subprocess.run(
        ["setsid", "--fork", "nice", "rm", "-rf", "--", *waiting],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + REMOVAL_SECONDS
    while any(path.exists() for path in waiting) and time.monotonic() < deadline:
        time.sleep(0.02)


def being_deleted(lab: Lab) -> bool:
    """Whether files of removed hosts are still on their way from the disk."""
    return any(lab.state.parent.glob(".trash-*"))
