# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Emptying the store takes what is ours and nothing else, whatever folder it is."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._lock import Lock
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._remove import ensure_store_absent
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._snapshot import Wish
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._store import Place

from .conftest import MODEL, Hub, fetch, make_model, run_module

Maker = Callable[..., Wish]
COMMIT = "0123456789" * 4


def tree(top: Path) -> set[str]:
    return {each.relative_to(top).as_posix() for each in top.rglob("*")}


@pytest.fixture
def store(hub: Hub, wish: Maker) -> Path:
    """A store with two snapshots of ours, one of a model without an organisation, and an unfinished download."""
    make_model(hub.root / "acme" / "other", shards=(10,))
    for model_id in (MODEL, "acme/other"):
        fetch(wish(hub, model_id=model_id))
    top = Path(wish(hub).store)
    (top / ".work" / ("acme--small--" + COMMIT) / "parts").mkdir(parents=True)
    (top / ".work" / ("acme--small--" + COMMIT) / "parts" / "x").write_text("half")
    (top / ".work" / ("acme--small--%s.removed" % COMMIT)).mkdir()
    return top


def test_an_own_store_goes_whole(store: Path, hub: Hub, wish: Maker) -> None:
    before = tree(store)
    foreseen = ensure_store_absent(wish(hub), check=True)
    assert tree(store) == before, "check mode removes nothing"
    done = ensure_store_absent(wish(hub))
    # The removal of an unfinished download makes its lock, and removes that too.
    assert done.changed and foreseen.before == [each for each in done.before if not each.endswith(COMMIT + ".lock")]
    assert not store.exists()
    assert not ensure_store_absent(wish(hub)).changed


def test_what_others_put_there_stays(store: Path, hub: Hub, wish: Maker, tmp_path: Path) -> None:
    """The store is a data disk: notes, a model that was copied by hand, a link, a folder with a name like ours."""
    foreign = [
        "notes.txt",
        "lost+found/x",
        "acme/lora/adapter.bin",
        "acme/small/%s/config.json" % COMMIT,
        ".work/other-program",
        ".locks/their.lock",
        "acme/other/readme",
    ]
    for name in foreign:
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("foreign")
    # A copy of a snapshot under another name is a copy, not a snapshot of ours.
    commit = next(each.name for each in (store / "acme" / "other").iterdir() if len(each.name) == 40)
    shutil.copytree(store / "acme" / "other" / commit, store / "copied" / "by-hand" / commit)
    # Another store behind a link, with a snapshot whose manifest even says the name that the link gives it.
    snapshot = tmp_path / "elsewhere" / "small" / commit
    shutil.copytree(store / "acme" / "other" / commit, snapshot)
    manifest = json.loads((snapshot / ".gpufleet.json").read_text())
    (snapshot / ".gpufleet.json").write_text(json.dumps({**manifest, "id": "linked/small"}))
    (store / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    copied = {each for each in tree(store) if each.startswith("copied/") and (store / each).is_file()}
    assert len(copied) > 5
    assert ensure_store_absent(wish(hub)).changed
    assert {each for each in tree(store) if (store / each).is_file()} == set(foreign) | copied
    assert (snapshot / "config.json").exists() and (store / "linked").is_symlink()
    assert not ensure_store_absent(wish(hub)).changed


def test_nobody_writes_under_a_lock_that_is_gone(store: Path, hub: Hub, wish: Maker) -> None:
    """Whoever waits for a lock while the store is emptied gets one that others see too."""
    path = next((store / ".locks").iterdir())
    holder, waiter, waits = Lock(str(path)), Lock(str(path)), threading.Event()
    holder.acquire(1, lambda: None)
    thread = threading.Thread(target=waiter.acquire, args=(30, waits.set))
    thread.start()
    assert waits.wait(10)
    path.unlink()
    holder.release()
    thread.join(30)
    try:
        assert path.exists() and os.path.samefile(path, "/proc/self/fd/%d" % (waiter._handle or 0))
    finally:
        waiter.release()


def test_a_model_comes_back_after_its_store_went(store: Path, hub: Hub, wish: Maker) -> None:
    ensure_store_absent(wish(hub))
    outcome = fetch(wish(hub))
    assert outcome.changed and Place(str(store), MODEL, str(outcome.revision)).final == outcome.path
    lock = next((store / ".locks").iterdir())
    assert lock.stat().st_mode & 0o777 == 0o644


def test_the_module_without_an_id(store: Path) -> None:
    (store / "notes.txt").write_text("foreign")
    arguments = {"store": str(store), "state": "absent"}
    assert (
        "revision is given without id" in run_module("model_snapshot", {**arguments, "revision": COMMIT}).answer["msg"]
    )
    gone = run_module("model_snapshot", arguments)
    assert gone.answer["changed"] is True and tree(store) == {"notes.txt"}
    assert run_module("model_snapshot", arguments).answer["changed"] is False
    assert "missing" in run_module("model_snapshot", {"store": str(store)}).answer["msg"]
