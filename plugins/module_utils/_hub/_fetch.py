# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import errno
import os
import random
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable

from .._errors import Problem
from ._http import HttpFailure, explain
from ._part import Follower, Part
from ._servers import Servers
from ._store import READ_BYTES, Place, free_bytes, make_dirs, no_space
from ._transfer import SLOWEST_BYTES_PER_SECOND, Bad, Stale, Stopped, Target, copy_range, request
from ._types import ZERO_BYTES_REMEDY, FileEntry, Listing


@dataclass
class Settings:
    """How hard a file is tried for. Times in seconds."""

    retries: int = 8  # failures in a row, with next to nothing in between, before a file is given up
    backoff: float = 0.5  # first pause; doubles each time
    longest_pause: float = 30.0
    longest_retry_after: float = 300.0  # a hub may ask for more patience than this, but does not get it


class _Job:
    """One file on its way: its part, and what went wrong so far. Changed only with the download's lock held."""

    def __init__(self, entry: FileEntry, path: str) -> None:
        self.entry = entry
        self.part = Part(path, entry)
        self.follower: Follower | None = None
        self.waiting: deque[int] = deque()
        self.active = 0
        # Counts the beginnings: whoever still fetches for an earlier one stops.
        self.turn = 0
        self.broken = ""
        self.flat = False
        self.refused: list[Any] = []
        self.spoiled: dict[Any, int] = {}
        self.used: list[Any] = []
        self.locations: dict[Any, str] = {}
        self.failures = 0
        self.last = ""
        self.last_server: Any = None
        self.meaning: Any = None
        self.empty = ""

    def begin(self) -> None:
        self.part.open()
        self.follower = Follower(self.part)
        self.used = []
        self.waiting = deque(index for index in range(self.part.ranges) if self.part.left(index))

    def begin_again(self) -> None:
        if self.follower:
            self.follower.abandon()
        self.part.forget(self.flat)
        self.broken = ""
        self.turn += 1
        self.begin()

    def end(self) -> None:
        if self.follower:
            self.follower.abandon()
        self.part.close()


