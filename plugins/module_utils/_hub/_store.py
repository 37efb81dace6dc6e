# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import time
from typing import Any, Callable

from .._errors import Problem
from ._http import explain
from ._types import MANIFEST, FileEntry, Listing, is_commit

READ_BYTES = 1 << 20
# The patterns of a snapshot that has every file of its model.
EVERYTHING: dict[str, list[str]] = {"allow": [], "ignore": []}
# Left free on the file system whatever happens, so that logs and the journal can still be written.
SPACE_MARGIN_BYTES = 16 << 20


class Place:
    """Where one snapshot of one model lives below a store.

    ``final`` appears by a rename, whole or not at all. ``work`` is its hidden sibling on the same file system:
    ``work/data`` holds files that are complete and verified, ``work/parts`` those under way. ``lock`` stays; only the
    removal of the whole store takes it, while it holds it.
    """

    def __init__(self, store: str, model_id: str, revision: str) -> None:
        key = "%s--%s" % (model_id.replace("/", "--"), revision)
        self.store = os.path.abspath(store)
        self.final = os.path.join(self.store, *model_id.split("/"), revision)
        self.work = os.path.join(self.store, ".work", key)
        self.data = os.path.join(self.work, "data")
        self.parts = os.path.join(self.work, "parts")
        self.old = os.path.join(self.work, "old")
        self.lock = os.path.join(self.store, ".locks", key + ".lock")

    def part(self, path: str) -> str:
        """Name of the file under way for ``path``: flat, and never clashing with a file of the model."""
        return os.path.join(self.parts, hashlib.sha256(path.encode("utf-8")).hexdigest())

    def make_dirs(self) -> None:
        for path in (os.path.dirname(self.final), os.path.dirname(self.lock), self.data, self.parts):
            make_dirs(path)


def make_dirs(path: str) -> None:
    """Make ``path`` and what is missing above it, each 0755 whatever the umask: a service's own user reads it."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        try:
            os.mkdir(each)
        except FileExistsError:
            continue
        os.chmod(each, 0o755)  # noqa: S103


class Hashes:
    """Both hashes a hub may give, computed in one pass over the content."""

    def __init__(self, entry: FileEntry) -> None:
        self._entry = entry
        self._sha256 = hashlib.sha256()
        # It is what the hub publishes, against accidents; so hosts in FIPS mode may compute it too.
        head = b"blob %d\0" % entry.size
        self._sha1 = hashlib.sha1(head, usedforsecurity=False) if entry.git_sha1 else None

    def update(self, data: Any) -> None:
        self._sha256.update(data)
        if self._sha1:
            self._sha1.update(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def match(self) -> bool:
        entry = self._entry
        if entry.sha256 and entry.sha256 != self.sha256:
            return False
        return not (entry.git_sha1 and self._sha1 and entry.git_sha1 != self._sha1.hexdigest())


def hash_file(path: str, entry: FileEntry, progress: Callable[[int], None] | None = None) -> Hashes:
    """Hash the file at ``path``; memory does not grow with its size."""
    hashes = Hashes(entry)
    buffer = memoryview(bytearray(READ_BYTES))
    with open(path, "rb", buffering=0) as handle:
        while True:
            count = handle.readinto(buffer)
            if not count:
                return hashes
            hashes.update(buffer[:count])
            if progress:
                progress(count)


def read_manifest(directory: str) -> dict[str, Any] | None:
    """The manifest of a published snapshot, or None if there is none that can be understood."""
    try:
        with open(os.path.join(directory, MANIFEST), encoding="utf-8") as handle:
            manifest = json.load(handle)
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("schema") != 1 or not isinstance(manifest.get("files"), list):
        return None
    try:
        manifest_entries(manifest)
    except (KeyError, TypeError, ValueError):
        return None
    return manifest


def manifest_entries(manifest: dict[str, Any]) -> list[FileEntry]:
    return [
        FileEntry(str(item["path"]), int(item["size"]), item.get("sha256"), item.get("git_sha1"))
        for item in manifest["files"]
    ]


def published_at(directory: str, manifest: dict[str, Any]) -> float:
    """When the snapshot came onto the host, in seconds since 1970. A repair does not change it."""
    moment = manifest.get("published_at")
    return float(moment) if isinstance(moment, (int, float)) else os.path.getmtime(os.path.join(directory, MANIFEST))


def write_manifest(place: Place, listing: Listing, patterns: dict[str, list[str]], files: list[FileEntry]) -> None:
    """Write the manifest into the directory that is not published yet."""
    repaired = read_manifest(place.final)
    manifest = {
        "published_at": published_at(place.final, repaired) if repaired else round(time.time(), 3),
        "schema": 1,
        "id": listing.model_id,
        "source": listing.source,
        "endpoint": listing.endpoint,
        "requested_revision": listing.requested_revision,
        "revision": listing.revision,
        "patterns": patterns,
        "files": [entry.as_dict() for entry in files],
    }
    path = os.path.join(place.data, MANIFEST)
    with open(path, "w", encoding="utf-8") as handle:
        json.dump(manifest, handle, indent=1, sort_keys=True)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    os.chmod(path, 0o644)


def size_matches(directory: str, entry: FileEntry) -> bool:
    """Whether the file is there as a regular file of the right size."""
    path = os.path.join(directory, entry.path)
    try:
        return os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) == entry.size
    except OSError:
        return False


def publish(place: Place) -> None:
    """Make ``work/data`` the snapshot. One that is being repaired changes places with it, so that one is always there.

    Network file systems cannot do that: there it gives way at the last moment, and who is killed in that moment leaves
    ``work/data`` whole, for the next run to publish.
    """
    sync_directories(place.data)
    if os.path.isdir(place.old):
        shutil.rmtree(place.old)
    if not (os.path.isdir(place.final) and exchange(place.data, place.final)):
        if os.path.isdir(place.final):
            os.rename(place.final, place.old)
        os.rename(place.data, place.final)
    sync_directory(os.path.dirname(place.final))
    shutil.rmtree(place.work, ignore_errors=True)


def exchange(one: str, other: str) -> bool:
    """Let two paths change places in one step. False: the kernel, the C library or the file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    # From the working directory (which absolute paths make no use of); RENAME_EXCHANGE.
    return bool(renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0)


