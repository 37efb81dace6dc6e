# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab: a state directory, the names derived from it, and the records kept in it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache" / "lab"
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


class LabError(Exception):
    """A failure that the caller can act on; its text is the whole message."""


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` so that a reader, or a kill, sees the old file or the new one and nothing between."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    new.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    os.replace(new, path)


def read_json(path: Path) -> dict[str, Any]:
    """The record in ``path``; an empty one when there is none."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}


class Lab:
    """Names and records of one state directory.

    Every name outside the directory (namespace, cgroup, control sockets) comes from the directory's own path, so two
    labs never meet, and ``destroy`` finds what a killed launcher left even when the records are gone.
    """

    def __init__(self, state: str | os.PathLike[str] | None = None) -> None:
        chosen = state or os.environ.get("GPUFLEET_LAB_STATE") or CACHE / "state"
        self.state = Path(chosen).absolute()
        self.id = hashlib.sha256(os.path.realpath(self.state).encode()).hexdigest()[:8]
        self.netns = f"gfl-{self.id}"
        self.cgroup_name = f"gpufleet-lab-{self.id}"
        self.run_dir = Path("/run/gpufleet-lab") / self.id
        self.hosts_dir = self.state / "hosts"
        self.key = self.state / "id_ed25519"
        self.known_hosts = self.state / "known_hosts"

    def create(self) -> None:
        """Make the state directory and write down, before anything is created, what belongs to this lab."""
        self.hosts_dir.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        if not (self.state / "lab.json").exists():
            record = {
                "schema": 1,
                "id": self.id,
                "netns": self.netns,
                "cgroup": self.cgroup_name,
                "run_dir": str(self.run_dir),
            }
            write_json(self.state / "lab.json", record)
        (self.run_dir / "cp").mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def lock(self, name: str = "lock") -> Iterator[None]:
        """Hold the lab's lock: one command at a time changes its records."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / name).open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def host_dir(self, name: str) -> Path:
        """Where host ``name`` lives. Raises LabError for a name that is no host name."""
        if not NAME.fullmatch(name):
            raise LabError(f"'{name}' is no host name: small letters, digits and dashes, at most 41, a letter first.")
        return self.hosts_dir / name

    def names(self) -> list[str]:
        """The hosts that have a record, running or not."""
        if not self.hosts_dir.is_dir():
            return []
        return sorted(p.name for p in self.hosts_dir.iterdir() if (p / "host.json").exists())

    def host(self, name: str) -> dict[str, Any]:
        """The record of host ``name``. Raises LabError when there is none."""
        record = read_json(self.host_dir(name) / "host.json")
        if not record:
            have = ", ".join(self.names()) or "none"
            raise LabError(f"There is no host '{name}' in the lab {self.state}; it has: {have}.")
        return record

    def status(self, name: str) -> dict[str, Any]:
        """What the host's keeper last said: phase, leader (PID or None), boots; 'stopped' when the keeper is gone."""
        status = read_json(self.host_dir(name) / "status.json") or {"phase": "stopped", "leader": None, "boots": 0}
        if status["phase"] not in ("stopped", "failed") and not alive(status.get("keeper"), status.get("keeper_start")):
            status.update(phase="stopped", leader=None)
        return status


def start_time(pid: int) -> str | None:
    """The process's start time in clock ticks since boot, which with the PID names one process for good.

    None when it ended, whether or not its parent has asked for its exit status yet.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def alive(pid: int | None, started: str | None) -> bool:
    """Whether the very process that was written down as (pid, start time) still runs."""
    return pid is not None and started is not None and start_time(pid) == started
