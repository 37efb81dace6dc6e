# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base systems: one minimal Debian per release, made once by mmdebstrap and shared read-only by all hosts."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.lab import machine
from tests.lab.lab import CACHE, LabError, write_json
from tests.lab.tools import ensure_tools, run

RELEASES = ("bookworm", "trixie")
FOLDER = CACHE / "base"
# A bare host has what a minimal server has, and nothing that only our roles want.
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "openssh-server",
    "python3",
    "ca-certificates",
    "iproute2",
    "procps",
)
RECIPE_VERSION = 1
SETUP = r"""
set -e
root=$1
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/resolv.conf
echo uninitialized > "$root"/etc/machine-id
rm -f "$root"/var/lib/dbus/machine-id
ln -sf /usr/share/zoneinfo/Etc/UTC "$root"/etc/localtime
# Timers that would start apt on their own in the middle of a test.
for unit in apt-daily.timer apt-daily-upgrade.timer; do ln -sf /dev/null "$root"/etc/systemd/system/$unit; done
mkdir -p "$root"/root/.ssh && chmod 700 "$root"/root/.ssh
"""


def folder(release: str) -> Path:
    """Where the base of ``release`` lies, whether or not it was made yet. Raises LabError for an unknown release."""
    if release not in RELEASES:
        raise LabError(f"Unknown release '{release}'; known: {', '.join(RELEASES)}.")
    recipe = repr((RECIPE_VERSION, PACKAGES, SETUP, machine.sources_list(release)))
    return FOLDER / f"{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(release: str) -> Path:
    """The base of ``release``, made now if it was not there; under a minute then, nothing later."""
    target = folder(release)
    if target.is_dir():
        return target
    ensure_tools()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f".{release}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not target.is_dir():
            _build(release, target)
    return target


def _build(release: str, target: Path) -> None:
    for stale in FOLDER.glob(f".building-{release}-*"):  # of a killed run: its mounts ended with its namespace
        shutil.rmtree(stale)
    print(f"lab: making the base system {target.name}", file=sys.stderr)
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix=f".building-{release}-", dir=FOLDER))
    sources = work / "sources.list"
    sources.write_text(machine.sources_list(release))
    setup = work / "setup.sh"
    setup.write_text(SETUP)
    options = [f"--aptopt={line}" for line in machine.apt_options()]
    # Own mount and PID namespaces: whatever kills the build, nothing stays mounted or running.
    run(
        [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=apt",
            "--format=directory",
            f"--include={','.join(PACKAGES)}",
            *options,
            f'--customize-hook=sh {setup} "$1"',
            release,
            str(work / "root"),
            *([str(sources)] if sources.stat().st_size else []),
        ]
    )
    write_json(
        work / "base.json",
        {"schema": 1, "release": release, "packages": PACKAGES, "seconds": round(time.monotonic() - began, 1)},
    )
    work.chmod(0o755)
    work.rename(target)