class Download:
    """Brings files of one listing into the work directory, each whole and verified or not at all.

    ``workers`` threads fetch ranges: of different files where there are enough of them, else of the same one.
    """

    ROW_PER_SERVER = 3

    def __init__(
        self,
        servers: Servers,
        listing: Listing,
        place: Place,
        settings: Settings,
        received: Callable[[int], None],
        progress: Any,
        holds: Callable[[bool], None] = lambda _surely: None,
    ) -> None:
        """``received`` gets the bytes that came over the network; ``progress`` is a Progress.

        ``holds`` raises when another host has taken the place over, and looks twice where it must be sure.
        """
        self._servers = servers
        self._listing = listing
        self._place = place
        self._settings = settings
        self._received = received
        self._progress = progress
        self._holds = holds
        self._stop = threading.Event()
        self._turn = threading.Condition()
        self._pending: deque[FileEntry] = deque()
        self._running: list[_Job] = []
        self._workers = 1
        self._done: dict[str, FileEntry] = {}
        self._error: BaseException | None = None

    def run(self, entries: list[FileEntry], workers: int) -> list[FileEntry]:
        """Fetch all, largest first, and return their entries with the sha256. The first failure stops the others.

        Raises Problem; what has come stays for the next run.
        """
        self._pending = deque(sorted(entries, key=lambda each: -each.size))
        self._workers = max(1, workers)
        threads = [threading.Thread(target=self._work, daemon=True) for _number in range(self._workers)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            self._stop.set()
            for job in self._running:
                job.end()
        if self._error:
            raise self._error
        return [self._done[each.path] for each in entries]

    # -- who does what

    def _work(self) -> None:
        buffer = memoryview(bytearray(READ_BYTES))
        job: _Job | None = None
        try:
            while True:
                taken = self._take()
                if taken is None:
                    return
                job, index, turn = taken
                if index >= 0:
                    with contextlib.suppress(Stale):
                        self._fetch(job, index, turn, buffer)
                self._put_back(job)
        except Stopped:
            pass
        except OSError as error:
            self._fail(self._local(job.entry if job else None, error))
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._turn:
            self._error = self._error or error
            self._stop.set()
            self._turn.notify_all()

    def _take(self) -> tuple[_Job, int, int] | None:
        """The next range to fetch: a file, its range (-1: nothing of it is missing) and the file's turn."""
        with self._turn:
            while not self._stop.is_set():
                if self._pending and len(self._running) < self._workers:
                    entry = self._pending.popleft()
                    job = _Job(entry, self._place.part(entry.path))
                    job.active = 1
                    self._running.append(job)
                    job.begin()
                    return job, job.waiting.popleft() if job.waiting else -1, job.turn
                open_jobs = [each for each in self._running if each.waiting and not each.broken]
                if open_jobs:
                    job = min(open_jobs, key=lambda each: each.active)
                    job.active += 1
                    return job, job.waiting.popleft(), job.turn
                if not self._running and not self._pending:
                    return None
                self._turn.wait()
            return None

    def _put_back(self, job: _Job) -> None:
        """The last one to leave a file ends it, or begins it again."""
        with self._turn:
            if job.active > 1 or (job.waiting and not job.broken):
                job.active -= 1
                self._turn.notify_all()
                return
        # Nobody else works on this file, and while it has an active worker nobody will.
        if not job.broken:
            self._finish(job)
        with self._turn:
            job.active -= 1
            if job.broken:
                self._progress.add(-job.part.done)
                job.begin_again()
            else:
                self._running.remove(job)
            self._turn.notify_all()

    def _finish(self, job: _Job) -> None:
        if job.follower is None:
            raise RuntimeError("a file ended that was never begun")
        hashes = job.follower.finish()
        if not hashes.match():
            with self._turn:
                cause = "the content does not have the hash that %s lists" % self._listing.endpoint
                self._spoil(job, cause, job.used)
            return
        self._holds(True)
        target = os.path.join(self._place.data, job.entry.path)
        make_dirs(os.path.dirname(target))
        job.part.sync()
        job.part.finish(target)
        with self._turn:
            entry = job.entry
            self._done[entry.path] = FileEntry(entry.path, entry.size, hashes.sha256, entry.git_sha1)
        self._progress.file_done()

    # -- one range

    def _fetch(self, job: _Job, index: int, turn: int, buffer: memoryview) -> None:
        """Fetch what is missing of one range, whatever it takes. Raises Problem, Stopped, Stale or OSError."""
        part, in_a_row, counted = job.part, 0, job.part.have[index]
        while part.left(index):
            if job.turn != turn or job.broken:
                raise Stale()
            with self._turn:
                server = self._servers.choose(job.entry, job.refused, job.spoiled)
                if server is None:
                    raise self._given_up(job)
            pause = None
            try:
                self._transfer(server, job, index, turn, buffer)
            except HttpFailure as failure:
                known = job.locations.pop(server, None)
                if known and not failure.temporary:
                    # The address it once redirected to has expired.
                    continue
                pause = failure.retry_after
                with self._turn:
                    job.meaning = server.problem(failure, self._listing.model_id, self._listing.revision)
                    job.failures, job.last, job.last_server = job.failures + 1, failure.cause, server
                    if not failure.temporary and server not in job.refused:
                        job.refused.append(server)
            except Bad as bad:
                with self._turn:
                    if job.turn != turn or job.broken:
                        # Another range of the file has said so already.
                        raise Stale() from None
                    job.meaning, job.empty = None, bad.cause if bad.empty else job.empty
                    job.failures, job.last, job.last_server = job.failures + 1, bad.cause, server
                    if bad.spoiled:
                        job.flat = job.flat or part.ranges > 1
                        self._spoil(job, bad.cause, [server])
                        raise Stale() from None
                    if bad.empty:
                        job.spoiled[server] = job.spoiled.get(server, 0) + 1
            if not part.left(index):
                return
            in_a_row += 1
            if part.have[index] - counted >= SLOWEST_BYTES_PER_SECOND * server.client.timeout:
                # A few bytes before each cut are no progress: so a file would never come, and never be given up.
                in_a_row, counted = 1, part.have[index]
            if in_a_row > self._settings.retries:
                raise self._given_up(job)
            if in_a_row % self.ROW_PER_SERVER == 0:
                self._servers.demote(server)
            self._pause(in_a_row, pause)

    def _transfer(self, server: Any, job: _Job, index: int, turn: int, buffer: memoryview) -> None:
        """One request at most; what it got stays for the next one."""
        part = job.part
        first = part.position(index)
        last = first + part.left(index) - 1
        whole = first == 0 and last == job.entry.size - 1
        url = server.file_url(self._listing.model_id, self._listing.revision, job.entry.path)
        with request(server, url, job.locations.get(server), None if whole else (first, last)) as answer:
            if answer.geturl() != url:
                job.locations[server] = answer.geturl()
            self._progress.source(server.endpoint)
            target = Target(url, part, index, lambda: self._ended(job, turn))
            for count in copy_range(answer, target, buffer, server.client.timeout):
                if server not in job.used:
                    job.used.append(server)
                self._received(count)
                self._progress.add(count)
                if job.follower:
                    job.follower.advanced()
        if self._stop.is_set():
            raise Stopped()

    def _ended(self, job: _Job, turn: int) -> bool:
        self._holds(False)
        return self._stop.is_set() or job.turn != turn or bool(job.broken)

    def _spoil(self, job: _Job, cause: str, servers: list[Any]) -> None:
        """What is on disk of the file is worthless; ``servers`` sent it. With the lock held."""
        job.broken, job.last = cause, cause
        job.failures += 1
        job.meaning = None
        for server in servers:
            job.spoiled[server] = job.spoiled.get(server, 0) + 1
            job.last_server = server
        if len(servers) == 1:
            self._servers.demote(servers[0])

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

    # -- what to say

    def _given_up(self, job: _Job) -> Problem:
        server = job.last_server or self._listing
        asked = "file %s of %s from %s" % (job.entry.path, self._listing.model_id, server.endpoint)
        if isinstance(job.meaning, Problem) and job.meaning.code == "hub.unauthorized":
            return job.meaning
        if isinstance(job.meaning, Problem):
            return Problem(
                "hub.missing_file",
                asked,
                "the hub lists it but answers 404 for it",
                "Use another endpoint or source for this model",
            )
        if job.empty:
            return Problem(
                "hub.zero_bytes",
                asked,
                "%s; gave up after %d failures" % (job.empty, job.failures),
                ZERO_BYTES_REMEDY,
            )
        return Problem(
            "model.damaged" if job.meaning is None else "hub.unreachable",
            asked,
            "gave up after %d failures, the last: %s" % (job.failures, job.last),
            "Run again to go on where it stopped, or set gpufleet_hub_endpoints to a better hub or mirror",
        )

    def _local(self, entry: FileEntry | None, error: OSError) -> Problem:
        store = self._place.store
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return no_space(store, entry.size if entry else 0, free_bytes(store))
        return Problem(
            "model.store_unwritable",
            "file %s below %s" % (entry.path if entry else "", store),
            explain(error),
            "Check that the model store is writable for root on this host",
        )
