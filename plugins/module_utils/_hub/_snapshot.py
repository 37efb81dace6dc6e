# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import os
import shutil

from .._errors import Problem
from ._bring import bring, check_space, origin, would
from ._dialects import Hub
from ._fetch import Settings
from ._folder import FolderHub
from ._lock import Lock
from ._part import unfinished_bytes
from ._peers import brought
from ._progress import Progress
from ._reuse import KEPT, Reuse
from ._sources import agreeing, find, hubs_of, nobody_disagrees
from ._store import (
    EVERYTHING,
    Place,
    hash_file,
    manifest_entries,
    publish,
    read_manifest,
    size_matches,
    unwritable,
)
from ._types import FileEntry, Listing, check_entries, check_model_id, is_commit
from ._wish import Outcome, Wish, select

__all__ = ["Outcome", "Wish", "ensure_present", "select"]

# With one of these a source is given up for the next one, unless a commit was asked for, which only one source has.
_NEXT_SOURCE = ("hub.unreachable", "hub.missing_file", "hub.zero_bytes", "hub.unauthorized", "model.damaged")


def ensure_present(wish: Wish, progress: Progress, check: bool = False, settings: Settings | None = None) -> Outcome:
    """Make the snapshot exist, whole and verified. Raises Problem; nothing half-done ever becomes visible."""
    check_model_id(wish.model_id)
    finished = not check and _finish_interrupted(wish, progress)
    known = _without_network(wish, progress)
    if known and finished:
        known.changed, known.before, known.actions = True, [], ["publish %s, which was whole" % known.path]
    if known:
        return known
    progress.stage("list", "asking for the file list of %s" % wish.model_id)
    all_hubs = hubs_of(wish.sources, wish.endpoints, wish.tokens, wish.timeout)
    hubs = all_hubs
    while True:
        hub, listing = (
            brought(hubs, wish.peers, wish.model_id) if wish.peers else find(hubs, wish.model_id, wish.revision)
        )
        try:
            return _ensure(wish, hub, listing, all_hubs, progress, check, settings or Settings())
        except Problem as problem:
            hubs = [each for each in hubs if each.source != hub.source]
            if problem.code not in _NEXT_SOURCE or is_commit(wish.revision) or wish.peers or not hubs:
                raise
            progress.stage("list", "%s; now asking %s" % (problem.found, hubs[0].endpoint))


def _ensure(
    wish: Wish, hub: Hub, listing: Listing, hubs: list[Hub], progress: Progress, check: bool, settings: Settings
) -> Outcome:
    """Have what one hub lists."""
    place = Place(wish.store, wish.model_id, listing.revision)
    if check:
        return _foresee(wish, place, listing, _wanted(wish, listing), hub, progress)
    try:
        place.make_dirs()
        lock = Lock(place.lock)
        lock.acquire(wish.lock_timeout, lambda: progress.stage("wait", "another run fetches %s" % wish.model_id))
    except OSError as error:
        raise unwritable(wish.store, error) from error
    try:
        # The work directory may have been published and removed by the run that held the lock before.
        place.make_dirs()
        bad = _bad_files(place.final, _wanted(wish, listing), wish.verify, progress)
        if not bad and read_manifest(place.final):
            # Another run was faster, or the branch has not moved.
            shutil.rmtree(place.work, ignore_errors=True)
            return _unchanged(place, _wanted(wish, listing), listing.source, listing.endpoint)
        if not wish.peers:
            hub, listing, hubs = agreeing(hubs, hub, listing)
        elif wish.peers["me"] < (wish.peers.get("roots") or 1):
            # Who takes from neighbours asks only when the rest must come from a hub after all: see _bring.
            nobody_disagrees(hubs, hub, listing)
        wanted = _wanted(wish, listing)
        outcome = _outcome(place, listing, wanted, bad)
        return bring(wish, place, listing, wanted, bad, hub, hubs, outcome, lock, progress, settings)
    except OSError as error:
        # Where another host has taken over, that is why.
        lock.check()
        raise unwritable(wish.store, error) from error
    finally:
        lock.release()


def _finish_interrupted(wish: Wish, progress: Progress) -> bool:
    """Publish what a run that was killed in the last moment left: whole, with its manifest. No hub is asked."""
    if not is_commit(wish.revision):
        return False
    place = Place(wish.store, wish.model_id, str(wish.revision))
    if os.path.lexists(place.final) or read_manifest(place.data) is None:
        return False
    lock = Lock(place.lock)
    try:
        lock.acquire(wish.lock_timeout, lambda: progress.stage("wait", "another run fetches %s" % wish.model_id))
        manifest = read_manifest(place.data) or {}
        if os.path.lexists(place.final) or (manifest.get("id"), manifest.get("revision")) != (
            wish.model_id,
            wish.revision,
        ):
            return False
        files = check_entries(manifest_entries(manifest), place.data)
        if not files or _bad_files(place.data, files, "checksum", progress):
            return False
        lock.check()
        publish(place)
        return True
    except OSError as error:
        raise unwritable(wish.store, error) from error
    finally:
        lock.release()


def _wanted(wish: Wish, listing: Listing) -> list[FileEntry]:
    wanted = select(listing.files, wish.allow_patterns, wish.ignore_patterns)
    if not wanted:
        raise Problem(
            "model.empty",
            "model %s at %s" % (wish.model_id, listing.revision),
            "allow_patterns and ignore_patterns leave none of its %d files" % len(listing.files),
            "Correct the patterns",
        )
    return wanted


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
    if verify == "checksum" and os.path.isdir(directory):
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


def _foresee(
    wish: Wish, place: Place, listing: Listing, wanted: list[FileEntry], hub: Hub, progress: Progress
) -> Outcome:
    """Check mode: what would come, from where, and whether it fits. What lies on the host is judged by its size."""
    bad = _bad_files(place.final, wanted, wish.verify, progress)
    if not bad and read_manifest(place.final):
        return _unchanged(place, wanted, listing.source, listing.endpoint)
    outcome = _outcome(place, listing, wanted, bad)
    exported = hub.directory(wish.model_id, listing.revision) if isinstance(hub, FolderHub) else None
    reuse = Reuse(place, {each.path for each in bad}, wish.adopt, exported, wish.model_id)
    expected = [(each, reuse.expected(each)) for each in wanted]
    missing = [each for each, candidate in expected if candidate is None]
    outcome.bytes_to_download = sum(each.size for each in missing) - _unfinished(place, missing)
    copied = sum(each.size for each, found in expected if found and not found.link and found.kind != KEPT)
    check_space(wish.store, outcome.bytes_to_download + copied)
    found = [(each, candidate) for each, candidate in expected if candidate]
    outcome.origins = origin(listing, found, missing, outcome.bytes_to_download)
    outcome.actions = would(listing, outcome.origins)
    return outcome


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


def _unfinished(place: Place, files: list[FileEntry]) -> int:
    """Bytes that earlier runs left for ``files``."""
    return sum(unfinished_bytes(place.part(each.path), each) for each in files)
