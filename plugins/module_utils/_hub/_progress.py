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

    The file holds ``{"schema": 1, "stage", "done_bytes", "total_bytes", "message", "files_done",
    "files_total", "source", "updated_at"}`` (bytes; seconds since 1970; ``source`` is who sends at this moment) and is
    replaced as a whole, so
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
        self._files_done = 0
        self._files_total = 0
        self._source = ""
        self._more = ""
        self._facts: dict[str, str] = {}

    def also(self, path: str, **facts: str) -> None:
        """Keep a second file fresh, for those who look at the store; it tells these ``facts`` too."""
        self._more, self._facts = path, facts

    def stage(self, name: str, message: str, done_bytes: int = 0, total_bytes: int = 0) -> None:
        """Begin a stage, whose size in bytes may be known."""
        with self._lock:
            self._stage, self._message = name, message
            self._done, self._total = done_bytes, total_bytes
            self._write()

    def files(self, done: int, total: int) -> None:
        """How many files the snapshot has, and how many of them are there."""
        with self._lock:
            self._files_done, self._files_total = done, total

    def file_done(self) -> None:
        """One more file is there and verified."""
        with self._lock:
            self._files_done += 1

    def source(self, endpoint: str) -> None:
        """Who sends now: an endpoint without secrets."""
        # Called for every request: without the lock, as a later call only says something newer.
        self._source = endpoint

    def add(self, count: int) -> None:
        """Count bytes as done (or, with a negative count, as not done after all)."""
        with self._lock:
            self._done += count
            if time.monotonic() - self._written >= self.INTERVAL_SECONDS:
                self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        state = {
            "schema": 1,
            "stage": self._stage,
            "done_bytes": self._done,
            "total_bytes": self._total,
            "message": self._message,
            "files_done": self._files_done,
            "files_total": self._files_total,
            "source": self._source,
            "updated_at": round(time.time(), 1),
        }
        if not _replace(self._path, state):
            self._path = None
        if not _replace(self._more, {**state, **self._facts}):
            self._more = ""


def _replace(path: str | None, state: dict[str, object]) -> bool:
    """Write a file as a whole. False: it cannot be. To show progress is a courtesy: a full /tmp stops no download."""
    if not path:
        return True
    temporary = "%s.%d.tmp" % (path, os.getpid())
    try:
        with open(temporary, "w", encoding="utf-8") as handle:
            json.dump(state, handle)
        os.replace(temporary, path)
    except OSError:
        return False
    return True
