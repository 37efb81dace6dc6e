# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from ._http import explain

# Longer than a neighbour ever makes us wait before it says that it has nothing yet. Seconds.
SILENCE_SECONDS = 20.0
SMALL_PIECE_BYTES = 4 << 20
LARGE_PIECE_BYTES = 16 << 20
LARGE_FILE_BYTES = 1 << 30


class Unreachable(Exception):
    """The neighbour does not answer as one of this run does. Its text is one clause."""


def snapshot_key(model_id: str, revision: str) -> str:
    """The name of a snapshot among neighbours."""
    return hashlib.sha256(("%s@%s" % (model_id, revision)).encode("utf-8")).hexdigest()


def file_key(path: str) -> str:
    """The name of a file among neighbours."""
    return hashlib.sha256(path.encode("utf-8")).hexdigest()


def piece_bytes(size: int) -> int:
    """Into pieces of how many bytes a file of ``size`` bytes is cut: the same on every host."""
    return LARGE_PIECE_BYTES if size >= LARGE_FILE_BYTES else SMALL_PIECE_BYTES


@dataclass(frozen=True)
class Answer:
    """What a neighbour has of a file: ``data`` is what was asked for, or None while it is not there.

    ``state`` is whole, fetching, waiting (it has not begun) or ended (it gave up); ``have`` is in bytes. ``moved``
    changes as long as its fetching gets on.
    """

    state: str
    have: int
    data: bytes | None = None
    moved: str = ""


class Neighbour:
    """Another host of the run that serves what it has. One connection per thread, never through a proxy."""

    def __init__(self, name: str, address: str, port: int, token: str, key: str, own: str) -> None:
        """``own`` is the address that it knows this host by."""
        self.name = name
        self._address, self._port, self._own = address, port, own
        self._headers = {"Authorization": "Bearer " + token}
        self._key = key
        self._local = threading.local()
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._failed = 0.0
        # When it answered last, by the monotonic clock; it has that long until it must.
        self.answered = time.monotonic()
        self.strikes = 0
        self.dropped = ""

    def failed(self, cause: str) -> None:
        """Count a failure to answer; after three in a row the neighbour is taken for gone.

        Several threads may ask at once, and hear nothing at once: that is one failure.
        """
        with self._lock:
            if getattr(self._local, "begun", self._failed) < self._failed:
                return
            self._failed = time.monotonic()
            self._in_a_row += 1
            if self._in_a_row >= 3:
                self.dropped = self.dropped or cause

    def drop(self, cause: str) -> None:
        """Never ask it again."""
        self.dropped = self.dropped or cause

    def piece(self, path: str, first: int, last: int, wait: float) -> Answer:
        """Bytes ``first`` to ``last`` of a file, if they are there within ``wait`` seconds. Raises Unreachable."""
        extra = {"Range": "bytes=%d-%d" % (first, last), "X-Gpufleet-Wait": "%g" % wait}
        status, headers, body = self._ask("/v1/%s/%s" % (self._key, file_key(path)), extra, wait, last - first + 1)
        if status == 206 and len(body) == last - first + 1:
            return _answer(headers, body)
        if status == 204:
            return _answer(headers, None)
        raise Unreachable("answered %d" % status)

    def state(self, path: str) -> Answer:
        """What it has of a file. Raises Unreachable."""
        status, headers, _body = self._ask("/v1/%s/%s/state" % (self._key, file_key(path)), {}, 0, 0)
        if status != 204:
            raise Unreachable("answered %d" % status)
        return _answer(headers, None)

    def hashes(self, path: str, known: list[int], wait: float) -> tuple[Answer, list[list[str]]]:
        """For each range the SHA-256 of its pieces after the first ``known``. Raises Unreachable.

        It waits for at most ``wait`` seconds until there is one.
        """
        where = "/v1/%s/%s/pieces?known=%s" % (self._key, file_key(path), ",".join(map(str, known)))
        status, headers, body = self._ask(where, {"X-Gpufleet-Wait": "%g" % wait}, wait, 64 << 20)
        if status != 200:
            raise Unreachable("answered %d" % status)
        try:
            found = [[str(each) for each in hashes] for hashes in json.loads(body.decode("ascii"))]
        except (ValueError, TypeError):
            found = []
        if len(found) != len(known):
            raise Unreachable("answered no hashes")
        return _answer(headers, None), found

    def _ask(self, where: str, extra: dict[str, str], wait: float, limit: int) -> tuple[int, Any, bytes]:
        fresh = False
        self._local.begun = time.monotonic()
        while True:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = http.client.HTTPConnection(
                    self._address, self._port, timeout=wait + SILENCE_SECONDS, source_address=(self._own, 0)
                )
                self._local.connection, fresh = connection, True
            elif connection.sock is not None:
                connection.sock.settimeout(wait + SILENCE_SECONDS)
            try:
                connection.request("GET", where, headers={**self._headers, **extra})
                answer = connection.getresponse()
                body = answer.read(limit + 1)
                if answer.length or len(body) > limit:
                    raise http.client.HTTPException("sent more than was asked for")
                self._in_a_row, self.answered = 0, time.monotonic()
                return answer.status, answer.headers, body
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                self._local.connection = None
                # A connection that lay idle may have been closed at the other end; a new one tells.
                if fresh:
                    raise Unreachable(explain(error)) from None


def _answer(headers: Any, data: bytes | None) -> Answer:
    have = headers.get("X-Gpufleet-Have", "0")
    state, moved = headers.get("X-Gpufleet-State", "ended"), headers.get("X-Gpufleet-Moved", "")
    return Answer(state, int(have) if have.isdigit() else 0, data, moved)
