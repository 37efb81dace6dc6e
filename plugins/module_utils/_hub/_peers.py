# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Who may be asked for what: the hosts of one run that want, or have, one snapshot, in the order of the inventory."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from .._errors import Problem
from ._dialects import Hub
from ._part import Part
from ._peer_client import Neighbour, Unreachable, piece_bytes, snapshot_key
from ._types import FileEntry, Listing, check_entries

# A neighbour that is to fetch may take so long until it begins. Seconds.
BEGIN_SECONDS = 120.0
# One that fetches, but neither gets a byte nor hashes one in this time, stands still. Seconds.
STILL_SECONDS = 600.0
# A root that gave a wrong file twice is not asked again: once may be its own hub's fault, which it finds by itself.
STRIKES = 2
# An answer of a neighbour shows for so long that the run goes on. Seconds.
ALIVE_SECONDS = 10.0


class Peers:
    """The row of hosts, of which this one is number ``me``.

    The first ``roots`` of them get the snapshot from nobody here: they have it, or (then it is one) fetch it from the
    hub. Every other host takes its pieces from the host ``roots`` places before it, so that each host serves one other;
    where that one is gone or slow, from the next one before it. Nobody takes from who stands behind him, unless that
    one has the whole file: so nobody waits for himself.
    """

    def __init__(self, given: dict[str, Any], model_id: str, revision: str) -> None:
        key = snapshot_key(model_id, revision)
        self.me: int = given["me"]
        self.roots: int = max(1, given.get("roots") or 1)
        own = given["members"][self.me]["address"]
        self.row = [
            Neighbour(each["name"], each["address"], each["port"], given["token"], key, own)
            for each in given["members"]
        ]
        self._folder = given.get("folder")
        self._lock = threading.Lock()
        self._bytes: dict[str, int] = {}

    def way(self, entry: FileEntry) -> Way:
        return Way(self, entry)

    def took(self, source: Neighbour, count: int) -> None:
        with self._lock:
            self._bytes[source.name] = self._bytes.get(source.name, 0) + count

    def report(self) -> dict[str, Any]:
        """By name, the bytes that came from it, and why it is asked no more."""
        return {
            each.name: {"bytes": self._bytes.get(each.name, 0), "dropped": each.dropped}
            for each in self.row
            if each.name in self._bytes or each.dropped
        }

    def must_go_on(self) -> None:
        """Raise Problem when the play that began this has ended.

        Its own server, which the play keeps, tells; where that was killed, neighbours that still answer.
        """
        if self._folder and not os.path.exists(os.path.join(self._folder, "ready.json")):
            answered = max(each.answered for each in self.row)
            if time.monotonic() - answered > ALIVE_SECONDS:
                raise self._over()

    def may_ask_the_hub(self) -> None:
        """Return once it is sure that the play goes on: when it ends, all neighbours vanish at about the same time.

        Every round of watching renews the lease of the host's own server. Raises Problem when that is over.
        """
        if self.me < self.roots or not self._folder:
            return
        lease = os.path.join(self._folder, "lease")
        try:
            before = os.stat(lease).st_mtime_ns
            while os.stat(lease).st_mtime_ns == before:
                time.sleep(0.2)
        except FileNotFoundError:
            raise self._over() from None

    def _over(self) -> Problem:
        return Problem(
            "model.run_over",
            "the rest of a model from neighbours",
            "the play that fetched it is over, and %s" % (self._state() or "its neighbours serve no more"),
            "Run again; it goes on where it stopped",
        )

    def _state(self) -> str:
        return "; ".join("%s: %s" % (each.name, each.dropped) for each in self.row if each.dropped)


