# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Which hosts use which snapshots of a store that several may mount: one small file a host, in the store itself."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import uuid
from typing import Any

from .._errors import Problem
from ._http import explain
from ._store import make_dirs, unwritable

FOLDER = ".users"
# Kinds of file systems that several hosts may mount.
NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "glusterfs",
    "9p",
    "virtiofs",
    "gfs2",
    "ocfs2",
}


def identity() -> str:
    """This machine, the same after a restart."""
    try:
        with open("/etc/machine-id", encoding="ascii") as handle:
            machine = handle.read().strip()
    except (OSError, ValueError):
        machine = ""
    return "%s %s" % (socket.gethostname(), machine)


def on_network(path: str, mounts: str = "/proc/self/mounts") -> bool:
    """Whether the nearest mount above ``path`` is of a kind that other hosts may have too."""
    best, kind = "", ""
    path = os.path.realpath(path)
    with open(mounts, encoding="utf-8", errors="surrogateescape") as handle:
        for each in handle:
            words = each.split(" ")
            place = words[1].replace("\\040", " ")
            if len(place) >= len(best) and (path + "/").startswith(place.rstrip("/") + "/"):
                best, kind = place, words[2]
    return kind.startswith("fuse.") or kind in NETWORK


class Users:
    """The registry of one store. ``me`` is the host that speaks, as ``identity`` names it."""

    def __init__(self, store: str, me: str = "") -> None:
        self.folder = os.path.join(os.path.abspath(store), FOLDER)
        self._store, self._me = store, me or identity()
        self.path = os.path.join(self.folder, hashlib.sha256(self._me.encode()).hexdigest()[:32] + ".json")

    def add(self, model_id: str, revision: str) -> None:
        """This host uses the snapshot from now on."""
        known = self._read(self.path) if os.path.exists(self.path) else {}
        uses = known.get("uses") or []
        if [model_id, revision] not in uses:
            self.replace([*uses, [model_id, revision]])

    def replace(self, uses: list[list[str]]) -> None:
        """This host uses these (id, commit) and no others. Raises Problem."""
        fresh = "%s.%s" % (self.path, uuid.uuid4().hex)
        try:
            make_dirs(self.folder)
            with open(fresh, "w", encoding="utf-8") as handle:
                json.dump({"schema": 1, "host": self._me.split(" ")[0], "uses": sorted(map(list, uses))}, handle)
            os.chmod(fresh, 0o644)
            os.replace(fresh, self.path)
        except OSError as error:
            raise unwritable(self._store, error) from error

    def keep_only(self, uses: list[list[str]]) -> None:
        """This host no longer uses what it had registered and what is not in ``uses``."""
        known = self._read(self.path).get("uses") or []
        still = [each for each in known if each in uses]
        if still != known:
            self.replace(still)

    def drop(self, model_id: str, revision: str) -> None:
        known = self._read(self.path).get("uses") or []
        self.keep_only([each for each in known if each != [model_id, revision]])

    def leave(self) -> None:
        """This host uses nothing any more."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)

    def others(self) -> dict[tuple[str, str], str]:
        """By (id, commit) the name of another host that uses it. Raises Problem when that cannot be read."""
        found: dict[tuple[str, str], str] = {}
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return found
        except OSError as error:
            raise self._unreadable(self.folder, explain(error)) from error
        for name in names:
            path = os.path.join(self.folder, name)
            if name.endswith(".json") and path != self.path:
                known = self._read(path)
                for model_id, revision in known.get("uses") or []:
                    found.setdefault((model_id, revision), str(known.get("host") or name))
        return found

    def _read(self, path: str) -> dict[str, Any]:
        try:
            with open(path, encoding="utf-8") as handle:
                known = json.load(handle)
            if not isinstance(known, dict) or not all(len(each) == 2 for each in known.get("uses") or []):
                raise ValueError("it does not have the form it should have")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            raise self._unreadable(path, explain(error) if isinstance(error, OSError) else str(error)) from error
        return known

    def _unreadable(self, path: str, why: str) -> Problem:
        return Problem(
            "model.unreadable",
            "what other hosts use of the store, in %s" % path,
            why,
            "It must be known before anything is removed. Remove that file if its host does not use the store any more",
        )
