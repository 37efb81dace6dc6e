# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import os
import threading
from typing import Any

from ._adopt import folders_of, pointers
from ._dialects import Hub
from ._fetch import Download, Settings
from ._folder import FolderHub, incomplete
from ._lock import Lock
from ._part import unfinished_bytes
from ._peer_fetch import from_neighbours
from ._progress import Progress
from ._reuse import ADOPTED, IMPORTED, KEPT, REPAIRED, SHARED, Candidate, Reuse, inode_of, repair_sharers
from ._servers import Servers, StandIn
from ._sources import nobody_disagrees
from ._store import SPACE_MARGIN_BYTES, Place, free_bytes, no_space, publish, write_manifest
from ._types import FileEntry, Listing
from ._wish import Outcome, Wish

# How a person reads where a file came from.
_WORDS = {
    KEPT: "keep {files} files, {bytes} bytes that an earlier run left",
    REPAIRED: "keep {files} good files, {bytes} bytes",
    SHARED: "link {files} files, {bytes} bytes with {where}",
    ADOPTED: "{how} {files} files, {bytes} bytes of {where}, which stays as it is",
    IMPORTED: "{how} {files} files, {bytes} bytes of {where}",
}


def bring(
    wish: Wish,
    place: Place,
    listing: Listing,
    wanted: list[FileEntry],
    bad: list[FileEntry],
    hub: Hub,
    hubs: list[Hub],
    outcome: Outcome,
    lock: Lock,
    progress: Progress,
    settings: Settings,
) -> Outcome:
    """Have every wanted file in the work directory, from this host where possible, and publish. Holds ``lock``.

    ``bad`` are the files that are missing or wrong in the published snapshot, if there is one. Raises Problem, OSError.
    """
    damaged = {each.path: inode_of(os.path.join(place.final, each.path)) for each in bad}
    exported = hub.directory(wish.model_id, listing.revision) if isinstance(hub, FolderHub) else None
    reuse = Reuse(place, {each.path for each in bad}, wish.adopt, exported, wish.model_id)
    _check_copies(wish, reuse, wanted)
    progress.also(os.path.join(place.work, "progress.json"), id=listing.model_id, revision=listing.revision)
    progress.stage("collect", "what this host has of %s" % wish.model_id, 0, outcome.bytes_total)
    progress.files(0, len(wanted))

    def collected(count: int) -> None:
        lock.must_hold(False)
        progress.add(count)

    found = reuse.bring(wanted, min(wish.workers, os.cpu_count() or 1), collected)
    done = {each.path for each, _candidate in found}
    todo = [each for each in wanted if each.path not in done]
    outcome.bytes_to_download = sum(each.size - unfinished_bytes(place.part(each.path), each) for each in todo)
    check_space(wish.store, outcome.bytes_to_download)
    outcome.origins = origin(listing, found, todo, outcome.bytes_to_download)
    outcome.actions += would(listing, outcome.origins) + _pointers(wish, todo)
    there = outcome.bytes_total - outcome.bytes_to_download
    progress.stage("download", "%s from %s" % (wish.model_id, listing.endpoint), there, outcome.bytes_total)
    progress.files(len(found), len(wanted))
    whole = [each for each, _candidate in found]
    if wish.peers and todo:
        near, outcome.bytes_downloaded, outcome.neighbours = from_neighbours(
            wish.peers, listing, place, todo, wish.workers, progress.add, lock.must_hold
        )
        whole += near
        for _each in near:
            progress.file_done()
        todo = [each for each in todo if each.path not in {other.path for other in near}]
        if todo and wish.peers["me"] >= (wish.peers.get("roots") or 1):
            nobody_disagrees(hubs, hub, listing)
    whole += _fetch(wish, place, listing, todo, hub, hubs, outcome, lock, progress, settings)
    progress.stage("publish", place.final, outcome.bytes_total, outcome.bytes_total)
    files = sorted(whole, key=lambda each: each.path)
    _drop_strangers(place, files)
    write_manifest(place, listing, wish.patterns, files)
    lock.check()
    publish(place)
    outcome.actions.append("publish %s" % place.final)
    shared = {path: inode for path, inode in damaged.items() if inode}
    outcome.actions += ["repair %s, which shares a file" % path for path in repair_sharers(place, files, shared)]
    progress.stage("done", place.final, outcome.bytes_total, outcome.bytes_total)
    return outcome


