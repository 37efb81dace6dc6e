# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .._errors import Problem

DEFAULT_ENDPOINTS = {
    "huggingface": ["https://huggingface.co", "https://hf-mirror.com"],
    "modelscope": ["https://modelscope.cn"],
}
SOURCES = ("huggingface", "modelscope", "path")
MANIFEST = ".gpufleet.json"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ZERO_BYTES_REMEDY = (
    "The hub has lost this file, as ModelScope is known to do; nothing is wrong on this host. Name another source "
    "behind this one, such as source: [modelscope, huggingface], or another endpoint"
)
# Weights of no bytes are no weights.
_NEVER_EMPTY = (".safetensors", ".bin", ".gguf")

_ID = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_HEX = {40: re.compile(r"^[0-9a-f]{40}$"), 64: re.compile(r"^[0-9a-f]{64}$")}


@dataclass(frozen=True)
class FileEntry:
    """One file of a model as a hub lists it.

    ``path`` is relative with forward slashes, ``size`` in bytes. At least one of the hashes is known: ``sha256`` of the
    content, or ``git_sha1`` of the git blob (what Hugging Face gives for files outside its large file storage).
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None

    def as_dict(self) -> dict[str, object]:
        known: dict[str, object] = {"path": self.path, "size": self.size}
        if self.sha256:
            known["sha256"] = self.sha256
        if self.git_sha1:
            known["git_sha1"] = self.git_sha1
        return known


@dataclass(frozen=True)
class Listing:
    """What one endpoint says about one model: its commit and every file in it."""

    model_id: str
    source: str
    endpoint: str
    requested_revision: str
    revision: str
    files: list[FileEntry] = field(default_factory=list)


def is_commit(revision: str | None) -> bool:
    """Whether ``revision`` is a full commit, which can never move."""
    return bool(revision and _COMMIT.match(revision))


def check_model_id(model_id: str) -> None:
    """Refuse ids that are no ``name`` or ``organisation/name``: they become paths and URLs."""
    if not _ID.match(model_id) or ".." in model_id:
        raise Problem(
            "model.bad_id",
            "model id '%s'" % model_id,
            "it is not of the form organisation/name with letters, digits, '.', '_' and '-'",
            "Copy the id from the model's page, for example Qwen/Qwen3-4B",
        )


def check_entries(entries: list[FileEntry], endpoint: str) -> list[FileEntry]:
    """Return ``entries`` sorted by path, or refuse the listing.

    A hub is not trusted with our file system: nothing absolute, no ``..``, no two entries that need the same place.
    A file without a usable hash is refused too, as it could never be verified.
    """
    seen: set[str] = set()
    for entry in entries:
        reason = _unsafe(entry.path)
        if entry.path in seen:
            reason = "is listed twice"
        if reason:
            raise Problem(
                "hub.unsafe_path",
                "the file list from %s" % endpoint,
                "entry %r %s" % (entry.path, reason),
                "Do not use this endpoint; nothing was written",
            )
        seen.add(entry.path)
        _check_hashes(entry, endpoint)
    for path in seen:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in seen:
                raise Problem(
                    "hub.unsafe_path",
                    "the file list from %s" % endpoint,
                    "%r is both a file and a directory" % "/".join(parts[:depth]),
                    "Do not use this endpoint; nothing was written",
                )
    return sorted(entries, key=lambda entry: entry.path)


def _unsafe(path: str) -> str | None:
    """Say why ``path`` may not be written below a directory, or None."""
    if not path or path.startswith("/"):
        return "is not a relative path"
    if "\\" in path or any(ord(char) < 32 or ord(char) == 127 for char in path):
        return "has a backslash or a control character"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "leaves the model's directory"
    if path == MANIFEST:
        return "is the name of our own manifest"
    if any(len(part.encode("utf-8", "surrogatepass")) > 255 for part in path.split("/")):
        return "has a name longer than 255 bytes"
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return None


def _check_hashes(entry: FileEntry, endpoint: str) -> None:
    """Refuse entries whose size or hash makes no sense."""
    good = (
        entry.size >= 0
        and (entry.sha256 or entry.git_sha1)
        and (not entry.sha256 or _HEX[64].match(entry.sha256))
        and (not entry.git_sha1 or _HEX[40].match(entry.git_sha1))
    )
    if good and (entry.size or entry.path.endswith(_NEVER_EMPTY)) and entry.sha256 == EMPTY_SHA256:
        # So a hub lists a file whose content it has lost, with the old size or with none.
        raise Problem(
            "hub.zero_bytes",
            "the file list from %s" % endpoint,
            "'%s' (%d bytes) is listed as zero bytes (SHA-256 %s...)" % (entry.path, entry.size, EMPTY_SHA256[:8]),
            ZERO_BYTES_REMEDY,
        )
    if not good:
        raise Problem(
            "hub.bad_listing",
            "the file list from %s" % endpoint,
            "'%s' (%d bytes) has no hash that could verify it" % (entry.path, entry.size),
            "Use another endpoint or source for this model",
        )
