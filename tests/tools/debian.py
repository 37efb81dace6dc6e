"""Programs that a test needs and a bare machine lacks."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

LOCK = Path(tempfile.gettempdir()) / "gpufleet-apt.lock"


def install(*packages: str) -> None:
    """Install Debian ``packages``. One at a time on a machine: apt does not wait for another apt."""
    with LOCK.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        command = ["apt-get", "install", "-qqy", "--no-install-recommends", *packages]
        for step in (["apt-get", "update", "-qq"], command):
            subprocess.run(step, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def need(program: str, *packages: str) -> str:
    """Path of ``program``; installs Debian's ``packages`` (its own name by default) where it is missing."""
    found = shutil.which(program)
    if found:
        return found
    names = packages or (program,)
    install(*names)
    found = shutil.which(program)
    if not found:
        raise FileNotFoundError("%s is not in Debian's %s" % (program, ", ".join(names)))
    return found
