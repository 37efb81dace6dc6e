# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from typing import Any

from .._errors import Problem
from ._http import explain
from ._remove import UNFINISHED, remove_tree, remove_unfinished
from ._store import Place, published_at, read_manifest, snapshots_in
from ._types import is_commit
from ._users import Users, on_network
from ._wish import Wish

# What names the model of an instance: the configuration it starts with, and the last one that proved itself.
REFERENCES = ("/etc/gpufleet/instances/*/config.yaml", "/var/lib/gpufleet/*/last_good.json")


@dataclass
class Pruned:
    """What went, or in check mode would go, and what stays and why. Sizes in bytes.

    The bytes of a snapshot are those that its removal sets free: a file that stays elsewhere counts for nothing.
    """

    removed: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)

    @property
    def bytes_freed(self) -> int:
        return sum(each["bytes"] for each in self.removed)


def prune(
    wish: Wish,
    keep: list[dict[str, Any]],
    check: bool = False,
    references: tuple[str, ...] = REFERENCES,
    keep_shared: list[dict[str, Any]] | None = None,
) -> Pruned:
    """Remove every snapshot that nothing in ``keep`` wants, nothing on this host uses, and no other host.

    Another host that mounts the same store is known by what it registered there; this one registers what it keeps.
    ``keep`` holds models as deployments name them: id with or without revision, or path. ``keep_shared`` holds those of
    the other hosts, which count when the store may be theirs too. Raises Problem.
    """
    store = os.path.abspath(wish.store)
    texts = _read(references)
    used = _open_files(store)
    users = Users(store)
    elsewhere, own = users.others(), []
    shared = bool(elsewhere) or on_network(store)
    pruned, doomed = Pruned(), []
    for model_id, commit in snapshots_in(store):
        place = Place(store, model_id, commit)
        reason = _wanted(store, place.final, model_id, commit, keep) or _in_use(place.final, texts, used)
        if reason:
            own.append([model_id, commit])
        elif (model_id, commit) in elsewhere:
            reason = "host %s uses it, or has not pruned since" % elsewhere[model_id, commit]
        elif shared:
            reason = _wanted(store, place.final, model_id, commit, keep_shared or [])
            reason = "%s, on a host of this inventory" % reason if reason else None
        if reason:
            pruned.kept.append({"path": place.final, "id": model_id, "revision": commit, "reason": reason})
        else:
            doomed.append((place, model_id, commit))
    sizes = _freed([place.final for place, _id, _commit in doomed])
    for (place, model_id, commit), size in zip(doomed, sizes):
        pruned.removed.append({"path": place.final, "id": model_id, "revision": commit, "bytes": size})
        if not check:
            remove_tree(wish, place, place.final)
    _prune_unfinished(wish, store, [*keep, *(keep_shared or [])] if shared else keep, pruned, check)
    if not check:
        users.keep_only(own)
    return pruned


def _wanted(store: str, directory: str, model_id: str, commit: str, keep: list[dict[str, Any]]) -> str | None:
    for each in keep:
        path = str(each.get("path") or "")
        if path and _inside(os.path.realpath(path), os.path.realpath(directory)):
            return "a deployment names its folder"
        if each.get("id") != model_id:
            continue
        revision = each.get("revision") or None
        if is_commit(revision):
            if revision == commit:
                return "a deployment names this commit"
        elif commit == _latest(store, model_id, None):
            return "a deployment without a commit runs the one that came last"
        elif revision and commit == _latest(store, model_id, revision):
            return "it is what %s stood for last" % revision
    return None


def _latest(store: str, model_id: str, requested: str | None) -> str | None:
    """The commit that came last, of all or of those that were asked for as ``requested``."""
    found = []
    for known, commit in snapshots_in(store):
        directory = Place(store, known, commit).final
        manifest = read_manifest(directory) if known == model_id else None
        if manifest and requested in (None, manifest.get("requested_revision")):
            found.append((published_at(directory, manifest), commit))
    return max(found)[1] if found else None


def _in_use(directory: str, texts: dict[str, str], used: dict[str, str]) -> str | None:
    for path, text in texts.items():
        # The commit is enough: it names the folder, wherever the store is mounted.
        if os.path.basename(directory) in text:
            return "%s names it" % path
    for path, process in used.items():
        if _inside(path, directory):
            return "process %s has %s open" % (process, path)
    return None


def _read(references: tuple[str, ...]) -> dict[str, str]:
    texts = {}
    for pattern in references:
        for path in sorted(glob.glob(pattern)):
            try:
                with open(path, encoding="utf-8", errors="replace") as handle:
                    texts[path] = handle.read()
            except OSError as error:
                raise Problem(
                    "model.unreadable",
                    "what instances of this host use, in %s" % path,
                    explain(error),
                    "Run as root: what is in use must be known before anything is removed",
                ) from error
    return texts


def _open_files(store: str) -> dict[str, str]:
    """Files and folders below the store that a process has open, mapped or as its place; with the process."""
    found: dict[str, str] = {}
    top = os.path.realpath(store)
    for process in glob.glob("/proc/[0-9]*"):
        number = os.path.basename(process)
        for link in [process + "/cwd", *glob.glob(process + "/fd/*"), *glob.glob(process + "/map_files/*")]:
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if _inside(target, top):
                found[store + target[len(top) :]] = number
    return found


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + os.sep)


def _freed(directories: list[str]) -> list[int]:
    """Bytes each directory sets free, if all go: a file linked from elsewhere too sets nothing free."""
    links: dict[tuple[int, int], list[int]] = {}
    sizes = []
    for number, directory in enumerate(directories):
        sizes.append(0)
        for base, _dirs, names in os.walk(directory):
            for name in names:
                state = os.lstat(os.path.join(base, name))
                seen = links.setdefault((state.st_dev, state.st_ino), [state.st_nlink, state.st_size, number])
                seen[0] -= 1
                # The last link that goes frees the file.
                seen[2] = number
    for left, size, number in links.values():
        if left == 0:
            sizes[number] += size
    return sizes


def _prune_unfinished(wish: Wish, store: str, keep: list[dict[str, Any]], pruned: Pruned, check: bool) -> None:
    """Remove what unfinished downloads left of models that nothing wants."""
    ids = {str(each.get("id") or "").replace("/", "--") for each in keep}
    work, locks = os.path.join(store, ".work"), os.path.join(store, ".locks")
    for name in sorted(os.listdir(work)) if os.path.isdir(work) else []:
        key, _sep, commit = name.replace(".removed", "").rpartition("--")
        if not UNFINISHED.match(name) or key in ids:
            continue
        path = os.path.join(work, name)
        size = sum(_freed([path]))
        pruned.removed.append({"path": path, "id": key.replace("--", "/", 1), "revision": commit, "bytes": size})
        if not check:
            remove_unfinished(wish, path, os.path.join(locks, "%s--%s.lock" % (key, commit)))
