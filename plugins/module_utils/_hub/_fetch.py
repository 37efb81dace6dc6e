# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import random
import threading
from dataclasses import dataclass
from typing import Any, Callable

from .._errors import Problem
from ._dialects import Hub
from ._http import HttpFailure, explain
from ._store import READ_BYTES, Hashes, Place, free_bytes, hash_file, make_dirs, no_space
from ._types import FileEntry, Listing


@dataclass
class Settings:
    """How hard a file is tried for. Times in seconds."""

    retries: int = 8  # failures in a row, without a byte in between, before a file is given up
    backoff: float = 0.5  # first pause; doubles each time
    longest_pause: float = 30.0
    longest_retry_after: float = 300.0  # a hub may ask for more patience than this, but does not get it
    stop: threading.Event | None = None


class Stopped(Exception):
    """Another file of the same snapshot failed; this one ends where it is and resumes next time."""


class _Bad(Exception):
    """The answer cannot be used: wrong range, length or content. ``spoiled``: what is on disk is worthless too."""

    def __init__(self, cause: str, spoiled: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.spoiled = spoiled


class _Part:
    """A file under way: what is on disk of it, and the hash of that, kept over all attempts of this run."""

    def __init__(self, path: str, entry: FileEntry) -> None:
        self.path = path
        self.entry = entry
        self.exists = os.path.exists(path)
        self.size = os.path.getsize(path) if self.exists else 0
        self.hashes = hash_file(path, entry) if self.size else Hashes(entry)

    def append(self, out: Any, data: Any) -> None:
        written = 0
        while written < len(data):
            count = out.write(data[written:])
            self.hashes.update(data[written : written + count])
            self.size += count
            written += count

    def forget(self) -> None:
        _remove(self.path)
        self.exists = False
        self.size = 0
        self.hashes = Hashes(self.entry)


class _Attempts:
    """Decides whether to go on and with which endpoint (``turn``)."""

    ROW_PER_ENDPOINT = 3

    def __init__(self, retries: int, endpoints: int) -> None:
        self._retries = retries
        self._endpoints = endpoints
        self.turn = 0
        self.total = 0
        self.in_a_row = 0
        self.last = ""
        self._refused = 0
        self._spoiled = 0

    def failed(self, cause: str, progressed: bool, refused: bool = False, spoiled: bool = False) -> None:
        self.last = cause
        self.total += 1
        self.in_a_row = 1 if progressed else self.in_a_row + 1
        self._refused += refused
        self._spoiled += spoiled
        if refused or spoiled or self.in_a_row % self.ROW_PER_ENDPOINT == 0:
            self.turn += 1

    @property
    def hopeless(self) -> bool:
        # A whole file may be downloaded for nothing each time it turns out wrong: twice per endpoint is enough.
        return self.in_a_row > self._retries or self._refused >= self._endpoints or self._spoiled >= 2 * self._endpoints


class FileFetcher:
    """Brings files of one listing into the work directory, each whole and verified or not at all."""

    def __init__(
        self,
        hubs: list[Hub],
        listing: Listing,
        place: Place,
        settings: Settings,
        received: Callable[[int], None],
        counted: Callable[[int], None],
    ) -> None:
        """``hubs`` are the endpoints that may serve, best first.

        ``received`` gets the bytes that came over the network; ``counted`` those that are done or, negative, not done
        after all.
        """
        self._hubs = hubs
        self._listing = listing
        self._place = place
        self._settings = settings
        self._received = received
        self._counted = counted
        self._stop = settings.stop or threading.Event()

    def fetch(self, entry: FileEntry) -> FileEntry:
        """Fetch one file and return its entry with the sha256. Raises Problem or Stopped."""
        attempt = _Attempts(self._settings.retries, len(self._hubs))
        part = _Part(self._place.part(entry.path), entry)
        while True:
            before = part.size
            hub = self._hubs[attempt.turn % len(self._hubs)]
            pause = None
            meaning = None
            try:
                self._attempt(hub, entry, part)
                break
            except HttpFailure as failure:
                meaning = hub.problem(failure, self._listing.model_id, self._listing.revision)
                attempt.failed(failure.cause, part.size > before, refused=not failure.temporary)
                pause = failure.retry_after
            except _Bad as bad:
                attempt.failed(bad.cause, False, spoiled=bad.spoiled)
                if bad.spoiled:
                    self._counted(-part.size)
                    part.forget()
            except OSError as error:
                raise self._local(entry, error) from error
            if attempt.hopeless:
                raise self._given_up(entry, hub, meaning, attempt)
            self._pause(attempt.in_a_row, pause)
        return FileEntry(entry.path, entry.size, part.hashes.sha256, entry.git_sha1)

    def _attempt(self, hub: Hub, entry: FileEntry, part: _Part) -> None:
        """One request at most; what it got stays for the next one."""
        if part.size > entry.size:
            raise _Bad("there are more bytes on disk than the file has", spoiled=True)
        if part.size < entry.size or not part.exists:
            self._transfer(hub, entry, part)
        if not part.hashes.match():
            raise _Bad("the content does not have the hash that %s lists" % self._listing.endpoint, spoiled=True)
        target = os.path.join(self._place.data, entry.path)
        make_dirs(os.path.dirname(target))
        os.chmod(part.path, 0o644)
        os.replace(part.path, target)

    def _transfer(self, hub: Hub, entry: FileEntry, part: _Part) -> None:
        """Append what is missing to the part. Raises HttpFailure or _Bad when the answer stops early."""
        with open(part.path, "ab", buffering=0) as out:
            part.exists = True
            if entry.size:
                extra = {"Range": "bytes=%d-" % part.size} if part.size else {}
                url = hub.file_url(self._listing.model_id, self._listing.revision, entry.path)
                with hub.client.open(url, extra) as answer:
                    _check_answer(answer, entry, part.size)
                    self._copy(url, answer, out, part)
                os.fsync(out.fileno())

    def _copy(self, url: str, answer: Any, out: Any, part: _Part) -> None:
        left = part.entry.size - part.size
        while left:
            if self._stop.is_set():
                raise Stopped()
            try:
                # Not readinto: it waits until its buffer is full, and loses what it holds when the server falls silent.
                data = answer.read1(min(left, READ_BYTES))
            except (OSError, http.client.HTTPException) as error:
                raise HttpFailure(url, 0, explain(error)) from None
            if not data:
                raise HttpFailure(url, 0, "the connection was cut with %d bytes missing" % left)
            part.append(out, memoryview(data))
            left -= len(data)
            self._received(len(data))
            self._counted(len(data))

    def _pause(self, failures: int, retry_after: float | None) -> None:
        settings = self._settings
        if retry_after is not None:
            seconds = min(retry_after, settings.longest_retry_after)
        else:
            seconds = min(settings.backoff * 2 ** (failures - 1), settings.longest_pause)
            # Many hosts start together; without some chance they would also come back together.
            seconds *= random.uniform(0.75, 1.25)  # noqa: S311
        if self._stop.wait(seconds):
            raise Stopped()

    def _given_up(self, entry: FileEntry, hub: Hub, meaning: Any, attempt: _Attempts) -> Problem:
        asked = "file %s of %s from %s" % (entry.path, self._listing.model_id, hub.endpoint)
        if isinstance(meaning, Problem) and meaning.code == "hub.unauthorized":
            return meaning
        if isinstance(meaning, Problem):
            return Problem(
                "hub.missing_file",
                asked,
                "the hub lists it but answers 404 for it",
                "Use another endpoint or source for this model",
            )
        return Problem(
            "model.damaged" if meaning is None else "hub.unreachable",
            asked,
            "gave up after %d failures, the last: %s" % (attempt.total, attempt.last),
            "Run again to go on where it stopped, or set gpufleet_hub_endpoints to a better hub or mirror",
        )

    def _local(self, entry: FileEntry, error: OSError) -> Problem:
        store = self._place.store
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return no_space(store, entry.size, free_bytes(store))
        return Problem(
            "model.store_unwritable",
            "file %s below %s" % (entry.path, store),
            explain(error),
            "Check that the model store is writable for root on this host",
        )


def _check_answer(answer: Any, entry: FileEntry, have: int) -> None:
    """Raise _Bad if this answer is not the rest of the listed file."""
    length = answer.headers.get("Content-Length")
    if have and answer.status != 206:
        raise _Bad("the server ignores ranges, so the file starts again", spoiled=True)
    if have:
        content_range = answer.headers.get("Content-Range") or ""
        if content_range.replace("bytes", "").strip().partition("-")[0] != str(have):
            raise _Bad("the server sends another range than asked for (%s)" % content_range)
    left = entry.size - have
    if length is not None and length.isdigit() and int(length) != left:
        raise _Bad("the server announces %s bytes where %d are missing" % (length, left))


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
