# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import fnmatch
import os
import shutil
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from .._errors import Problem
from ._dialects import Hub
from ._fetch import FileFetcher, Settings, Stopped
from ._progress import Progress
from ._sources import find, hubs_of
from ._store import (
    EVERYTHING,
    SPACE_MARGIN_BYTES,
    Lock,
    Place,
    free_bytes,
    hash_file,
    make_dirs,
    manifest_entries,
    no_space,
    publish,
    read_manifest,
    size_matches,
    unwritable,
    write_manifest,
)
from ._types import FileEntry, Listing, check_model_id, is_commit


@dataclass
class Wish:
    """What one snapshot should be. ``sources`` are ranked; ``endpoints`` and ``tokens`` are per source."""

    model_id: str
    sources: list[str]
    revision: str | None = None
    endpoints: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    store: str = "/var/lib/gpufleet/models"
    allow_patterns: list[str] = field(default_factory=list)
    ignore_patterns: list[str] = field(default_factory=list)
    verify: str = "size"
    workers: int = 4
    timeout: float = 60.0
    lock_timeout: float = 7200.0

    @property
    def patterns(self) -> dict[str, list[str]]:
        return {"allow": sorted(self.allow_patterns), "ignore": sorted(self.ignore_patterns)}


@dataclass
class Outcome:
    """What was done. Sizes in bytes; ``bytes_downloaded`` is what came over the network in this run."""

    changed: bool
    path: str
    revision: str | None
    source: str | None = None
    endpoint: str | None = None
    bytes_downloaded: int = 0
    bytes_total: int = 0
    bytes_to_download: int = 0
    actions: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def ensure_present(wish: Wish, progress: Progress, check: bool = False, settings: Settings | None = None) -> Outcome:
    """Make the snapshot exist, whole and verified. Raises Problem; nothing half-done ever becomes visible."""
    check_model_id(wish.model_id)
    known = _without_network(wish, progress)
    if known:
        return known
    progress.stage("list", "asking for the file list of %s" % wish.model_id)
    hubs = hubs_of(wish.sources, wish.endpoints, wish.tokens, wish.timeout)
    hub, listing = find(hubs, wish.model_id, wish.revision)
    place = Place(wish.store, wish.model_id, listing.revision)
    wanted = select(listing.files, wish.allow_patterns, wish.ignore_patterns)
    if not wanted:
        raise Problem(
            "model.empty",
            "model %s at %s" % (wish.model_id, listing.revision),
            "allow_patterns and ignore_patterns leave none of its %d files" % len(listing.files),
            "Correct the patterns",
        )
    if check:
        return _foresee(wish, place, listing, wanted, progress)
    # Only endpoints of the same kind know this commit.
    serving = [hub] + [other for other in hubs if other is not hub and other.source == hub.source]
    try:
        place.make_dirs()
        lock = Lock(place.lock)
        lock.acquire(wish.lock_timeout, lambda: progress.stage("wait", "another run fetches %s" % wish.model_id))
    except OSError as error:
        raise unwritable(wish.store, error) from error
    try:
        # The work directory may have been published and removed by the run that held the lock before.
        place.make_dirs()
        return _bring(wish, place, listing, wanted, serving, progress, settings or Settings())
    except OSError as error:
        raise unwritable(wish.store, error) from error
    finally:
        lock.release()


def select(files: list[FileEntry], allow: list[str], ignore: list[str]) -> list[FileEntry]:
    """The files that match one of ``allow`` (or anything, if that is empty) and none of ``ignore``.

    Patterns are shell patterns over the whole path; ``dir/`` stands for everything below a directory.
    """

    def matches(path: str, patterns: list[str]) -> bool:
        return any(fnmatch.fnmatchcase(path, each + "*" if each.endswith("/") else each) for each in patterns)

    return [each for each in files if (not allow or matches(each.path, allow)) and not matches(each.path, ignore)]


