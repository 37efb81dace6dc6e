# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of this machine that the lab needs: running them, and installing the missing ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.lab.lab import LabError
from tests.tools import debian

# program -> Debian package
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "nsenter": "util-linux",
}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def run(command: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``command`` quietly; raises LabError with its output when it fails."""
    result = subprocess.run(
        command,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        stdin=subprocess.DEVNULL,
        **options,
    )
    if result.returncode:
        tail = "\n".join(result.stdout.strip().splitlines()[-15:])
        raise LabError(f"`{' '.join(map(str, command))}` ended with {result.returncode}:\n{tail}")
    return result


def ensure_tools() -> None:
    """Install, by apt, the programs that this machine lacks. Raises LabError off root or off Debian."""
    if os.geteuid() != 0:
        raise LabError("The lab makes mounts, namespaces and cgroups: run it as root.")
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"Missing programs; install the equivalents of these Debian packages: {' '.join(missing)}.")
    print(f"lab: installing {' '.join(missing)}", file=sys.stderr)
    try:
        debian.install(*missing)
    except subprocess.CalledProcessError as error:
        raise LabError(f"`{' '.join(error.cmd)}` ended with {error.returncode}; its words are above.") from error
