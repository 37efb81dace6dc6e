# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, Iterator

from ._adopt import candidates, folders_of
from ._store import (
    READ_BYTES,
    Hashes,
    Place,
    hash_file,
    make_dirs,
    manifest_entries,
    read_manifest,
    size_matches,
    snapshots_in,
)
from ._types import FileEntry

# Where a file came from: an earlier, killed run; the snapshot itself, under repair; another snapshot of the store; a
# folder that another tool filled; an exported folder.
KEPT, REPAIRED, SHARED, ADOPTED, IMPORTED = "keep", "repair", "link", "adopt", "import"
# Errors of a hard link that only say: not here, or not this one.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Candidate:
    """A file on this host that may be the wanted one. ``where`` is the folder or snapshot a person knows."""

    path: str
    kind: str
    where: str
    link: bool


class Reuse:
    """Finds on this host what need not come over the network. What is found is hashed before it counts."""

    def __init__(self, place: Place, wrong: set[str], adopt: list[str], exported: str | None, model_id: str) -> None:
        """``wrong`` are paths that are bad in the published snapshot; ``adopt`` places of other tools."""
        self._place = place
        self._wrong = wrong
        self._adopted = [folder for each in adopt for folder in folders_of(each, model_id)]
        self._exported = exported
        self._shared = _index(place)

    def expected(self, entry: FileEntry) -> Candidate | None:
        """What a run would try first, judged by size alone: contents are not read to look ahead."""
        if size_matches(self._place.data, entry):
            return Candidate(os.path.join(self._place.data, entry.path), KEPT, self._place.work, True)
        return next(self._candidates(entry), None)

    def bring(
        self, wanted: list[FileEntry], workers: int, progress: Callable[[int], None]
    ) -> list[tuple[FileEntry, Candidate]]:
        """Put what is found into the work directory: entries with their sha256, and where each came from."""
        guard = threading.Lock()
        found: dict[str, tuple[FileEntry, Candidate]] = {}

        def one(entry: FileEntry) -> None:
            done = self._one(entry, progress)
            if done:
                with guard:
                    found[entry.path] = done

        with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
            for each in [pool.submit(one, entry) for entry in wanted]:
                each.result()
        return [found[each.path] for each in wanted if each.path in found]

    def _one(self, entry: FileEntry, progress: Callable[[int], None]) -> tuple[FileEntry, Candidate] | None:
        target = os.path.join(self._place.data, entry.path)
        if size_matches(self._place.data, entry):
            # The run that left it may have died before it was safe on disk.
            hashes = hash_file(target, entry, progress)
            if hashes.match():
                return _named(entry, hashes), Candidate(target, KEPT, self._place.work, True)
            progress(-entry.size)
        if os.path.lexists(target):
            os.unlink(target)
        for candidate in self._candidates(entry):
            make_dirs(os.path.dirname(target))
            counted = _Counter(progress)
            taken = _take(candidate, target, entry, counted)
            if taken and taken.match():
                return _named(entry, taken), candidate
            progress(-counted.total)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
        return None

    def _candidates(self, entry: FileEntry) -> Iterator[Candidate]:
        published = os.path.join(self._place.final, entry.path)
        if entry.path not in self._wrong and size_matches(self._place.final, entry):
            yield Candidate(published, REPAIRED, self._place.final, True)
        for digest in (entry.sha256, entry.git_sha1):
            for directory, path in self._shared.get(digest or "", []):
                if size_matches(directory, FileEntry(path, entry.size)):
                    yield Candidate(os.path.join(directory, path), SHARED, directory, True)
        if self._exported and size_matches(self._exported, entry):
            path = os.path.join(self._exported, entry.path)
            yield Candidate(path, IMPORTED, self._exported, _may_link(path, self._place.store))
        for path, folder in candidates(self._adopted, entry):
            yield Candidate(path, ADOPTED, folder, _may_link(path, self._place.store))


def _index(place: Place) -> dict[str, list[tuple[str, str]]]:
    """(snapshot, path) of every file of the other snapshots in the store, by each of its hashes."""
    index: dict[str, list[tuple[str, str]]] = {}
    for directory, entries in other_snapshots(place):
        for entry in entries:
            for digest in (entry.sha256, entry.git_sha1):
                if digest:
                    index.setdefault(digest, []).append((directory, entry.path))
    return index