def _fetch(
    wish: Wish,
    place: Place,
    listing: Listing,
    todo: list[FileEntry],
    hub: Hub,
    hubs: list[Hub],
    outcome: Outcome,
    lock: Lock,
    progress: Progress,
    settings: Settings,
) -> list[FileEntry]:
    """Fetch what this host does not have, and count the bytes."""
    if not todo:
        return []
    # Only endpoints of the same kind know this commit; others may have the same content under a commit of their own.
    serving: list[Any] = [hub] + [each for each in hubs if each is not hub and each.source == hub.source]
    serving += [StandIn(each, wish.model_id) for each in hubs if each.source != hub.source]
    servers = [each for each in serving if not isinstance(getattr(each, "hub", each), FolderHub)]
    if not servers:
        raise incomplete(hub.endpoint, listing, todo)
    guard = threading.Lock()

    def count(size: int) -> None:
        with guard:
            outcome.bytes_downloaded += size

    download = Download(Servers(servers), listing, place, settings, count, progress, lock.must_hold)
    return download.run(todo, wish.workers)


def origin(
    listing: Listing, found: list[tuple[FileEntry, Candidate]], missing: list[FileEntry], to_fetch: int
) -> list[dict[str, Any]]:
    """Files and bytes by the place they come from: what is on the host first, then what the endpoint sends."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for entry, candidate in found:
        how = "link" if candidate.link else "copy"
        groups.setdefault((candidate.kind, candidate.where, how), []).append(entry.size)
    result = [
        {"kind": kind, "from": where, "how": how, "files": len(sizes), "bytes": sum(sizes)}
        for (kind, where, how), sizes in sorted(groups.items())
    ]
    if missing:
        fetched = {"kind": "fetch", "from": listing.endpoint, "how": "fetch", "files": len(missing), "bytes": to_fetch}
        result.append(fetched)
    return result


def would(listing: Listing, origins: list[dict[str, Any]]) -> list[str]:
    """The same as sentences."""
    sentences = []
    for each in origins:
        if each["kind"] == "fetch":
            model = (listing.model_id, listing.revision)
            where = "%s at %s from %s" % (*model, listing.endpoint)
            sentences.append("fetch %d files, %d bytes of %s" % (each["files"], each["bytes"], where))
        else:
            values = {"files": each["files"], "bytes": each["bytes"], "where": each["from"], "how": each["how"]}
            sentences.append(_WORDS[each["kind"]].format(**values))
    return sentences


def _pointers(wish: Wish, todo: list[FileEntry]) -> list[str]:
    """Say of a git-lfs clone without the large files why it saves no download."""
    folders = [folder for each in wish.adopt for folder in folders_of(each, wish.model_id)]
    paths = [path for each in todo for path in pointers(folders, each)]
    if not paths:
        return []
    return ["pass over %d git-lfs pointers, such as %s: their content is not there" % (len(paths), paths[0])]


def _check_copies(wish: Wish, reuse: Reuse, wanted: list[FileEntry]) -> None:
    """What cannot be linked is copied, which needs room before the first byte is written."""
    expected = [(each.size, reuse.expected(each)) for each in wanted]
    check_space(wish.store, sum(size for size, found in expected if found and not found.link))


def check_space(store: str, needed: int) -> None:
    """Raise Problem if so many bytes do not fit, with what is to stay free."""
    free = free_bytes(os.path.abspath(store))
    if needed + SPACE_MARGIN_BYTES > free and needed:
        raise no_space(store, needed, free)


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
