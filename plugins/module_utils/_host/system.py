# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

# A command as a list of words -> exit status and standard output.
RunCommand = Callable[[Sequence[str]], tuple[int, str]]


def os_release(root: str = "/") -> dict[str, str]:
    """ID, VERSION_ID and PRETTY_NAME of os-release; an absent file or field gives an empty string."""
    fields = {}  # type: dict[str, str]
    for path in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = Path(root, path).read_text(encoding="utf-8")
        except OSError:
            continue
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and not key.startswith("#"):
                try:
                    fields[key.strip()] = " ".join(shlex.split(value))
                except ValueError:
                    fields[key.strip()] = value.strip()
        break
    return {
        "id": fields.get("ID", ""),
        "version": fields.get("VERSION_ID", ""),
        "name": fields.get("PRETTY_NAME", ""),
    }


def memory_bytes(root: str = "/") -> dict[str, int]:
    """Total and available memory in bytes; a memory limit on the host's own cgroup lowers both."""
    values = {}  # type: dict[str, int]
    for line in Path(root, "proc/meminfo").read_text(encoding="ascii").splitlines():
        match = re.match(r"(\w+):\s+(\d+) kB", line)
        if match:
            values[match.group(1)] = int(match.group(2)) * 1024
    total = values.get("MemTotal", 0)
    available = values.get("MemAvailable", values.get("MemFree", 0))
    limit = _cgroup_number(root, "memory.max")
    if limit is not None and limit < total:
        used = _cgroup_number(root, "memory.current") or 0
        total = limit
        available = min(available, max(0, limit - used))
    return {"total_bytes": total, "available_bytes": available}


def _cgroup_number(root: str, name: str) -> int | None:
    try:
        text = Path(root, "sys/fs/cgroup", name).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def systemd_state(run: RunCommand, root: str = "/") -> dict[str, Any]:
    """Whether systemd is the init system (`running`) and its version, or None where it is not installed.

    /run/systemd/system exists exactly while systemd is PID 1: sd_booted(3) tests the same.
    """
    running = Path(root, "run/systemd/system").is_dir()
    code, out = run(["systemctl", "--version"])
    match = re.match(r"systemd (\d+)", out) if code == 0 else None
    return {"running": running, "version": int(match.group(1)) if match else None}
