# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot when nothing goes wrong: whole, readable, once, and not asked for twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _store
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._remove import ensure_absent
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._snapshot import Wish, ensure_present
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._store import exchange

from .conftest import MODEL, SOURCES, Hub, assert_nothing_published, assert_whole, fetch, run_module

Maker = Callable[..., Wish]


@pytest.mark.parametrize("source", SOURCES)
def test_whole_and_readable(hub: Hub, wish: Maker, source: str) -> None:
    before = os.umask(0o077)
    try:
        outcome = fetch(wish(hub, source=source))
    finally:
        os.umask(before)
    assert outcome.changed
    assert_whole(outcome.path, hub.root / MODEL)
    assert outcome.bytes_downloaded == outcome.bytes_total == hub.report()["sent_bytes"]
    modes = {each.stat().st_mode & 0o777 for each in Path(outcome.path).rglob("*") if each.is_file()}
    assert modes == {0o644}
    store = Path(wish(hub).store)
    directories = [store, *(each for each in store.rglob("*") if each.is_dir())]
    assert {each.stat().st_mode & 0o777 for each in directories} == {0o755}


def test_manifest_says_what_it_is(hub: Hub, wish: Maker) -> None:
    outcome = fetch(wish(hub))
    manifest = json.loads((Path(outcome.path) / ".gpufleet.json").read_text())
    assert manifest["schema"] == 1
    assert (manifest["id"], manifest["source"], manifest["endpoint"]) == (MODEL, "huggingface", hub.url)
    assert manifest["revision"] == outcome.revision == os.path.basename(outcome.path)
    assert all(len(each["sha256"]) == 64 for each in manifest["files"])


