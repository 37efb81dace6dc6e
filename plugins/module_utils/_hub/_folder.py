# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from .._errors import Problem
from ._dialects import Hub, unknown_model, unknown_revision
from ._http import Client
from ._store import commits_below, manifest_entries, published_at, read_manifest
from ._types import FileEntry, Listing, check_entries, is_commit


def is_folder(endpoint: str) -> bool:
    return endpoint.startswith("file:")


class FolderHub(Hub):
    """A folder with snapshots of ours instead of a hub: ``file:///dir`` with ``<id>/<commit>/.gpufleet.json`` below.

    Every model store has this form, so what one host has is exported by making a store of it elsewhere (on a disk, in a
    bundle), and imported by naming that folder as endpoint. The files are hashed on the way like all others.
    """

    def __init__(self, endpoint: str, source: str) -> None:
        parts = urlsplit(endpoint)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise Problem(
                "hub.bad_endpoint",
                "endpoint '%s' of %s" % (endpoint, source),
                "it is not the URL of a folder on the host",
                "Write it like file:///srv/models",
            )
        self.source = source
        self.endpoint = endpoint
        self.root = os.path.normpath(unquote(parts.path))
        self.client = Client()

    def directory(self, model_id: str, commit: str) -> str:
        """Where the files of a snapshot lie."""
        return os.path.join(self.root, *model_id.split("/"), commit)

    def listing(self, model_id: str, revision: str | None) -> Listing:
        asked = "model %s at revision %s from %s" % (model_id, revision or "any", self.endpoint)
        held = self._held(model_id)
        if not held:
            raise unknown_model(asked, "the folder has no snapshot of it that came from %s" % self.source)
        fit = [each for each in held if _stands_for(each, revision)]
        if not fit:
            raise unknown_revision(asked, str(revision))
        manifest = max(fit, key=lambda each: published_at(self.directory(model_id, each["revision"]), each))
        files = check_entries(manifest_entries(manifest), self.endpoint)
        requested = revision or str(manifest.get("requested_revision"))
        return Listing(model_id, self.source, self.endpoint, requested, manifest["revision"], files)

    def read_file(self, listing: Listing, path: str, limit: int = 16 << 20) -> bytes:
        return self.read_range(listing, path, 0, limit)

    def read_range(self, listing: Listing, path: str, offset: int, count: int) -> bytes:
        """At most ``count`` bytes of a file from ``offset`` on. Raises Problem."""
        try:
            with open(os.path.join(self.directory(listing.model_id, listing.revision), path), "rb") as handle:
                handle.seek(offset)
                return handle.read(count)
        except OSError as error:
            raise incomplete(self.endpoint, listing, [FileEntry(path, 0)]) from error

    def _held(self, model_id: str) -> list[dict[str, Any]]:
        """Manifests of the snapshots of the model that are there."""
        found = []
        for commit in commits_below(os.path.join(self.root, *model_id.split("/"))):
            manifest = read_manifest(self.directory(model_id, commit))
            known = manifest and (manifest.get("id"), manifest.get("revision"), manifest.get("source"))
            if manifest and known == (model_id, commit, self.source):
                found.append(manifest)
        return found


def _stands_for(manifest: dict[str, Any], revision: str | None) -> bool:
    if revision is None:
        return True
    return revision in ([manifest["revision"]] if is_commit(revision) else [manifest.get("requested_revision")])


def incomplete(endpoint: str, listing: Listing, missing: list[FileEntry]) -> Problem:
    """The folder does not hold what its manifest lists."""
    return Problem(
        "model.damaged",
        "model %s at %s from %s" % (listing.model_id, listing.revision, endpoint),
        "%d files are missing or do not have the hash of the manifest, the first is %s"
        % (len(missing), missing[0].path),
        "Export it again, or name a hub behind this folder in gpufleet_hub_endpoints to fetch what is bad",
    )
