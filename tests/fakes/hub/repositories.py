# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The models a directory holds, as a hub sees them: refs, commits, files, hashes."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

DEFAULT_REFS = ("main", "master")
#: ``<file>.sha256-of`` next to a huge file holds its SHA-256, so that it need not be read; it is no file of the model
SIDECAR = ".sha256-of"


@dataclass(frozen=True)
class Blob:
    """One file: ``path`` as listed, where its content is, size in bytes, both hashes."""

    path: str
    disk: Path
    size: int
    sha256: str
    git_sha1: str
    lfs: bool


@dataclass(frozen=True)
class Tree:
    """A model at one commit."""

    commit: str
    blobs: dict[str, Blob]


class Repositories:
    """``ROOT/<org>/<name>`` is a model's default branch, ``ROOT/<org>/<name>@<ref>`` another ref of it.

    The commit is a hash over names and contents, so it moves exactly when the content does.
    """

    def __init__(self, root: Path, lfs_bytes: int) -> None:
        self.root = root
        self.lfs_bytes = lfs_bytes
        #: whether nothing changes any more: then a model is looked through once, and not for every request
        self.frozen = False
        self._trees: dict[Path, Tree] = {}
        self._hashes: dict[tuple[str, int, int], tuple[str, str]] = {}
        self._lock = threading.Lock()

    def refs(self, model_id: str) -> dict[str, Path]:
        """Directories by ref; empty when the model is unknown."""
        top = self.root / model_id
        found: dict[str, Path] = {}
        if ".." in model_id.split("/") or not top.parent.is_dir():
            return found
        if top.is_dir():
            found.update(dict.fromkeys(DEFAULT_REFS, top))
        for each in top.parent.glob(top.name + "@*"):
            found[each.name.partition("@")[2]] = each
        return found

    def tree(self, model_id: str, revision: str) -> Tree | None:
        """The model at a ref or commit, or None."""
        refs = self.refs(model_id)
        if revision in refs:
            return self._read(refs[revision])
        for directory in set(refs.values()):
            tree = self._read(directory)
            if tree.commit == revision:
                return tree
        return None

    def _read(self, directory: Path) -> Tree:
        if self.frozen and directory in self._trees:
            return self._trees[directory]
        tree = self._look(directory)
        self._trees[directory] = tree
        return tree

    def _look(self, directory: Path) -> Tree:
        blobs: dict[str, Blob] = {}
        for base, dirs, names in os.walk(directory):
            dirs.sort()
            for name in sorted(each for each in names if not each.endswith(SIDECAR)):
                blob = self._blob(directory, Path(base) / name)
                blobs[blob.path] = blob
        digest = hashlib.sha1("".join("%s %s\n" % (each.path, each.git_sha1) for each in blobs.values()).encode())
        return Tree(digest.hexdigest(), blobs)

    def _blob(self, directory: Path, disk: Path) -> Blob:
        stat = disk.stat()
        key = (str(disk), stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if key not in self._hashes:
                self._hashes[key] = _hash(disk, stat.st_size)
            sha256, git_sha1 = self._hashes[key]
        path = disk.relative_to(directory).as_posix()
        lfs = path.endswith((".safetensors", ".bin")) or stat.st_size >= self.lfs_bytes
        return Blob(path, disk, stat.st_size, sha256, git_sha1, lfs)


def _hash(disk: Path, size: int) -> tuple[str, str]:
    known = disk.with_name(disk.name + SIDECAR)
    if known.exists():
        sha256_hex = known.read_text().strip()
        # Large files are listed by their SHA-256 only; the other one just has to be different.
        return sha256_hex, hashlib.sha1(sha256_hex.encode()).hexdigest()
    sha256 = hashlib.sha256()
    git_sha1 = hashlib.sha1(b"blob %d\0" % size)
    with disk.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            sha256.update(chunk)
            git_sha1.update(chunk)
    return sha256.hexdigest(), git_sha1.hexdigest()
