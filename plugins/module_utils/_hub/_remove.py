# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import Iterator

from .._errors import Problem
from ._lock import Lock
from ._store import Place, commits_below, make_dirs, snapshots_in, unwritable
from ._types import check_model_id, is_commit
from ._users import Users
from ._wish import Outcome, Wish

# What this collection itself names so in .work and .locks: <id with two dashes for the slash>--<commit>.
UNFINISHED = re.compile(r"^[A-Za-z0-9_].*--[0-9a-f]{40}(\.removed)?$")
_LOCK = re.compile(r"^[A-Za-z0-9_].*--[0-9a-f]{40}\.lock$")
# What a killed run left beside its lock: nothing that anybody waits for once the locks are gone.
_BESIDE = re.compile(r"^[A-Za-z0-9_].*--[0-9a-f]{40}\.(owner(\.[0-9a-f]{32})?|repaired)$")
# A removal waits for a download no longer than this, and then says who fetches. Seconds.
WAIT_SECONDS = 120.0


def ensure_absent(wish: Wish, check: bool = False) -> Outcome:
    """Remove one revision, or without a revision every one, and what is left of unfinished downloads.

    What another host that mounts the store uses stays; this host just counts no longer as a user of it.
    """
    users = Users(wish.store)
    elsewhere = users.others()
    check_model_id(wish.model_id)
    top = os.path.join(os.path.abspath(wish.store), *wish.model_id.split("/"))
    revisions = [wish.revision] if wish.revision else commits_below(top)
    outcome = Outcome(False, os.path.join(top, wish.revision) if wish.revision else top, wish.revision)
    for revision in revisions:
        if not is_commit(revision):
            raise Problem(
                "model.bad_revision",
                "removal of %s at '%s'" % (wish.model_id, revision),
                "it is not a full commit",
                "Give the commit, which is the name of the directory below %s, or leave the revision out" % top,
            )
        place = Place(wish.store, wish.model_id, revision)
        if not check:
            users.drop(wish.model_id, revision)
        if (wish.model_id, revision) in elsewhere:
            outcome.actions.append("keep %s: host %s uses it" % (place.final, elsewhere[wish.model_id, revision]))
            continue
        for path in (place.final, place.work):
            if os.path.isdir(path):
                _note(outcome, path)
                if not check:
                    remove_tree(wish, place, path)
    if outcome.changed and not check:
        _remove_empty(top, os.path.abspath(wish.store))
    return outcome


def ensure_store_absent(wish: Wish, check: bool = False) -> Outcome:
    """Remove everything this collection put into the store, and the folders that are empty then.

    The store may be a folder or a file system that others use too: what has no manifest of ours stays, and so does
    every folder with something else in it. So does what another host that mounts the store has registered as used; the
    last host that leaves takes it away.
    """
    store = os.path.abspath(wish.store)
    outcome = Outcome(False, store, None)
    users = Users(store)
    elsewhere = users.others()
    if os.path.exists(users.path):
        _note(outcome, users.path)
        if not elsewhere:
            outcome.before.append(users.folder)
        if not check:
            users.leave()
    for model_id, revision in snapshots_in(store):
        if (model_id, revision) in elsewhere:
            outcome.actions.append(
                "keep %s: host %s uses it" % (Place(store, model_id, revision).final, elsewhere[model_id, revision])
            )
            continue
        place = Place(store, model_id, revision)
        _note(outcome, place.final)
        if not check:
            remove_tree(wish, place, place.final)
        for depth in range(len(model_id.split("/")), 0, -1):
            _remove_if_empty(outcome, os.path.join(store, *model_id.split("/")[:depth]), check)
    work, locks = os.path.join(store, ".work"), os.path.join(store, ".locks")
    for name in _names(work, UNFINISHED):
        _note(outcome, os.path.join(work, name))
        if not check:
            remove_unfinished(wish, os.path.join(work, name), os.path.join(locks, _lock_name(name)))
    for name in _names(locks, _LOCK):
        _note(outcome, os.path.join(locks, name))
        if not check:
            _remove_lock(wish, os.path.join(locks, name))
    for name in _names(locks, _BESIDE):
        _note(outcome, os.path.join(locks, name))
        if not check:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(locks, name))
    for path in (work, locks, store):
        _remove_if_empty(outcome, path, check)
    return outcome


def _remove_if_empty(outcome: Outcome, path: str, check: bool) -> None:
    """Remove a folder that is empty, or in check mode would be. A mount point and what a link leads to stay."""
    if not os.path.isdir(path) or os.path.islink(path) or os.path.ismount(path):
        return
    left = [each for each in os.listdir(path) if os.path.join(path, each) not in outcome.before]
    if not left:
        _note(outcome, path)
        if not check:
            os.rmdir(path)


def _names(path: str, pattern: re.Pattern[str]) -> list[str]:
    try:
        return sorted(name for name in os.listdir(path) if pattern.match(name))
    except OSError:
        return []


def _note(outcome: Outcome, path: str) -> None:
    outcome.changed = True
    outcome.before.append(path)
    outcome.actions.append("remove %s" % path)


def remove_tree(wish: Wish, place: Place, path: str) -> None:
    """Take the directory out of sight first, so that nobody ever sees half of it."""
    hidden = "%s.removed" % place.work
    try:
        make_dirs(os.path.dirname(place.work))
        with _locked(wish, place.lock):
            shutil.rmtree(hidden, ignore_errors=True)
            os.rename(path, hidden)
            shutil.rmtree(hidden)
    except OSError as error:
        raise unwritable(wish.store, error) from error


def _lock_name(work_name: str) -> str:
    name = work_name[: -len(".removed")] if work_name.endswith(".removed") else work_name
    return "%s.lock" % name


def remove_unfinished(wish: Wish, path: str, lock: str) -> None:
    try:
        with _locked(wish, lock):
            shutil.rmtree(path, ignore_errors=True)
    except OSError as error:
        raise unwritable(wish.store, error) from error


def _remove_lock(wish: Wish, path: str) -> None:
    """Unlink the lock while holding it; whoever waits for it sees that and makes a new one."""
    try:
        with _locked(wish, path):
            os.unlink(path)
    except OSError as error:
        raise unwritable(wish.store, error) from error


@contextlib.contextmanager
def _locked(wish: Wish, path: str) -> Iterator[None]:
    lock = Lock(path)
    lock.acquire(min(wish.lock_timeout, WAIT_SECONDS), lambda: None)
    try:
        yield
    finally:
        lock.release()


def _remove_empty(path: str, stop: str) -> None:
    while path != stop:
        try:
            os.rmdir(path)
        except OSError:
            return
        path = os.path.dirname(path)
