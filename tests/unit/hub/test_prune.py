# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning removes what nothing wants, says what it frees, and never takes what is used."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._prune import Pruned, prune
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._wish import Wish

from .conftest import MODEL, Hub, assert_whole, fetch, make_model, play, run_module, start_module
from .test_faults import await_until

Maker = Callable[..., Wish]


@pytest.fixture
def models(hub: Hub, wish: Maker) -> dict[str, Path]:
    """Two revisions that share all but one file, and another model."""
    shutil.copytree(hub.root / MODEL, hub.root / (MODEL + "@next"))
    (hub.root / (MODEL + "@next") / "config.json").write_text("{}")
    make_model(hub.root / "acme" / "other", shards=(50_000,))
    return {
        "old": Path(fetch(wish(hub)).path),
        "new": Path(fetch(wish(hub, revision="next")).path),
        "other": Path(fetch(wish(hub, model_id="acme/other")).path),
    }


def run(store: Path, *keep: dict[str, Any], check: bool = False, references: tuple[str, ...] = ()) -> Pruned:
    return prune(Wish("", [], store=str(store)), list(keep), check, references)


def sizes(directory: Path) -> dict[int, int]:
    """Size in bytes by inode."""
    return {path.stat().st_ino: path.stat().st_size for path in directory.rglob("*") if path.is_file()}


def paths(found: list[dict[str, Any]]) -> set[str]:
    return {each["path"] for each in found}


def test_check_mode_says_what_would_go_and_what_it_frees(models: dict[str, Path], hub: Hub, tmp_path: Path) -> None:
    commit = models["new"].name
    before = {path: path.lstat().st_ino for path in (tmp_path / "store").rglob("*")}
    answer = run_module(
        "model_snapshot",
        {"state": "pruned", "store": str(tmp_path / "store"), "keep": [{"id": MODEL, "revision": commit}]},
        check=True,
    ).answer
    assert {path: path.lstat().st_ino for path in (tmp_path / "store").rglob("*")} == before
    assert answer["changed"] and paths(answer["pruned"]) == {str(models["old"]), str(models["other"])}
    freed = {each["path"]: each["bytes"] for each in answer["pruned"]}
    assert freed[str(models["old"])] < 2000, "what the new revision shares frees nothing"
    stays = sizes(models["new"])
    goes = {**sizes(models["old"]), **sizes(models["other"])}
    expected = sum(size for inode, size in goes.items() if inode not in stays)
    assert answer["bytes_freed"] == sum(freed.values()) == expected > 50_000
    assert paths(answer["kept"]) == {str(models["new"])} and answer["kept"][0]["reason"]


def test_it_removes_and_the_others_stay_whole(models: dict[str, Path], hub: Hub, tmp_path: Path) -> None:
    pruned = run(tmp_path / "store", {"id": MODEL, "revision": models["new"].name})
    assert paths(pruned.removed) == {str(models["old"]), str(models["other"])}
    assert not models["old"].exists() and not models["other"].exists()
    assert_whole(models["new"], hub.root / (MODEL + "@next"))
    assert not run(tmp_path / "store", {"id": MODEL, "revision": models["new"].name}).removed


def test_both_revisions_together_free_what_they_share(models: dict[str, Path], tmp_path: Path) -> None:
    pruned = run(tmp_path / "store", check=True)
    assert pruned.bytes_freed == sum(sizes(tmp_path / "store" / "acme").values())


@pytest.mark.parametrize("keep", [{"id": MODEL}, {"id": MODEL, "revision": None}, {"id": MODEL, "revision": "next"}])
def test_without_a_commit_what_came_last_stays(models: dict[str, Path], tmp_path: Path, keep: dict[str, Any]) -> None:
    assert paths(run(tmp_path / "store", keep, check=True).kept) == {str(models["new"])}


def test_a_branch_keeps_what_it_stood_for(models: dict[str, Path], tmp_path: Path) -> None:
    kept = paths(run(tmp_path / "store", {"id": MODEL, "revision": "main"}, check=True).kept)
    assert kept == {str(models["old"]), str(models["new"])}


def test_a_deployment_may_name_the_folder(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(models["old"])
    assert paths(run(tmp_path / "store", {"path": str(tmp_path / "link")}, check=True).kept) == {str(models["old"])}


@pytest.mark.parametrize("name", ["config.yaml", "last_good.json"])
def test_what_an_instance_names_stays(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    """A running instance, or the one that is put back when the next one fails."""
    (tmp_path / "chat").mkdir()
    text = json.dumps({"spec": {"model": {"path": str(models["old"])}}})
    (tmp_path / "chat" / name).write_text(text if name.endswith("json") else "model: %s\n" % models["old"])
    pruned = run(tmp_path / "store", references=(str(tmp_path / "*" / name),))
    assert paths(pruned.kept) == {str(models["old"])} and name in pruned.kept[0]["reason"]
    assert models["old"].exists() and not models["new"].exists()


def test_what_a_process_has_open_stays(models: dict[str, Path], tmp_path: Path) -> None:
    with (models["old"] / "config.json").open():
        kept = run(tmp_path / "store").kept
    assert paths(kept) == {str(models["old"])} and "process" in kept[0]["reason"]


def test_what_cannot_be_read_removes_nothing(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "last_good.json").mkdir()
    with pytest.raises(Problem) as caught:
        run(tmp_path / "store", references=(str(tmp_path / "last_good.json"),))
    assert caught.value.code == "model.unreadable"
    assert all(each.exists() for each in models.values())


@pytest.mark.parametrize("wanted", [True, False])
def test_unfinished_downloads_of_unwanted_models_go(hub: Hub, tmp_path: Path, wanted: bool) -> None:
    hub.fault({"match": "^GET /cdn/", "cut": 400_000, "stall": 60})
    store = tmp_path / "store"
    arguments = {"id": MODEL, "source": "huggingface", "endpoints": {"huggingface": hub.url}, "store": str(store)}
    process = start_module("model_snapshot", {**arguments, "workers": 1})
    await_until(lambda: any(each.stat().st_size == 400_000 for each in store.rglob("parts/*")), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    pruned = run(store, *([{"id": MODEL}] if wanted else []))
    assert [each["bytes"] >= 400_000 for each in pruned.removed] == ([] if wanted else [True])
    assert bool(list(store.rglob("parts/*"))) == wanted


@pytest.mark.slow
def test_the_playbook_only_lists_unless_told(models: dict[str, Path], tmp_path: Path) -> None:
    deployment = {"name": "chat", "model": {"source": "huggingface", "id": MODEL, "revision": models["new"].name}}
    variables: dict[str, object] = {"vllm_deployments": [deployment]}
    text = play("prune_models", tmp_path, variables)
    assert "would go" in text and str(models["old"]) in text and "changed=1" in text, text
    assert all(each.exists() for each in models.values())
    text = play("prune_models", tmp_path, {**variables, "prune_models": True})
    assert "failed=0" in text, text
    assert [name for name, path in models.items() if path.exists()] == ["new"]
    assert "nothing to remove" in play("prune_models", tmp_path, {**variables, "prune_models": True})
