# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from .._errors import Problem
from ._dialects import Hub
from ._sources import find
from ._store import EVERYTHING, Place, commits_below, manifest_entries, published_at, read_manifest, size_matches
from ._types import FileEntry, Listing, is_commit
from ._wish import Wish

# What a hub says that no longer has a commit.
_GONE = ("model.not_found", "model.revision_not_found", "model.empty")


@dataclass(frozen=True)
class Held:
    """A snapshot of a whole model in the store. ``whole``: every file is there with its size."""

    directory: str
    source: str
    endpoint: str
    revision: str
    files: list[FileEntry]
    whole: bool


def find_held(wish: Wish) -> Held | None:
    """The snapshot in the store that ``wish`` means, if there is one.

    A commit means itself. No revision means what the store holds of this model: the snapshot that came last, from
    whichever of the sources. A branch or tag means what it stands for now, which only a hub knows.
    """
    if is_commit(wish.revision):
        commits = [str(wish.revision)]
    elif wish.revision:
        return None
    else:
        commits = held_commits(wish)
    candidates = []
    for commit in commits:
        directory = Place(wish.store, wish.model_id, commit).final
        manifest = _usable(directory, wish, commit)
        if manifest:
            rank = (-published_at(directory, manifest), wish.sources.index(manifest["source"]), commit)
            candidates.append((rank, directory, manifest))
    if not candidates:
        return None
    (_age, _source, commit), directory, manifest = min(candidates, key=lambda each: each[0])
    files = manifest_entries(manifest)
    whole = all(size_matches(directory, each) for each in files)
    return Held(directory, manifest["source"], str(manifest.get("endpoint")), commit, files, whole)


def held_commits(wish: Wish) -> list[str]:
    """Commits of this model that are in the store, whole or damaged."""
    return commits_below(os.path.join(os.path.abspath(wish.store), *wish.model_id.split("/")))


def _usable(directory: str, wish: Wish, commit: str) -> dict[str, Any] | None:
    manifest = read_manifest(directory)
    if manifest is None or manifest.get("source") not in wish.sources or manifest.get("patterns") != EVERYTHING:
        return None
    return manifest if (manifest.get("id"), manifest.get("revision")) == (wish.model_id, commit) else None


def ask(hubs: list[Hub], wish: Wish, held: Held | None) -> tuple[Hub, Listing]:
    """Ask the hubs; ``held`` is what the store holds, but damaged. Raises Problem."""
    if held and not wish.revision:
        # Damage is no reason to change the version: it is repaired as what it was, if the hub still has that.
        try:
            return find([hub for hub in hubs if hub.source == held.source], wish.model_id, held.revision)
        except Problem as problem:
            if problem.code not in _GONE:
                raise
    try:
        return find(hubs, wish.model_id, wish.revision)
    except Problem as problem:
        commits = held_commits(wish)
        if problem.code != "hub.unreachable" or is_commit(wish.revision) or not commits:
            raise
        raise Problem(
            problem.code,
            problem.asked,
            problem.found,
            "%s. A branch or tag is asked for in every run; a commit that the host holds needs no hub. It holds: %s"
            % (problem.remedy, ", ".join(commits)),
        ) from problem
