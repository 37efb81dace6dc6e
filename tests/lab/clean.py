# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave nothing: hosts, processes, cgroups, namespaces, control sockets, state directories."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence

from tests.lab import cgroups, network
from tests.lab.lab import Lab, LabError
from tests.lab.tools import run


def destroy(lab: Lab, names: Sequence[str] = ()) -> None:
    """Remove the named hosts, or the whole lab when none is named. Nothing is asked of the hosts: they are killed.

    Works from the names that follow from the state directory, so it also clears what a killed launcher left.
    """
    if names:
        with lab.lock():
            for name in names:
                _close_connections(lab)
                cgroups.remove(cgroups.root() / lab.cgroup_name / name)
                _delete(lab.host_dir(name))
        return
    _close_connections(lab)
    cgroups.remove(cgroups.root() / lab.cgroup_name)
    network.remove(lab)
    shutil.rmtree(lab.run_dir, ignore_errors=True)
    with contextlib.suppress(OSError):  # other labs are there
        lab.run_dir.parent.rmdir()
    _delete(lab.state)


def _close_connections(lab: Lab) -> None:
    """End the ssh connections that Ansible keeps open to the hosts."""
    folder = lab.run_dir / "cp"
    for path in folder.iterdir() if folder.is_dir() else []:
        subprocess.run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "lab"], check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path.unlink(missing_ok=True)


def _delete(folder: os.PathLike[str]) -> None:
    """Remove a tree; the kernel may hold the overlay's work folder for a moment after its last process ended."""
    deadline = time.monotonic() + 5
    while os.path.exists(folder):
        try:
            run(["rm", "-rf", "--", folder])  # many times faster than Python on a host's hundred thousand files
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