def _without_network(wish: Wish, progress: Progress) -> Outcome | None:
    """The outcome for a commit that is there already: a commit never moves, so no hub needs to be asked."""
    if not is_commit(wish.revision):
        return None
    place = Place(wish.store, wish.model_id, str(wish.revision))
    manifest = read_manifest(place.final)
    if manifest is None or manifest.get("patterns") not in (EVERYTHING, wish.patterns):
        return None
    if manifest.get("source") not in wish.sources:
        return None
    wanted = select(manifest_entries(manifest), wish.allow_patterns, wish.ignore_patterns)
    if not wanted or _bad_files(place.final, wanted, wish.verify, progress):
        return None
    return _unchanged(place, wanted, str(manifest["source"]), str(manifest["endpoint"]))


def _unchanged(place: Place, files: list[FileEntry], source: str, endpoint: str) -> Outcome:
    names = [each.path for each in files]
    return Outcome(
        False,
        place.final,
        os.path.basename(place.final),
        source,
        endpoint,
        bytes_total=sum(each.size for each in files),
        before=names,
        after=names,
    )


def _bad_files(directory: str, files: list[FileEntry], verify: str, progress: Progress) -> list[FileEntry]:
    """Files that are missing or wrong, by size or (verify ``checksum``) by content too."""
    bad = [each for each in files if not size_matches(directory, each)]
    if verify == "checksum":
        progress.stage("verify", "hashing %s" % directory, 0, sum(each.size for each in files))
        missing = {each.path for each in bad}
        for each in files:
            if each.path not in missing:
                try:
                    good = hash_file(os.path.join(directory, each.path), each, progress.add).match()
                except OSError:
                    good = False
                if not good:
                    bad.append(each)
    return bad


def _foresee(wish: Wish, place: Place, listing: Listing, wanted: list[FileEntry], progress: Progress) -> Outcome:
    """Check mode: what would come, from where, and whether it fits."""
    bad = _bad_files(place.final, wanted, wish.verify, progress)
    if not bad and read_manifest(place.final):
        return _unchanged(place, wanted, listing.source, listing.endpoint)
    outcome = _outcome(place, listing, wanted, bad)
    outcome.bytes_to_download = sum(each.size for each in bad) - _unfinished(place, bad)
    _check_space(wish.store, outcome.bytes_to_download)
    outcome.actions = [_would(outcome, listing, bad)]
    return outcome


def _would(outcome: Outcome, listing: Listing, files: list[FileEntry]) -> str:
    return "fetch %d files, %d bytes of %s at %s from %s" % (
        len(files),
        outcome.bytes_to_download,
        listing.model_id,
        listing.revision,
        listing.endpoint,
    )


def _outcome(place: Place, listing: Listing, wanted: list[FileEntry], bad: list[FileEntry]) -> Outcome:
    names = [each.path for each in wanted]
    missing = {each.path for each in bad}
    before = [name for name in names if name not in missing] if os.path.isdir(place.final) else []
    return Outcome(
        True,
        place.final,
        listing.revision,
        listing.source,
        listing.endpoint,
        bytes_total=sum(each.size for each in wanted),
        before=before,
        after=names,
    )


def _bring(
    wish: Wish,
    place: Place,
    listing: Listing,
    wanted: list[FileEntry],
    hubs: list[Hub],
    progress: Progress,
    settings: Settings,
) -> Outcome:
    """With the lock held: fetch what is missing, then publish."""
    bad = _bad_files(place.final, wanted, wish.verify, progress)
    if not bad and read_manifest(place.final):
        # Another run published it while this one waited, or the branch has not moved.
        shutil.rmtree(place.work, ignore_errors=True)
        return _unchanged(place, wanted, listing.source, listing.endpoint)
    outcome = _outcome(place, listing, wanted, bad)
    whole = _reuse(place, wanted, bad)
    todo = [each for each in wanted if each.path not in {done.path for done in whole}]
    have = _unfinished(place, todo)
    outcome.bytes_to_download = sum(each.size for each in todo) - have
    _check_space(wish.store, outcome.bytes_to_download)
    done = outcome.bytes_total - outcome.bytes_to_download
    progress.stage("download", "%s from %s" % (wish.model_id, listing.endpoint), done, outcome.bytes_total)
    fetched, received = _fetch_all(wish, place, listing, todo, hubs, progress, settings)
    outcome.bytes_downloaded = received
    outcome.actions.append(_would(outcome, listing, todo))
    progress.stage("publish", place.final, outcome.bytes_total, outcome.bytes_total)
    files = sorted(whole + fetched, key=lambda each: each.path)
    _drop_strangers(place, files)
    write_manifest(place, listing, wish.patterns, files)
    publish(place)
    outcome.actions.append("publish %s" % place.final)
    progress.stage("done", place.final, outcome.bytes_total, outcome.bytes_total)
    return outcome


