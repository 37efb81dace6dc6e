# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from .._errors import Problem
from ._dialects import HUBS, Hub
from ._folder import FolderHub
from ._held import Held, ask, find_held
from ._http import HttpFailure, explain
from ._sources import find, hubs_of, unreachable
from ._store import manifest_entries, read_manifest
from ._types import MANIFEST, FileEntry, Listing, check_model_id
from ._wish import Wish

# More than this would make the answer larger than it is useful; the planner then counts from the config.
MAX_TENSORS = 20000
MAX_SHARDS = 256
HEAD_BYTES = 64 << 10
MAX_HEADER_BYTES = 32 << 20

# Reads ``count`` bytes of a file from an offset; may give fewer at the end of the file.
Reader = Callable[[str, int, int], bytes]


def read_model(wish: Wish, directory: str | None, read_tensors: bool, use_store: bool = False) -> dict[str, Any]:
    """Say what a model is, from small reads: commit, files, sizes, config, tensors.

    ``directory`` is where a model of source ``path`` lies. ``use_store``: answer from ``wish.store`` where that is
    enough (see find_held). Sources are tried in their order. Raises Problem.
    """
    if wish.sources and wish.sources[0] == "path":
        return _from_directory(wish, directory, read_tensors)
    check_model_id(wish.model_id)
    hubs = hubs_of([each for each in wish.sources if each != "path"], wish.endpoints, wish.tokens, wish.timeout)
    held = find_held(wish) if use_store else None
    if held and held.whole:
        return _from_store(wish, held, read_tensors)
    hub, listing = ask(hubs, wish, held) if use_store else find(hubs, wish.model_id, wish.revision)

    def read(path: str, offset: int, count: int) -> bytes:
        if isinstance(hub, FolderHub):
            return hub.read_range(listing, path, offset, count)
        url = hub.file_url(listing.model_id, listing.revision, path)
        return _ranged(hub, url, offset, count)

    try:
        known = _describe(
            listing.files,
            lambda path: hub.read_file(listing, path),
            read if read_tensors else None,
            "model %s from %s" % (listing.model_id, listing.endpoint),
        )
    except HttpFailure as failure:
        raise unreachable(hub, "model %s" % wish.model_id, failure) from failure
    return {
        "id": listing.model_id,
        "source": listing.source,
        "endpoint": listing.endpoint,
        "path": None,
        "requested_revision": listing.requested_revision,
        "revision": listing.revision,
        "in_store": False,
        **known,
    }


def _ranged(hub: Hub, url: str, offset: int, count: int) -> bytes:
    with hub.client.open(url, {"Range": "bytes=%d-%d" % (offset, offset + count - 1)}) as answer:
        # A server without ranges sends the whole file: read past what is not wanted.
        skip = 0 if answer.status == 206 else offset
        if skip > MAX_HEADER_BYTES:
            raise HttpFailure(url, 502, "ignores ranges")
        try:
            data = answer.read(skip + count)
        except OSError as error:
            raise HttpFailure(url, 0, explain(error)) from None
        return bytes(data[skip:])


def _describe(
    files: list[FileEntry], content: Callable[[str], bytes], read: Reader | None, asked: str
) -> dict[str, Any]:
    """The part of the answer that does not depend on where the files are."""
    names = {each.path for each in files}
    if "config.json" not in names:
        raise Problem(
            "model.no_config",
            asked,
            "it has no config.json (%d files)" % len(files),
            "Use a model in the format of Hugging Face transformers; for GGUF give the original model's id",
        )
    weights = weight_files(files)
    return {
        "files": [each.as_dict() for each in files],
        "total_bytes": sum(each.size for each in files),
        "weights_bytes": sum(each.size for each in weights),
        "config": _json(content("config.json"), "config.json", asked),
        "generation_config": (
            _json(content("generation_config.json"), "generation_config.json", asked)
            if "generation_config.json" in names
            else None
        ),
        "tensors": _tensors(weights, read, asked) if read else None,
    }


def weight_files(files: list[FileEntry]) -> list[FileEntry]:
    """The files an engine loads: safetensors at the top, without the same weights in another layout; else .bin."""
    for suffix in (".safetensors", ".bin", ".pt"):
        found = [each for each in files if each.path.endswith(suffix) and "/" not in each.path]
        # Mistral publishes the weights twice, once as consolidated.safetensors.
        usual = [each for each in found if not each.path.startswith("consolidated")]
        usual = [each for each in usual if each.path not in ("training_args.bin", "optimizer.pt", "scheduler.pt")]
        if usual or found:
            return usual or found
    return []