def test_second_run_changes_nothing(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    hub.fault()
    second = fetch(wish(hub))
    assert (second.changed, second.path, second.bytes_downloaded) == (False, first.path, 0)
    assert hub.report()["sent_bytes"] == 0


@pytest.mark.parametrize("source", SOURCES)
def test_a_commit_that_is_there_needs_no_hub(hub: Hub, wish: Maker, source: str) -> None:
    first = fetch(wish(hub, source=source))
    hub.stop()
    second = fetch(wish(hub, source=source, revision=first.revision))
    assert (second.changed, second.path, second.bytes_total) == (False, first.path, first.bytes_total)


def test_check_mode_counts_and_writes_nothing(hub: Hub, wish: Maker) -> None:
    outcome = fetch(wish(hub), check=True)
    size = sum(each.stat().st_size for each in (hub.root / MODEL).rglob("*") if each.is_file())
    assert outcome.changed and outcome.bytes_to_download == outcome.bytes_total == size
    assert str(size) in outcome.actions[0] and hub.url in outcome.actions[0]
    assert not Path(wish(hub).store).exists()
    fetch(wish(hub))
    assert not fetch(wish(hub), check=True).changed


def test_patterns(hub: Hub, wish: Maker) -> None:
    some = fetch(wish(hub, allow_patterns=["*.json", "docs/"], ignore_patterns=["generation*"]))
    assert {each.name for each in Path(some.path).rglob("*") if each.is_file()} == {
        ".gpufleet.json",
        "config.json",
        "read me#1.md",
    }
    whole = fetch(wish(hub, revision=some.revision))
    assert whole.changed, "a snapshot of some files is not taken for all of them"
    assert_whole(whole.path, hub.root / MODEL)
    assert not fetch(wish(hub, revision=some.revision, allow_patterns=["*.json"])).changed


def test_a_moved_branch_is_another_snapshot(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    (hub.root / MODEL / "config.json").write_text('{"moved": true}')
    second = fetch(wish(hub))
    assert second.changed and second.path != first.path and Path(first.path).is_dir()


def test_damage_is_repaired_and_nothing_else(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    bad, good = Path(first.path) / "model-00001.safetensors", Path(first.path) / "model-00000.safetensors"
    size, inode = bad.stat().st_size, good.stat().st_ino
    content = bytearray(bad.read_bytes())
    content[1000] ^= 1
    bad.write_bytes(content)
    assert not fetch(wish(hub, revision=first.revision)).changed, "the size alone says nothing"
    second = fetch(wish(hub, revision=first.revision, verify="checksum"))
    assert (second.changed, second.bytes_downloaded) == (True, size)
    assert_whole(second.path, hub.root / MODEL)
    assert good.stat().st_ino == inode
    good.unlink()
    assert fetch(wish(hub, revision=first.revision)).changed
    assert_whole(second.path, hub.root / MODEL)


def test_a_repair_changes_places_in_one_step(
    hub: Hub, wish: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no moment the model is away: an engine may start just then."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    if not exchange(str(tmp_path / "one"), str(tmp_path / "other")):
        pytest.skip("this file system cannot exchange")
    first = fetch(wish(hub))
    (Path(first.path) / "config.json").unlink()
    rename, moved = os.rename, []

    def watch(source: str, target: str) -> None:
        moved.append(source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", watch)
    assert fetch(wish(hub, revision=first.revision)).changed
    assert_whole(first.path, hub.root / MODEL)
    assert first.path not in moved


@pytest.mark.parametrize("damage", [False, True])
def test_who_is_killed_between_two_renames_leaves_it_to_the_next_run(
    hub: Hub, wish: Maker, monkeypatch: pytest.MonkeyPatch, damage: bool
) -> None:
    """Where places cannot be exchanged. The hub is away then; what lies ready is hashed before it counts."""
    first = fetch(wish(hub))
    wanted = wish(hub, revision=first.revision)
    (Path(first.path) / "config.json").unlink()
    rename = os.rename

    def killed(source: str, target: str) -> None:
        if target == first.path:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(_store, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        fetch(wanted)
    assert not Path(first.path).exists()
    monkeypatch.setattr(os, "rename", rename)
    original = hub.root / MODEL
    hub.stop()
    if damage:
        data = next(Path(wanted.store).glob(".work/*/data"))
        (data / "config.json").write_bytes(bytes((data / "config.json").stat().st_size))
        with pytest.raises(Problem, match="unreachable"):
            fetch(wanted)
        assert_nothing_published(Path(wanted.store))
        return
    with pytest.raises(Problem, match="unreachable"):
        fetch(wanted, check=True)
    outcome = fetch(wanted)
    assert outcome.changed and "publish" in outcome.actions[0]
    assert_whole(first.path, original)
    assert not fetch(wanted).changed


def test_absent(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    wanted = wish(hub, revision=first.revision)
    assert ensure_absent(wanted, check=True).changed and Path(first.path).is_dir()
    assert ensure_absent(wanted).changed and not Path(first.path).exists()
    assert not ensure_absent(wanted).changed
    assert_nothing_published(Path(wanted.store))
    fetch(wish(hub))
    assert ensure_absent(wish(hub)).changed, "without a revision every one goes"
    assert [each.name for each in Path(wanted.store).iterdir() if not each.name.startswith(".")] == []
    with pytest.raises(Problem, match="bad_revision"):
        ensure_absent(wish(hub, revision="../../etc"))


def test_progress_is_kept_fresh(hub: Hub, wish: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    replace = os.replace

    def watch(source: str, target: str) -> None:
        if str(target).endswith("progress.json"):
            seen.append(json.loads(Path(source).read_text()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    monkeypatch.setattr(Progress, "INTERVAL_SECONDS", 0.0)
    ensure_present(wish(hub), Progress(str(tmp_path / "progress.json")))
    assert [each["schema"] for each in seen] == [1] * len(seen)
    assert list(dict.fromkeys(each["stage"] for each in seen)) == ["list", "collect", "download", "publish", "done"]
    done = [each["done_bytes"] for each in seen if each["stage"] == "download"]
    assert done == sorted(done) and done[0] == 0 and done[-1] == seen[-1]["total_bytes"] > 3_000_000


def test_the_module_itself(hub: Hub, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    arguments = {"id": MODEL, "source": "modelscope", "endpoints": {"modelscope": hub.url}, "store": store}
    assert run_module("model_snapshot", arguments, check=True).answer["changed"] is True
    result = run_module("model_snapshot", arguments)
    assert (result.code, result.answer["changed"]) == (0, True), result.text
    assert "config.json\n" in result.answer["diff"]["after"] and result.answer["diff"]["before"] == ""
    assert_whole(result.answer["path"], hub.root / MODEL)
    assert run_module("model_snapshot", arguments).answer["changed"] is False
    gone = run_module("model_snapshot", {**arguments, "state": "absent"})
    assert gone.answer["changed"] is True and not Path(result.answer["path"]).exists()


def test_a_login_with_a_closed_umask(hub: Hub, tmp_path: Path) -> None:
    """Engines run as users of their own: they read what root fetched under umask 077."""
    store = tmp_path / "var" / "store"
    arguments = {"id": MODEL, "source": "huggingface", "endpoints": {"huggingface": hub.url}, "store": str(store)}
    for damage in (False, True):
        if damage:
            next(store.rglob("config.json")).unlink()
        result = run_module("model_snapshot", {**arguments, "verify": "checksum"}, umask=0o077)
        assert result.answer["changed"] is True, result.text
        for each in [store.parent, store, *store.rglob("*")]:
            assert each.stat().st_mode & 0o777 == (0o755 if each.is_dir() else 0o644), each
