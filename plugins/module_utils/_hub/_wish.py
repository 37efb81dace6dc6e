# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from typing import Any

from ._types import FileEntry


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
    # Folders on the host in which other tools may have put files of the model.
    adopt: list[str] = field(default_factory=list)
    # Other hosts of the play and its file list, as the option of model_snapshot describes them.
    peers: dict[str, Any] | None = None

    @property
    def patterns(self) -> dict[str, list[str]]:
        return {"allow": sorted(self.allow_patterns), "ignore": sorted(self.ignore_patterns)}


@dataclass
class Outcome:
    """What was done. Sizes in bytes; ``bytes_downloaded`` is what came over the network in this run.

    ``origins`` says for each place that files come from how many files and bytes they are.
    """

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
    origins: list[dict[str, Any]] = field(default_factory=list)
    neighbours: dict[str, Any] = field(default_factory=dict)


def select(files: list[FileEntry], allow: list[str], ignore: list[str]) -> list[FileEntry]:
    """The files that match one of ``allow`` (or anything, if that is empty) and none of ``ignore``.

    Patterns are shell patterns over the whole path; ``dir/`` stands for everything below a directory.
    """

    def matches(path: str, patterns: list[str]) -> bool:
        return any(fnmatch.fnmatchcase(path, each + "*" if each.endswith("/") else each) for each in patterns)

    return [each for each in files if (not allow or matches(each.path, allow)) and not matches(each.path, ignore)]