def _reuse(place: Place, wanted: list[FileEntry], bad: list[FileEntry]) -> list[FileEntry]:
    """Entries (with sha256) of files that need no network.

    Those an earlier, killed run finished are hashed again: it may have died before they were safe on disk. Good files
    of a snapshot under repair are linked, which needs no space.
    """
    wrong = {each.path for each in bad}
    whole = []
    for entry in wanted:
        target = os.path.join(place.data, entry.path)
        published = os.path.join(place.final, entry.path)
        if not size_matches(place.data, entry):
            if os.path.lexists(target):
                os.unlink(target)
            if entry.path in wrong or not os.path.isfile(published):
                continue
            make_dirs(os.path.dirname(target))
            os.link(published, target)
        hashes = hash_file(target, entry)
        if hashes.match():
            whole.append(FileEntry(entry.path, entry.size, hashes.sha256, entry.git_sha1))
        else:
            os.unlink(target)
    return whole


def _unfinished(place: Place, files: list[FileEntry]) -> int:
    """Bytes that earlier runs left for ``files``."""
    total = 0
    for entry in files:
        for path in (place.part(entry.path), os.path.join(place.data, entry.path)):
            if os.path.isfile(path) and os.path.getsize(path) <= entry.size:
                total += os.path.getsize(path)
                break
    return total


def _fetch_all(
    wish: Wish,
    place: Place,
    listing: Listing,
    todo: list[FileEntry],
    hubs: list[Hub],
    progress: Progress,
    settings: Settings,
) -> tuple[list[FileEntry], int]:
    """Fetch in parallel, largest first; the first failure stops the others, which keep what they have."""
    stop = threading.Event()
    settings.stop = stop
    guard = threading.Lock()
    received = [0]

    def count(size: int) -> None:
        with guard:
            received[0] += size

    fetcher = FileFetcher(hubs, listing, place, settings, count, progress.add)
    order = sorted(todo, key=lambda each: -each.size)
    with ThreadPoolExecutor(max_workers=max(1, wish.workers)) as pool:
        futures = [pool.submit(fetcher.fetch, each) for each in order]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            failed = [each for each in futures if each.done() and not each.cancelled() and each.exception()]
        finally:
            if any(not each.done() for each in futures):
                stop.set()
                for each in futures:
                    each.cancel()
    errors = [each.exception() for each in failed]
    for error in errors:
        if not isinstance(error, Stopped) and error is not None:
            raise error
    return [each.result() for each in futures], received[0]


def _drop_strangers(place: Place, files: list[FileEntry]) -> None:
    """Remove what is in the work directory but not in the snapshot: patterns may have changed since an earlier run."""
    known = {each.path for each in files}
    for base, dirs, names in os.walk(place.data, topdown=False):
        for name in names:
            path = os.path.join(base, name)
            if os.path.relpath(path, place.data) not in known:
                os.unlink(path)
        for name in dirs:
            if not os.listdir(os.path.join(base, name)):
                os.rmdir(os.path.join(base, name))


def _check_space(store: str, needed: int) -> None:
    free = free_bytes(os.path.abspath(store))
    if needed + SPACE_MARGIN_BYTES > free and needed:
        raise no_space(store, needed, free)
