# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Where other tools keep the files of a model. Nothing here reads a content or changes anything."""

from __future__ import annotations

import os
import stat
from typing import Iterator

from ._types import FileEntry

# A git-lfs pointer is a small text that begins so; the content it stands for lies below .git/lfs/objects by its hash.
POINTER_START = b"version https://git-lfs.github.com/spec/"
POINTER_MOST_BYTES = 1024


def folders_of(place: str, model_id: str) -> list[str]:
    """Folders at or below ``place`` that may hold files of the model, each once, the most likely first.

    A clone or a local folder of the model itself; a folder of models (``org/name`` or ``name``); a cache of Hugging
    Face (``models--org--name``, also below ``hub``); a cache of ModelScope (dots of the name are ``___`` there, also
    below ``hub`` and ``models``).
    """
    place = os.path.abspath(os.path.expanduser(place))
    _organisation, _slash, name = model_id.rpartition("/")
    plain = [model_id, name]
    plain += [each.replace(".", "___") for each in plain if "." in each]
    cached = "models--" + model_id.replace("/", "--")
    found = [place]
    for base in ("", "hub", "models", os.path.join("hub", "models")):
        found += [os.path.join(place, base, each) for each in [cached, *plain]]
    known: dict[tuple[int, int], str] = {}
    for folder in found:
        try:
            state = os.stat(folder)
        except OSError:
            continue
        if stat.S_ISDIR(state.st_mode):
            known.setdefault((state.st_dev, state.st_ino), os.path.normpath(folder))
    return list(known.values())


def candidates(folders: list[str], entry: FileEntry) -> Iterator[tuple[str, str]]:
    """(path, folder) of every regular file that has the size of ``entry`` and may be it. Links are followed."""
    for folder in folders:
        for path in _paths(folder, entry):
            real = os.path.realpath(path)
            try:
                state = os.stat(real)
            except OSError:
                continue
            if stat.S_ISREG(state.st_mode) and state.st_size == entry.size:
                yield real, folder


def is_pointer(path: str) -> bool:
    """Whether the file is a git-lfs pointer instead of the content."""
    try:
        if os.path.getsize(path) > POINTER_MOST_BYTES:
            return False
        with open(path, "rb") as handle:
            return handle.read(len(POINTER_START)) == POINTER_START
    except OSError:
        return False


def pointers(folders: list[str], entry: FileEntry) -> list[str]:
    """Pointer files that stand where the file should be: its clone was made without the large files."""
    paths = [os.path.join(folder, entry.path) for folder in folders]
    return [path for path in paths if is_pointer(path)]


def _paths(folder: str, entry: FileEntry) -> Iterator[str]:
    yield os.path.join(folder, entry.path)
    blobs = os.path.join(folder, "blobs")
    for digest in (entry.sha256, entry.git_sha1):
        if digest:
            yield os.path.join(blobs, digest)
    snapshots = os.path.join(folder, "snapshots")
    for commit in _names(snapshots):
        yield os.path.join(snapshots, commit, entry.path)
    if entry.sha256:
        objects = os.path.join(_git_folder(folder), "lfs", "objects")
        yield os.path.join(objects, entry.sha256[:2], entry.sha256[2:4], entry.sha256)


def _git_folder(folder: str) -> str:
    """The repository of a clone; in a work tree of another clone .git is a file that names it."""
    path = os.path.join(folder, ".git")
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read(4096)
    except (OSError, ValueError):
        return path
    if not text.startswith("gitdir:"):
        return path
    named = os.path.normpath(os.path.join(folder, text[len("gitdir:") :].strip()))
    # The objects of a work tree lie in the repository it belongs to.
    return named.partition("/worktrees/")[0]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
