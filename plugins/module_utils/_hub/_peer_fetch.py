# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import errno
import hashlib
import os
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, Callable

from ._part import Follower, Part
from ._peer_client import Neighbour, Unreachable, piece_bytes
from ._peers import Peers, Way
from ._store import Place, free_bytes, make_dirs, no_space
from ._types import FileEntry, Listing

# How long a neighbour may keep us waiting before others are asked. Seconds.
WAIT_SECONDS = 2.0
PAUSE_SECONDS = 1.0
# A neighbour that is so far behind the root, and has nothing more for us, is slow.
LAG_BYTES = 256 << 20


class _Ended(Exception):
    """Another file failed; this one ends where it is."""


class _NoSource(Exception):
    """No neighbour will ever have this file."""


class _Wrong(Exception):
    """The whole file does not have the listed hash."""


class PeerFetcher:
    """Brings files of one snapshot from neighbours, each whole and verified or not at all."""

    def __init__(
        self,
        peers: Peers,
        place: Place,
        received: Callable[[int], None],
        counted: Callable[[int], None],
        holds: Callable[[bool], None] = lambda _surely: None,
    ) -> None:
        """``received`` gets the bytes that came; ``counted`` those that are done or, negative, not done after all.

        ``holds`` raises when another host has taken the place over, and looks twice where it must be sure.
        """
        self._holds = holds
        self._peers, self._place = peers, place
        self._received, self._counted = received, counted
        self._stop = threading.Event()

    def fetch_all(self, entries: list[FileEntry], workers: int) -> list[FileEntry]:
        """The files, with their sha256, that neighbours had. Raises Problem when the run is over, and OSError.

        The same order on all hosts, the largest first: what one host has just got is what the next one wants.
        """
        order = sorted((each for each in entries if each.size), key=lambda each: (-each.size, each.path))
        with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
            futures = [pool.submit(self._fetch, each) for each in order]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                if any(not each.done() for each in futures):
                    self._stop.set()
                    for each in futures:
                        each.cancel()
        errors = [each.exception() for each in futures if not each.cancelled()]
        for error in errors:
            if error is not None and not isinstance(error, _Ended):
                raise error
        return [found for found in (each.result() for each in futures) if found is not None]

    def _fetch(self, entry: FileEntry) -> FileEntry | None:
        way = self._peers.way(entry)
        while way.is_open:
            part = Part(self._place.part(entry.path), entry)
            follower = _open(part, self._counted)
            try:
                self._fill(part, follower, way)
                hashes = follower.finish()
                if hashes.match():
                    part.sync()
                    self._holds(True)
                    target = os.path.join(self._place.data, entry.path)
                    make_dirs(os.path.dirname(target))
                    part.finish(target)
                    return FileEntry(entry.path, entry.size, hashes.sha256, entry.git_sha1)
                self._counted(-part.done)
                part.forget()
                way.root_was_wrong()
            except _NoSource:
                break
            finally:
                follower.abandon()
                part.close()
        return None

    def _fill(self, part: Part, follower: Follower, way: Way) -> None:
        while not part.whole:
            self._go_on(0)
            root = way.root()
            if root is None:
                raise _NoSource()
            index = way.next_range(part)
            if index is None:
                self._await_root(way, root)
                continue
            first = part.position(index)
            last = first + min(part.left(index), piece_bytes(part.entry.size)) - 1
            source, data = self._piece(way, part, first, last)
            if data is None:
                continue
            if hashlib.sha256(data).hexdigest() != way.hash_of(index, part.have[index]):
                source.drop("what it sends is not what %s has" % root.name)
                continue
            self._holds(False)
            part.write(index, memoryview(data))
            follower.advanced()
            self._received(len(data))
            self._counted(len(data))
            self._peers.took(source, len(data))

    def _await_root(self, way: Way, root: Neighbour) -> None:
        """Learn what else the root has by now, within a moment."""
        try:
            way.learn(root, WAIT_SECONDS)
        except Unreachable as cause:
            root.failed(str(cause))
            self._go_on(PAUSE_SECONDS)

    def _piece(self, way: Way, part: Part, first: int, last: int) -> tuple[Neighbour, bytes | None]:
        """A piece that the root has: from the neighbour that is to serve us, else from any other that has it."""
        parent = way.parent()
        answer = self._ask(parent, part, first, last, WAIT_SECONDS)
        if answer is not None:
            if way.root_bytes - answer[0] > LAG_BYTES and answer[0] - part.done < LAG_BYTES // 8:
                way.next_parent()
            if answer[1] is not None:
                return parent, answer[1]
        for other in way.others():
            answer = self._ask(other, part, first, last, 0)
            if answer is not None and answer[1] is not None:
                way.next_parent()
                return other, answer[1]
        return parent, None

    def _ask(
        self, neighbour: Neighbour, part: Part, first: int, last: int, wait_seconds: float
    ) -> tuple[int, bytes | None] | None:
        """(bytes of the file that it has, the piece or None), or None when it does not answer."""
        try:
            answer = neighbour.piece(part.entry.path, first, last, wait_seconds)
        except Unreachable as cause:
            neighbour.failed(str(cause))
            self._go_on(PAUSE_SECONDS if wait_seconds else 0)
            return None
        return answer.have, answer.data

    def _go_on(self, seconds: float) -> None:
        if self._stop.wait(seconds) if seconds else self._stop.is_set():
            raise _Ended()
        self._peers.must_go_on()


def _open(part: Part, counted: Callable[[int], None]) -> Follower:
    """Open the part with each range cut to whole pieces, and hash what is there."""
    before = part.done
    piece = piece_bytes(part.entry.size)
    for index in range(part.ranges):
        if part.left(index) < 0:
            part.have[index] = 0
        elif part.left(index):
            part.have[index] -= part.have[index] % piece
    counted(part.done - before)
    part.open()
    return Follower(part)


def from_neighbours(
    given: dict[str, Any],
    listing: Listing,
    place: Place,
    todo: list[FileEntry],
    workers: int,
    counted: Callable[[int], None],
    holds: Callable[[bool], None] = lambda _surely: None,
) -> tuple[list[FileEntry], int, dict[str, Any]]:
    """What other hosts of the play have of ``todo``: the files, bytes that came, and by host what it gave.

    ``given`` is the option ``peers`` of model_snapshot. Raises Problem.
    """
    received: list[int] = []
    peers = Peers(given, listing.model_id, listing.revision)
    try:
        found = PeerFetcher(peers, place, received.append, counted, holds).fetch_all(todo, workers)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(place.store, sum(each.size for each in todo), free_bytes(place.store)) from error
        raise
    if len(found) < len([each for each in todo if each.size]):
        peers.may_ask_the_hub()
    return found, sum(received), peers.report()
