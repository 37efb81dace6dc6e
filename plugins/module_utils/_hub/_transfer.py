# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator

from ._http import HttpFailure, explain
from ._part import Part
from ._types import EMPTY_SHA256

# A connection that brings less than this is as good as dead, although it is never silent for long.
SLOWEST_BYTES_PER_SECOND = 1024


class Stopped(Exception):
    """Another file of the same snapshot failed; this one ends where it is and resumes next time."""


class Stale(Exception):
    """The file is begun again, so this range of its former self is no longer wanted."""


class Bad(Exception):
    """The answer cannot be used. ``spoiled``: what is on disk is worthless too; ``empty``: a file without its bytes."""

    def __init__(self, cause: str, spoiled: bool = False, empty: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.spoiled = spoiled
        self.empty = empty


@dataclass
class Target:
    """Where an answer goes: one range of a part. ``ended`` says that nobody wants it any more."""

    url: str
    part: Part
    index: int
    ended: Callable[[], bool]


def request(server: Any, url: str, location: str | None, wanted: tuple[int, int] | None) -> Any:
    """Ask for a file, or for the bytes ``wanted`` (first and last) of it.

    ``location`` is where the server redirected to before: asking there spares it a request. Raises HttpFailure.
    """
    extra = {"Range": "bytes=%d-%d" % wanted} if wanted else {}
    if location:
        return server.client.open_elsewhere(url, location, extra)
    return server.client.open(url, extra)


def copy_range(answer: Any, target: Target, buffer: memoryview, timeout: float) -> Iterator[int]:
    """Write the answer's bytes to their place, and give the count of each piece. Memory stays as it is.

    ``timeout`` is in seconds. Raises HttpFailure or Bad when the answer stops early, OSError when the disk does.
    """
    part, index = target.part, target.index
    _check(answer, target)
    read = _reader(answer)
    since, came = time.monotonic(), 0
    while part.left(index):
        try:
            count = read(buffer[: min(part.left(index), len(buffer))])
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpFailure(target.url, 0, explain(error)) from None
        if target.ended():
            # Asked behind the reading, which may have taken long: meanwhile the part may have become another's.
            return
        if not count:
            if not part.done and not came:
                raise _empty(part)
            raise HttpFailure(target.url, 0, "the connection was cut with %d bytes missing" % part.left(index))
        part.write(index, buffer[:count])
        yield count
        came += count
        now = time.monotonic()
        if now - since >= timeout:
            if came < SLOWEST_BYTES_PER_SECOND * timeout and part.left(index):
                raise HttpFailure(target.url, 0, "sent only %d bytes in %d seconds" % (came, now - since))
            since, came = now, 0


def _reader(answer: Any) -> Callable[[memoryview], int]:
    """Reads what has arrived, and no more: a full buffer would be lost when the server falls silent."""
    raw = getattr(answer, "fp", None)
    if raw is not None and hasattr(raw, "readinto1") and not getattr(answer, "chunked", False):
        # Straight from the socket into the buffer. The counting of the length is ours.
        return lambda into: int(raw.readinto1(into))

    def copy(into: memoryview) -> int:
        data = answer.read1(len(into))
        into[: len(data)] = data
        return len(data)

    return copy


def _check(answer: Any, target: Target) -> None:
    """Raise Bad if this answer is not what is missing of the range."""
    part, index = target.part, target.index
    position, left = part.position(index), part.left(index)
    length = answer.headers.get("Content-Length")
    announced = int(length) if length is not None and length.isdigit() else None
    partial = position > 0 or left < part.entry.size
    if announced == 0:
        raise _empty(part)
    if partial and answer.status != 206:
        # At the very beginning of a file nothing is lost yet, but its ranges are of no use.
        raise Bad("the server ignores ranges, so the file starts again", spoiled=True)
    if partial:
        content_range = answer.headers.get("Content-Range") or ""
        if content_range.replace("bytes", "").strip().partition("-")[0] != str(position):
            raise Bad("the server sends another range than asked for (%s)" % content_range)
    if announced is not None and announced != left:
        raise Bad("the server announces %d bytes where %d are missing" % (announced, left))


def _empty(part: Part) -> Bad:
    return Bad(
        "zero bytes came instead of %d (SHA-256 %s..., which is that of nothing)" % (part.entry.size, EMPTY_SHA256[:8]),
        empty=True,
    )