def sync_directories(top: str) -> None:
    for base, _dirs, _files in os.walk(top):
        sync_directory(base)


def sync_directory(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def snapshots_in(store: str) -> list[tuple[str, str]]:
    """Id and commit of every snapshot of ours, found by its manifest. Links are not followed."""
    found = []
    for first in _folders(store):
        if not first.startswith("."):
            for second in ["", *_folders(os.path.join(store, first))]:
                model_id = "%s/%s" % (first, second) if second else first
                top = os.path.join(store, first, second) if second else os.path.join(store, first)
                for commit in commits_below(top):
                    manifest = read_manifest(os.path.join(top, commit))
                    if manifest and (manifest.get("id"), manifest.get("revision")) == (model_id, commit):
                        found.append((model_id, commit))
    return found


def commits_below(top: str) -> list[str]:
    """Names of the directories below ``top`` that are commits."""
    return [name for name in _folders(top) if is_commit(name)]


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(each.name for each in entries if each.is_dir(follow_symlinks=False))
    except OSError:
        return []


def free_bytes(path: str) -> int:
    """Bytes an unprivileged process may still write on the file system of ``path`` or its nearest existing parent."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def no_space(store: str, needed: int, free: int) -> Problem:
    return Problem(
        "model.no_space",
        "%d bytes below %s" % (needed, store),
        "the file system has %d bytes free, of which %d stay reserved" % (free, SPACE_MARGIN_BYTES),
        "Free %d bytes, or set model_store_path to a larger file system" % max(needed + SPACE_MARGIN_BYTES - free, 1),
    )


def unwritable(store: str, error: OSError) -> Problem:
    return Problem(
        "model.store_unwritable",
        "the model store %s" % store,
        explain(error),
        "Check that it is a directory root may write on this host, or set model_store_path to another one",
    )