def other_snapshots(place: Place) -> Iterator[tuple[str, list[FileEntry]]]:
    """Directory and files of every published snapshot of the store but this one."""
    for model_id, commit in snapshots_in(place.store):
        directory = Place(place.store, model_id, commit).final
        manifest = read_manifest(directory) if directory != place.final else None
        if manifest:
            yield directory, manifest_entries(manifest)


class _Counter:
    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self.total = 0

    def __call__(self, count: int) -> None:
        self.total += count
        self._tell(count)


def _named(entry: FileEntry, hashes: Hashes) -> FileEntry:
    return FileEntry(entry.path, entry.size, hashes.sha256, entry.git_sha1)


def _may_link(path: str, store: str) -> bool:
    """Whether the file may become part of the store as it is: nobody else may write to it, everybody may read it.

    The owner of a file may always write to it. What belongs to somebody else is therefore copied: it could be changed
    after it was verified.
    """
    try:
        state = os.stat(path)
        while not os.path.exists(store):
            store = os.path.dirname(store)
        same = os.stat(store).st_dev == state.st_dev
    except OSError:
        return False
    return same and _is_ours(state)


def _is_ours(state: os.stat_result) -> bool:
    mode = stat.S_IMODE(state.st_mode)
    safe = state.st_uid in (0, os.geteuid()) and not mode & 0o022 and mode & 0o444 == 0o444
    return safe and stat.S_ISREG(state.st_mode)


def _take(candidate: Candidate, target: str, entry: FileEntry, progress: Callable[[int], None]) -> Hashes | None:
    """Link or copy the candidate, and give the hashes of what now is at ``target``; None if it cannot be read."""
    if candidate.link:
        try:
            os.link(candidate.path, target)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            if error.errno not in _NO_LINK:
                raise
        else:
            if candidate.kind not in (ADOPTED, IMPORTED) or _is_ours(os.lstat(target)):
                return hash_file(target, entry, progress)
            # Somebody changed it between the look and the link; whoever owns it could do so again.
            os.unlink(target)
    try:
        source = open(candidate.path, "rb", buffering=0)  # noqa: SIM115
    except OSError:
        return None
    with source:
        return _copy(source.fileno(), target, entry, progress)


def _copy(source: int, target: str, entry: FileEntry, progress: Callable[[int], None]) -> Hashes | None:
    hashes = Hashes(entry)
    buffer = memoryview(bytearray(READ_BYTES))
    with open(target, "wb", buffering=0) as out:
        os.fchmod(out.fileno(), 0o644)
        while True:
            try:
                count = os.readv(source, [buffer])
            except OSError:
                return None
            if not count:
                break
            written = 0
            while written < count:
                written += out.write(buffer[written:count])
            hashes.update(buffer[:count])
            progress(count)
        os.fsync(out.fileno())
    return hashes


def repair_sharers(place: Place, files: list[FileEntry], damaged: dict[str, tuple[int, int]]) -> list[str]:
    """Give the good file to every other snapshot that shares the damaged one; gives the paths that were replaced.

    ``damaged`` is (device, inode) of each bad file of the snapshot, by path, from before it was repaired.
    """
    good = {each.sha256: os.path.join(place.final, each.path) for each in files if each.path in damaged}
    inodes = set(damaged.values())
    replaced = []
    for directory, entries in other_snapshots(place) if inodes else ():
        for entry in entries:
            path = os.path.join(directory, entry.path)
            if entry.sha256 not in good or inode_of(path) not in inodes:
                continue
            aside = os.path.join(place.store, ".locks", "%s.repaired" % os.path.basename(place.work))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            os.link(good[entry.sha256], aside)
            os.replace(aside, path)
            replaced.append(path)
    return replaced


def inode_of(path: str) -> tuple[int, int] | None:
    """Device and inode of a regular file."""
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return (state.st_dev, state.st_ino) if stat.S_ISREG(state.st_mode) else None
