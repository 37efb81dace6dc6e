# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import json
import os
import threading
import time


class Progress:
    """Keeps a small JSON file fresh while something long runs; does nothing without a path.

    The file holds ``{"schema": 1, "stage", "done_bytes", "total_bytes", "message"}`` and is replaced as a whole, so
    that a reader never sees half of it. Safe to use from several threads.
    """

    INTERVAL_SECONDS = 0.5

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stage = "start"
        self._message = ""
        self._done = 0
        self._total = 0
        self._written = 0.0

    def stage(self, name: str, message: str, done_bytes: int = 0, total_bytes: int = 0) -> None:
        """Begin a stage, whose size in bytes may be known."""
        with self._lock:
            self._stage, self._message = name, message
            self._done, self._total = done_bytes, total_bytes
            self._write()

    def add(self, count: int) -> None:
        """Count bytes as done (or, with a negative count, as not done after all)."""
        with self._lock:
            self._done += count
            if time.monotonic() - self._written >= self.INTERVAL_SECONDS:
                self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._path:
            return
        state = {
            "schema": 1,
            "stage": self._stage,
            "done_bytes": self._done,
            "total_bytes": self._total,
            "message": self._message,
        }
        temporary = "%s.%d.tmp" % (self._path, os.getpid())
        try:
            with open(temporary, "w", encoding="utf-8") as handle:
                json.dump(state, handle)
            os.replace(temporary, self._path)
        except OSError:
            # To show progress is a courtesy: a full /tmp must not stop a download.
            self._path = None
