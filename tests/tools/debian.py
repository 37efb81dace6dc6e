"""Programs that a test needs and a bare machine lacks."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def need(program: str, *packages: str) -> str:
    """Path of ``program``; installs Debian's ``packages`` (its own name by default) where it is missing."""
    found = shutil.which(program)
    if found:
        return found
    lock = Path(tempfile.gettempdir()) / "gpufleet-apt.lock"
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        names = packages or (program,)
        install = ["apt-get", "install", "-qqy", "--no-install-recommends", *names]
        subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)
    found = shutil.which(program)
    if not found:
        raise FileNotFoundError("%s is not in Debian's %s" % (program, ", ".join(names)))
    return found
