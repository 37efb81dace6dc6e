# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import os
import struct
import threading
from typing import Any

from ._store import READ_BYTES, Hashes
from ._types import FileEntry

# A file is fetched in ranges of this size, several at a time. Larger files get larger ranges: a hub counts requests.
RANGE_BYTES = 64 << 20
MOST_RANGES = 128
# Below this size a file is hashed when it is complete; a thread of its own would cost more than it saves.
FOLLOW_FROM_BYTES = 8 << 20

_HEAD = struct.Struct("<8sQQ")
_COUNT = struct.Struct("<Q")
_MAGIC = b"gpufleet"
_ZEROS = bytes(READ_BYTES)


class Part:
    """A file under way, and how many bytes of each of its ranges are there; both survive kill -9.

    A file of one range grows, and its size says what is there. A larger one has its final size, with holes, from the
    start; next to it ``<path>.ranges`` says what is there of each range, written after the bytes themselves.
    Every range is written by one thread at a time; different ranges by several.
    """

    def __init__(self, path: str, entry: FileEntry) -> None:
        self.path = path
        self.entry = entry
        self.step = _step(entry.size)
        self.have: list[int] = []
        self._file = -1
        self._state = -1
        self._load()

    @property
    def ranges(self) -> int:
        return len(self.have)

    @property
    def done(self) -> int:
        """Bytes that are there."""
        return sum(self.have)

    def length(self, index: int) -> int:
        """Size of one range in bytes."""
        return min(self.step, self.entry.size - index * self.step) if self.entry.size else 0

    def left(self, index: int) -> int:
        return self.length(index) - self.have[index]

    def position(self, index: int) -> int:
        """Where in the file the next byte of this range goes."""
        return index * self.step + self.have[index]

    @property
    def whole(self) -> bool:
        return self.done == self.entry.size

    def frontier(self, begin: int) -> int:
        """Up to where the file is there without a gap, from ``begin`` on."""
        index = min(begin // max(self.step, 1), self.ranges - 1)
        while index < self.ranges - 1 and not self.left(index):
            index += 1
        return self.position(index)

    def open(self) -> None:
        """Have the file open for writing. Raises OSError."""
        if self._file >= 0:
            return
        if self.ranges > 1 and self._state < 0:
            # Written out, not a hole: to count what came must not fail on a full disk.
            state = os.open(self.path + ".ranges", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._state = state
            counts = b"".join(_COUNT.pack(each) for each in self.have)
            os.pwrite(state, _HEAD.pack(_MAGIC, self.entry.size, self.step) + counts, 0)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self.ranges > 1:
            os.ftruncate(self._file, self.entry.size)

    def write(self, index: int, data: Any) -> None:
        """Put the next bytes of a range in their place. Raises OSError."""
        position, size = self.position(index), len(data)
        # What is all zero stays a hole: a sparse file stays sparse.
        if self.ranges == 1 or data[0] or data[size // 2] or data[size - 1] or bytes(data) != _ZEROS[:size]:
            written = 0
            while written < size:
                written += os.pwrite(self._file, data[written:], position + written)
        self.have[index] += size
        if self._state >= 0:
            os.pwrite(self._state, _COUNT.pack(self.have[index]), _HEAD.size + _COUNT.size * index)

    def read(self, buffer: memoryview, position: int, limit: int) -> int:
        """Read what is there between ``position`` and ``limit`` into the buffer; gives the number of bytes."""
        return os.preadv(self._file, [buffer[: min(len(buffer), limit - position)]], position)

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        for handle in (self._file, self._state):
            if handle >= 0:
                os.close(handle)
        self._file = self._state = -1

    def forget(self, flat: bool = False) -> None:
        """Begin again with nothing; ``flat``: as one range, for a server that cannot send parts of a file."""
        self.close()
        remove(self.path)
        remove(self.path + ".ranges")
        if flat:
            self.step = self.entry.size
        self.have = [0] * _count(self.entry.size, self.step)

    def finish(self, target: str) -> None:
        """Become ``target``."""
        os.fchmod(self._file, 0o644)
        self.close()
        os.replace(self.path, target)
        remove(self.path + ".ranges")

    def _load(self) -> None:
        there = os.path.getsize(self.path) if os.path.isfile(self.path) else 0
        self.have = [0] * _count(self.entry.size, self.step)
        if there > self.entry.size:
            remove(self.path)
            there = 0
        if self.ranges == 1:
            self.have[0] = there
            return
        if not there or self._load_state():
            return
        # Without its counts such a file is one that grew: what is there of it is its beginning.
        remove(self.path + ".ranges")
        if there < self.entry.size:
            for index in range(self.ranges):
                self.have[index] = max(0, min(self.length(index), there - index * self.step))

    def _load_state(self) -> bool:
        try:
            with open(self.path + ".ranges", "rb") as handle:
                data = handle.read()
        except OSError:
            return False
        if len(data) != _HEAD.size + _COUNT.size * self.ranges:
            return False
        if _HEAD.unpack_from(data) != (_MAGIC, self.entry.size, self.step):
            return False
        counts = [each[0] for each in _COUNT.iter_unpack(data[_HEAD.size :])]
        if any(count > self.length(index) for index, count in enumerate(counts)):
            return False
        self.have = counts
        return True


def unfinished_bytes(path: str, entry: FileEntry) -> int:
    """Bytes of ``entry`` that an earlier run left at ``path``; nothing is changed."""
    if not os.path.isfile(path):
        return 0
    part = Part.__new__(Part)
    part.path, part.entry, part.step, part._file, part._state = path, entry, _step(entry.size), -1, -1
    part.have = [0] * _count(entry.size, part.step)
    if part.ranges > 1 and part._load_state():
        return part.done
    there = os.path.getsize(path)
    return there if there < entry.size or (part.ranges == 1 and there == entry.size) else 0


class Follower:
    """Hashes a file right behind those who write it, so that no byte is read from the disk a second time."""

    BUFFER_BYTES = 4 << 20
    # Waking up for every piece that arrives would cost more than hashing it.
    LEAST_BYTES = 1 << 20

    def __init__(self, part: Part) -> None:
        self._part = part
        self._hashes = Hashes(part.entry)
        self._position = 0
        self._wake = threading.Condition()
        self._ended = False
        self._abandoned = False
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        if part.entry.size >= FOLLOW_FROM_BYTES:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def advanced(self) -> None:
        """More of the file is there."""
        if self._thread and self._part.frontier(self._position) - self._position >= self.LEAST_BYTES:
            with self._wake:
                self._wake.notify()

    def finish(self) -> Hashes:
        """The hashes of the whole file, which must be there by now. Raises OSError."""
        if self._thread:
            with self._wake:
                self._ended = True
                self._wake.notify()
            self._thread.join()
            self._thread = None
        if self._error:
            raise self._error
        self._catch_up(memoryview(bytearray(min(self.BUFFER_BYTES, self._part.entry.size) or 1)))
        return self._hashes

    def abandon(self) -> None:
        """End without a result."""
        if self._thread:
            with self._wake:
                self._abandoned = True
                self._wake.notify()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        buffer = memoryview(bytearray(self.BUFFER_BYTES))
        while True:
            with self._wake:
                if self._ended or self._abandoned:
                    return
                if self._part.frontier(self._position) - self._position < self.LEAST_BYTES:
                    # The limit only guards against a wake-up that came in between.
                    self._wake.wait(0.2)
            try:
                self._catch_up(buffer)
            except OSError as error:
                self._error = error
                return

    def _catch_up(self, buffer: memoryview) -> None:
        while not self._abandoned:
            limit = self._part.frontier(self._position)
            if self._position >= limit:
                return
            count = self._part.read(buffer, self._position, limit)
            if not count:
                raise OSError("the file became shorter while it was written")
            self._hashes.update(buffer[:count])
            self._position += count


def _step(size: int) -> int:
    if size < 2 * RANGE_BYTES:
        return size
    step = max(RANGE_BYTES, -(-size // MOST_RANGES))
    return -(-step // READ_BYTES) * READ_BYTES


def _count(size: int, step: int) -> int:
    return max(1, -(-size // step)) if size else 1


def remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