def _json(body: bytes, name: str, asked: str) -> dict[str, Any]:
    try:
        value = json.loads(body.decode("utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Problem(
            "model.bad_config",
            asked,
            "its %s (%d bytes) is no JSON object" % (name, len(body)),
            "A file of about 130 bytes is a git-lfs pointer: fetch the model itself",
        )
    return value


def _tensors(weights: list[FileEntry], read: Reader, asked: str) -> dict[str, Any] | None:
    """``{name: {dtype, shape}}`` of every safetensors file, or None where that is not known or too much."""
    if not weights or len(weights) > MAX_SHARDS or not weights[0].path.endswith(".safetensors"):
        return None
    with ThreadPoolExecutor(max_workers=8) as pool:
        headers = list(pool.map(lambda each: safetensors_header(each, read, asked), weights))
    tensors = {
        name: {"dtype": item["dtype"], "shape": item["shape"]}
        for header in headers
        for name, item in header.items()
        if name != "__metadata__"
    }
    return tensors if len(tensors) <= MAX_TENSORS else None


def safetensors_header(entry: FileEntry, read: Reader, asked: str) -> dict[str, Any]:
    """Parse the header of one safetensors file: its length in 8 bytes, then that many bytes of JSON."""
    head = read(entry.path, 0, min(HEAD_BYTES, entry.size))
    length = int.from_bytes(head[:8], "little")
    header: Any = None
    if len(head) >= 8 and length <= min(MAX_HEADER_BYTES, entry.size - 8):
        body = head[8 : 8 + length]
        if len(body) < length:
            body += read(entry.path, len(head), length - len(body))
        try:
            header = json.loads(body.decode("utf-8"))
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise Problem(
            "model.damaged",
            asked,
            "the header of %s (%d bytes) is no safetensors header" % (entry.path, entry.size),
            "Use another source; a file of about 130 bytes is a git-lfs pointer",
        )
    return header


def _from_directory(wish: Wish, directory: str | None, read_tensors: bool) -> dict[str, Any]:
    """A model that is on this host already."""
    asked = "model directory %s" % directory
    if not directory or not os.path.isabs(directory):
        raise Problem("model.not_found", asked, "it is not an absolute path", "Set `path:` of the model")
    if not os.path.isdir(directory):
        raise Problem(
            "model.not_found",
            asked,
            "there is no such directory on this host",
            "Put the model there, or use source huggingface or modelscope",
        )
    try:
        files, revision = directory_files(directory)
        known = _describe_directory(directory, files, read_tensors, asked)
    except OSError as error:
        raise Problem("model.unreadable", asked, explain(error), "Check its owner and mode") from error
    return {
        "id": wish.model_id or os.path.basename(directory.rstrip("/")),
        "source": "path",
        "endpoint": None,
        "path": directory,
        "requested_revision": wish.revision,
        "revision": revision,
        "in_store": False,
        **known,
    }


def _from_store(wish: Wish, held: Held, read_tensors: bool) -> dict[str, Any]:
    """A snapshot of ours, in the words in which its hub would tell of it."""
    asked = "model %s in %s" % (wish.model_id, held.directory)
    try:
        known = _describe_directory(held.directory, held.files, read_tensors, asked)
    except OSError as error:
        raise Problem("model.unreadable", asked, explain(error), "Check its owner and mode") from error
    return {
        "id": wish.model_id,
        "source": held.source,
        "endpoint": held.endpoint,
        "path": None,
        "requested_revision": wish.revision or HUBS[held.source].default_branch,
        "revision": held.revision,
        "in_store": True,
        **known,
    }


def _describe_directory(directory: str, files: list[FileEntry], read_tensors: bool, asked: str) -> dict[str, Any]:
    def read(path: str, offset: int, count: int) -> bytes:
        return _read(directory, path, offset, count)

    return _describe(files, lambda path: read(path, 0, 16 << 20), read if read_tensors else None, asked)


def _read(directory: str, path: str, offset: int, count: int) -> bytes:
    with open(os.path.join(directory, path), "rb") as handle:
        handle.seek(offset)
        return handle.read(count)


def directory_files(directory: str) -> tuple[list[FileEntry], str]:
    """Files of a directory, and what stands for its revision.

    For a snapshot of ours that is its commit. Otherwise it is a hash over names, sizes and modification times: it
    changes whenever somebody replaces a file, and never takes the minutes that hashing the weights would.
    """
    manifest = read_manifest(directory)
    if manifest:
        return manifest_entries(manifest), str(manifest["revision"])
    files = []
    digest = hashlib.sha256()
    for base, dirs, names in os.walk(directory):
        # .git, .cache and the like are no part of the model.
        dirs[:] = sorted(each for each in dirs if not each.startswith("."))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(base, name), directory)
            stat = os.stat(os.path.join(base, name))
            if path != MANIFEST:
                files.append(FileEntry(path, stat.st_size))
                line = "%s\0%d\0%d\n" % (path, stat.st_size, stat.st_mtime_ns)
                digest.update(line.encode("utf-8", "surrogateescape"))
    return sorted(files, key=lambda each: each.path), digest.hexdigest()


__all__ = ["Listing", "directory_files", "read_model", "safetensors_header", "weight_files"]
