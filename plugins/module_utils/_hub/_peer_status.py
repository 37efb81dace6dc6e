# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""What a store holds and what comes into it, seen from beside: nothing here changes anything or waits for a lock."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any

from ._store import Place, manifest_entries, read_manifest, size_matches

# Organisation, name, commit.
DEPTH = 3
# How often to look whether the process of a job is there.
LOST_SECONDS = 1.0


def whole(store: str) -> list[dict[str, Any]]:
    """The published snapshots: id, revision, source, path, total_bytes, and whether every file has its size."""
    found = []
    store = os.path.abspath(store)
    for base, dirs, _names in os.walk(store):
        depth = 0 if base == store else os.path.relpath(base, store).count(os.sep) + 1
        dirs[:] = sorted(each for each in dirs if not each.startswith(".")) if depth < DEPTH else []
        manifest = read_manifest(base) if depth else None
        if manifest:
            dirs[:] = []
            files = manifest_entries(manifest)
            found.append(
                {
                    "id": manifest.get("id"),
                    "revision": manifest.get("revision"),
                    "source": manifest.get("source"),
                    "path": base,
                    "total_bytes": sum(each.size for each in files),
                    "damaged": [each.path for each in files if not size_matches(base, each)],
                }
            )
    return found


def under_way(store: str) -> list[dict[str, Any]]:
    """What is being fetched, or was when its run was killed: state running or stopped, and the last progress."""
    work = os.path.join(os.path.abspath(store), ".work")
    try:
        keys = sorted(os.listdir(work))
    except OSError:
        return []
    found = []
    for key in keys:
        state = read_progress(os.path.join(work, key))
        if state:
            lock = os.path.join(os.path.abspath(store), ".locks", key + ".lock")
            found.append({**state, "state": "running" if is_held(lock) else "stopped"})
    return found


def read_progress(folder: str) -> dict[str, Any]:
    """The progress of the run that works in this folder of ``.work``; empty if there is none."""
    try:
        with open(os.path.join(folder, "progress.json"), encoding="utf-8") as handle:
            state = json.load(handle)
    except (OSError, ValueError):
        return {}
    if not isinstance(state, dict) or state.get("schema") != 1:
        return {}
    return {
        "id": str(state.get("id", "")),
        "revision": str(state.get("revision", "")),
        "stage": str(state.get("stage", "")),
        "done_bytes": int(state.get("done_bytes") or 0),
        "total_bytes": int(state.get("total_bytes") or 0),
        "rate": 0,
    }


def is_held(lock: str) -> bool:
    """Whether a process on this host holds the lock of a snapshot."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def with_rates(store: str, seconds: float) -> list[dict[str, Any]]:
    """``under_way``, with the bytes per second that came within so many seconds."""
    before = {(each["id"], each["revision"]): each["done_bytes"] for each in under_way(store)}
    begun = time.monotonic()
    if before:
        time.sleep(seconds)
    now = under_way(store)
    for each in now:
        had = before.get((each["id"], each["revision"]))
        if had is not None:
            each["rate"] = max(0, int((each["done_bytes"] - had) / max(time.monotonic() - begun, 0.001)))
    return now


class Job:
    """A module that Ansible started in the background on this host."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self._path = os.path.join(os.path.expanduser(folder), name)
        self._missed, self._looked = 0, 0.0
        self.answer: dict[str, Any] | None = None

    def look(self) -> bool:
        """Whether it has ended, with or without an answer."""
        if self.answer is not None:
            return True
        try:
            with open(self._path, encoding="utf-8") as handle:
                known = json.load(handle)
        except (OSError, ValueError):
            known = {"started": 1}
        if not known.get("started") or known.get("finished") or "msg" in known or "path" in known:
            self.answer = known
            return True
        # The answer may be on its way to the disk while the process is gone already.
        if time.monotonic() - self._looked >= LOST_SECONDS:
            self._looked = time.monotonic()
            self._missed = 0 if self._runs() else self._missed + 1
        if self._missed >= 3:
            self.answer = {
                "failed": True,
                "code": "host.job_lost",
                "msg": "[host.job_lost] model_snapshot was running here: its process is gone without an answer. "
                "Start again; it goes on where it can.",
            }
        return self.answer is not None

    def _runs(self) -> bool:
        # The wrapper is given the name without the PID that it then adds.
        name = self.name.partition(".")[0].encode()
        for pid in os.listdir("/proc"):
            if pid.isdigit() and int(pid) != os.getpid():
                try:
                    with open("/proc/%s/cmdline" % pid, "rb") as handle:
                        if name in handle.read():
                            return True
                except OSError:
                    continue
        return False


def progress_of(store: str, snapshots: list[dict[str, Any]]) -> tuple[int, int]:
    """(bytes that are there, bytes in all) of these snapshots, as far as they are known."""
    done = total = 0
    for each in snapshots:
        place = Place(store, each["id"], each["revision"])
        state = read_progress(place.work)
        size = int(each.get("bytes") or state.get("total_bytes") or 0)
        there = read_manifest(place.final) is not None and not state
        done += size if there else min(size, state.get("done_bytes", 0))
        total += size
    return done, total
