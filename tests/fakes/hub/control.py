# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a test can make the hub do wrong, and what it remembers.

A fault is an object ``{"match": regex over "METHOD path", "times": how often (default: always), ...}`` with some of:

    status, headers   answer this instead
    cut               send that many bytes of the body, then close the connection
    stall             after ``cut`` bytes (or none) keep the connection open and silent for that many seconds
    rate              bytes per second
    shared_rate       bytes per second for all requests together that have this fault, as on one line
    flip              change the last bit of the first chunk
    length            announce this many bytes more than there are
    no_range          ignore Range
    after             let that many matching requests pass first
    empty             send a file of no bytes
    trickle           send one byte, and another one each time so many seconds have passed
    lost              list this file as ModelScope lists what it has lost: with the hash of zero bytes
    other_hash        list this file with a hash that it does not have
    symlink           list this file as a symbolic link
    replace           in a file list: ``{"old": path, "new": path}``
"""

from __future__ import annotations

import re
import threading
import time
from typing import Any

FOREVER = 1 << 30


class Control:
    """Faults and log, shared by all connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy_until = 0.0
        self._faults: list[dict[str, Any]] = []
        self._log: list[dict[str, Any]] = []
        self._sent = 0
        self._at_once = 0
        #: most contents that were sent at the same time
        self.most_at_once = 0

    def set_faults(self, faults: list[dict[str, Any]]) -> None:
        with self._lock:
            self._faults = [dict(each) for each in faults]

    def reset(self) -> None:
        with self._lock:
            self._faults, self._log, self._sent = [], [], 0

    def seen(self, method: str, path: str, byte_range: str | None, authorized: bool) -> dict[str, Any]:
        """Record a request and return the fault for it, or an empty one."""
        with self._lock:
            self._log.append({"method": method, "path": path, "range": byte_range, "authorized": authorized})
            for fault in self._faults:
                if fault.get("times", FOREVER) > 0 and re.search(fault["match"], "%s %s" % (method, path)):
                    if fault.get("after", 0) > 0:
                        fault["after"] -= 1
                        continue
                    fault["times"] = fault.get("times", FOREVER) - 1
                    return fault
            return {}

    def sending(self, change: int) -> None:
        with self._lock:
            self._at_once += change
            self.most_at_once = max(self.most_at_once, self._at_once)

    def turn(self, count: int, rate: float) -> float:
        """How long to wait, in seconds, until so many bytes fit on a line of this rate."""
        with self._lock:
            now = time.monotonic()
            self._busy_until = max(self._busy_until, now) + count / rate
            return self._busy_until - now

    def sent(self, count: int) -> None:
        with self._lock:
            self._sent += count

    def report(self) -> dict[str, Any]:
        with self._lock:
            return {"log": list(self._log), "sent_bytes": self._sent}
