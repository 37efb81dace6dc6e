# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path
from typing import Any

_LISTEN = "0A"


def listeners(root: str = "/") -> list[dict[str, Any]]:
    """Listening TCP sockets: address, port, and, where it can be seen, pid, process name and systemd unit.

    A socket of another process namespace shows no owner: pid, process and unit are None then.
    """
    sockets = []
    for name, version in (("tcp", 4), ("tcp6", 6)):
        for line in _lines(Path(root, "proc/net", name))[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN:
                address, port = fields[1].split(":")
                sockets.append((_address(address, version), int(port, 16), fields[9]))
    owners = _owners(root, {inode for _address_text, _port, inode in sockets})
    found = []
    for host, number, inode in sockets:
        pid = owners.get(inode)
        found.append(
            {
                "address": host,
                "port": number,
                "pid": pid,
                "process": _first_line(Path(root, "proc", str(pid), "comm")) if pid else None,
                "unit": _unit(root, pid) if pid else None,
            }
        )
    return sorted(found, key=lambda item: (item["port"], item["address"]))


def _address(text: str, version: int) -> str:
    """The kernel prints each 32-bit word of an address in the machine's own byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    raw = b"".join(struct.pack("=I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET if version == 4 else socket.AF_INET6, raw)


def _owners(root: str, inodes: set[str]) -> dict[str, int]:
    """Socket inode -> the lowest pid that holds it."""
    owners = {}  # type: dict[str, int]
    pids = sorted((int(entry.name) for entry in Path(root, "proc").iterdir() if entry.name.isdigit()), reverse=True)
    for pid in pids:
        for target in _open_files(Path(root, "proc", str(pid), "fd")):
            if target.startswith("socket:[") and target[8:-1] in inodes:
                owners[target[8:-1]] = pid
    return owners


def _open_files(folder: Path) -> list[str]:
    """What the descriptors point at; empty for a process that ended meanwhile or that we may not look into."""
    targets = []
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                targets.append(str(entry.readlink()))
    return targets


def _unit(root: str, pid: int) -> str | None:
    """The innermost service or scope of the process's cgroup path."""
    for line in _lines(Path(root, "proc", str(pid), "cgroup")):
        for part in reversed(line.partition("::")[2].split("/")):
            if part.endswith((".service", ".scope", ".socket")):
                return _unescape(part)
    return None


def _unescape(unit: str) -> str:
    """systemd writes unit names into cgroup paths as they are, but puts "_" before those the kernel would mistake."""
    return unit[1:] if unit.startswith("_") else unit


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _first_line(path: Path) -> str | None:
    lines = _lines(path)
    return lines[0] if lines else None
