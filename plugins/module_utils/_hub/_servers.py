# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import threading
from typing import Any

from .._errors import Problem
from ._dialects import Hub
from ._http import Client, HttpFailure
from ._sources import find
from ._types import FileEntry, Listing


class StandIn:
    """Another source that may have the same content under another commit. It is asked for its list when it is needed.

    It serves a file only where it lists the same path with the same size (and, where both list it, the same SHA-256);
    what it sends is compared with the hash of the first source like everything else.
    """

    def __init__(self, hub: Hub, model_id: str) -> None:
        self.hub = hub
        self._model_id = model_id
        self._guard = threading.Lock()
        self._listing: Listing | None = None
        self._asked = False
        self._files: dict[str, FileEntry] = {}

    @property
    def source(self) -> str:
        return self.hub.source

    @property
    def endpoint(self) -> str:
        return self.hub.endpoint

    @property
    def client(self) -> Client:
        return self.hub.client

    def has(self, entry: FileEntry) -> bool:
        with self._guard:
            if not self._asked:
                self._asked = True
                try:
                    self._listing = find([self.hub], self._model_id, None)[1]
                    self._files = {each.path: each for each in self._listing.files}
                except Problem:
                    # It only was a hope.
                    self._files = {}
        other = self._files.get(entry.path)
        if other is None or other.size != entry.size:
            return False
        return not (entry.sha256 and other.sha256 and entry.sha256 != other.sha256)

    def file_url(self, model_id: str, commit: str, path: str) -> str:
        return self.hub.file_url(model_id, self._listing.revision if self._listing else commit, path)

    def problem(self, failure: HttpFailure, model_id: str, revision: str) -> Exception:
        return self.hub.problem(failure, model_id, self._listing.revision if self._listing else revision)


class Servers:
    """Who may serve the files, best first; shared by all threads of a run.

    A server is a Hub, or anything with its ``source``, ``endpoint``, ``client``, ``file_url`` and ``problem``. One with
    ``has`` is asked whether it has a file before it is asked for the file.
    """

    def __init__(self, servers: list[Any]) -> None:
        self._guard = threading.Lock()
        self._order = list(servers)

    def __len__(self) -> int:
        return len(self._order)

    def choose(self, entry: FileEntry, refused: list[Any], spoiled: dict[Any, int]) -> Any | None:
        """The server to ask for a file: not one that refused it, or sent wrong content for it twice."""
        with self._guard:
            order = list(self._order)
        fit = [each for each in order if each not in refused and spoiled.get(each, 0) < 2]
        # Who has already sent something wrong is asked again only when nobody else is left.
        fit.sort(key=lambda each: spoiled.get(each, 0))
        for each in fit:
            has = getattr(each, "has", None)
            if has is None or has(entry):
                return each
        return None

    def demote(self, server: Any) -> None:
        """Ask this one last from now on: it does not answer, or it sent wrong content."""
        with self._guard:
            self._order.remove(server)
            self._order.append(server)