class Way:
    """How one file comes here: from whom its pieces, and from whom their hashes (the root)."""

    def __init__(self, peers: Peers, entry: FileEntry) -> None:
        self._path, self._piece = entry.path, piece_bytes(entry.size)
        me, roots, row = peers.me, peers.roots, peers.row
        firsts = [row[(me + shift) % roots] for shift in range(roots)] if me >= roots else []
        self._before = firsts + row[roots:me]
        self._behind = row[me + 1 :]
        own = me - roots
        self._sources = row[own::-1] + row[me - 1 : own : -1] if me >= roots else []
        self._useless: set[str] = set()
        self._root: Neighbour | None = None
        self._hashes: list[list[str]] = [[] for _each in range(Part(os.devnull, entry).ranges)]
        # By name what the root said last that shows that it gets on, and since when it says so.
        self._signs: dict[str, tuple[tuple[Any, ...], float]] = {}
        self.root_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether anybody stands before this host."""
        return bool(self._before)

    def root(self) -> Neighbour | None:
        """Whose hashes count now: the first before us who can have the file, else one behind us who has it."""
        if self._root is None or not self._fits(self._root):
            self._forget_hashes()
            self._root = next(filter(self._fits, self._before), None) or self._whole_behind()
        return self._root

    def _fits(self, neighbour: Neighbour) -> bool:
        return not neighbour.dropped and neighbour.name not in self._useless

    def _forget_hashes(self) -> None:
        self._hashes = [[] for _each in self._hashes]
        self.root_bytes = 0

    def _whole_behind(self) -> Neighbour | None:
        for each in filter(self._fits, self._behind):
            try:
                if each.state(self._path).state == "whole":
                    self._sources.append(each)
                    return each
            except Unreachable as cause:
                each.drop(str(cause))
        return None

    def learn(self, root: Neighbour, wait: float) -> None:
        """Ask the root for hashes that are new, at most ``wait`` seconds long. Raises Unreachable."""
        answer, found = root.hashes(self._path, [len(each) for each in self._hashes], wait)
        for known, new in zip(self._hashes, found):
            known += new
        self.root_bytes = answer.have
        now, sign = time.monotonic(), (answer.state, answer.have, answer.moved)
        known_sign, since = self._signs.get(root.name, ((), now))
        if any(found) or sign != known_sign:
            since = now
        self._signs[root.name] = (sign, since)
        limit = BEGIN_SECONDS if answer.state == "waiting" else STILL_SECONDS
        if (answer.state == "ended" and not any(found)) or now - since > limit:
            self._useless.add(root.name)

    def next_range(self, part: Part) -> int | None:
        """The range with the fewest bytes here of which the root is known to have more."""
        more = [
            index
            for index, known in enumerate(self._hashes)
            if part.left(index) and part.have[index] // self._piece < len(known)
        ]
        return min(more, key=lambda index: part.have[index], default=None)

    def hash_of(self, index: int, position: int) -> str:
        """The root's hash of the piece that begins at ``position`` of a range."""
        return self._hashes[index][position // self._piece]

    def parent(self) -> Neighbour:
        """From whom the pieces come now. Only while there is a root."""
        return next(filter(self._fits, self._sources))

    def others(self) -> list[Neighbour]:
        return list(filter(self._fits, self._sources))[1:]

    def next_parent(self) -> None:
        """Put the one who served us last: it is slow."""
        first = self.parent()
        self._sources.remove(first)
        self._sources.append(first)

    def root_was_wrong(self) -> None:
        """The whole file was wrong although each piece was what the root has."""
        if self._root is not None:
            self._root.strikes += 1
            if self._root.strikes >= STRIKES:
                self._root.drop("its files do not have the hashes that the hub lists")
        self._forget_hashes()


def listing_of(given: dict[str, Any], model_id: str) -> Listing:
    """The file list that the play brought along; checked like that of a hub. Raises Problem."""
    known = given["listing"]
    files = [FileEntry(each["path"], each["size"], each.get("sha256"), each.get("git_sha1")) for each in known["files"]]
    return Listing(
        model_id,
        known["source"],
        known["endpoint"],
        known["requested_revision"],
        known["revision"],
        check_entries(files, known["endpoint"]),
    )


def brought(hubs: list[Hub], given: dict[str, Any], model_id: str) -> tuple[Hub, Listing]:
    """The file list that the play brought from another host, and the hub that it is from. No hub is asked."""
    listing = listing_of(given, model_id)
    fitting = [hub for hub in hubs if hub.source == listing.source]
    if not fitting:
        raise Problem(
            "hub.bad_endpoint",
            "model %s from neighbours" % model_id,
            "its file list is from %s, which is none of the sources" % listing.source,
            "Name this source for the model on every host",
        )
    return next((hub for hub in fitting if hub.endpoint == listing.endpoint), fitting[0]), listing
