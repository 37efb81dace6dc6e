# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What model_info answers from the store: production does not change or stop because of what happens at a hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._info import read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._snapshot import Wish

from tests.fakes.models import tiny

from .conftest import MODEL, SOURCES, Hub, fetch, play, run_module

Maker = Callable[..., Wish]
BOTH = ["modelscope", "huggingface"]
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def hub(start_hub: Callable[..., Hub], tmp_path: Path) -> Hub:
    """A hub with a model whose weights have a real header."""
    tiny.make(tmp_path / "root" / MODEL)
    return start_hub()


def read(wish: Wish) -> dict[str, Any]:
    return read_model(wish, None, read_tensors=True, use_store=True)


def move(hub: Hub, text: str) -> None:
    """Push a commit to the default branch."""
    (hub.root / MODEL / "README.md").write_text(text)


def without(model: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key not in names}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("pinned", [True, False])
def test_the_store_answers_as_the_hub_did(hub: Hub, wish: Maker, source: str, pinned: bool) -> None:
    first = read(wish(hub, source=source))
    assert first["in_store"] is False
    # As the playbooks do: what is fetched is the commit.
    fetch(wish(hub, source=source, revision=first["revision"]))
    hub.stop()
    again = read(wish(hub, source=source, revision=first["revision"] if pinned else None))
    assert again["in_store"] is True
    # The manifest knows a SHA-256 also where Hugging Face lists only a git hash.
    names = ("in_store", "files", "requested_revision")
    assert without(again, *names) == without(first, *names)
    if not pinned:
        assert again["requested_revision"] == first["requested_revision"]
    assert [(each["path"], each["size"]) for each in again["files"]] == [
        (each["path"], each["size"]) for each in first["files"]
    ]


def test_a_model_without_a_revision_stays_when_the_branch_moves(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    move(hub, "another commit")
    hub.fault()
    assert read(wish(hub))["revision"] == first.revision
    assert hub.report()["log"] == [], "nobody was asked"
    moved = read_model(wish(hub), None, read_tensors=False)["revision"]
    assert moved != first.revision, "without a store the hub is asked"
    fetch(wish(hub, revision=moved))
    assert read(wish(hub))["revision"] == moved, "the one that came last"
    assert read(wish(hub, revision=first.revision))["revision"] == first.revision


def test_a_repair_does_not_make_a_snapshot_the_last_one(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    move(hub, "old")
    second = fetch(wish(hub))
    (hub.root / MODEL / "README.md").unlink()
    (Path(first.path) / "config.json").unlink()
    assert fetch(wish(hub, revision=first.revision)).changed
    assert read(wish(hub))["revision"] == second.revision


def test_no_ping_pong_between_sources(hub: Hub, start_hub: Callable[..., Hub], wish: Maker, tmp_path: Path) -> None:
    """The first source was away when the model came; it is back, with a commit of its own."""
    both = {"modelscope": [NOWHERE], "huggingface": [hub.url]}
    first = fetch(wish(sources=BOTH, endpoints=both))
    assert first.source == "huggingface"
    move(hub, "another commit")
    back = {"modelscope": [start_hub().url], "huggingface": [NOWHERE]}
    kept = read(wish(sources=BOTH, endpoints=back))
    assert (kept["source"], kept["revision"]) == ("huggingface", first.revision)
    fetch(wish(sources=["modelscope"], endpoints=back))
    assert read(wish(sources=BOTH, endpoints=both))["source"] == "modelscope", "the one that came last"
    assert read(wish(sources=BOTH[::-1], endpoints=both))["source"] == "modelscope"
    assert read(wish(sources=["huggingface"], endpoints=back))["revision"] == first.revision


def test_a_branch_or_tag_is_asked_for_every_time(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub, revision="main"))
    move(hub, "another commit")
    assert read(wish(hub, revision="main"))["revision"] != first.revision
    hub.stop()
    with pytest.raises(Problem, match=r"^\[hub.unreachable\].*It holds: %s" % first.revision):
        read(wish(hub, revision="main"))


def test_damage_is_no_reason_to_change_the_version(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    (Path(first.path) / "config.json").write_text("{}")
    old = hub.root / (MODEL + "@v1")
    shutil.copytree(hub.root / MODEL, old)
    move(hub, "another commit")
    repaired = read(wish(hub))
    assert (repaired["revision"], repaired["in_store"]) == (first.revision, False)
    # Our hub has a commit only while a ref leads to it. When it is gone the default branch is what is left.
    shutil.rmtree(old)
    assert read(wish(hub))["revision"] not in (first.revision, None)
    hub.stop()
    with pytest.raises(Problem, match=r"^\[hub.unreachable\]"):
        read(wish(hub))


def test_what_is_no_snapshot_of_the_whole_model_is_not_taken(hub: Hub, wish: Maker) -> None:
    some = fetch(wish(hub, allow_patterns=["*.json"]))
    assert read(wish(hub))["in_store"] is False, "only some of its files"
    whole = fetch(wish(hub, revision=some.revision))
    assert read(wish(hub))["in_store"] is True
    assert read(wish(hub, model_id=MODEL, source="modelscope"))["in_store"] is False, "another source"
    manifest = Path(whole.path) / ".gpufleet.json"
    for damage in ("", "[]", json.dumps({**json.loads(manifest.read_text()), "files": [{}]})):
        manifest.write_text(damage)
        assert read(wish(hub))["in_store"] is False


def test_the_module_with_a_store(hub: Hub, wish: Maker) -> None:
    first = fetch(wish(hub))
    hub.stop()
    arguments = {"id": MODEL, "source": "huggingface", "endpoints": {"huggingface": hub.url}}
    good = run_module("model_info", {**arguments, "store": wish(hub).store})
    assert good.answer["model"]["revision"] == first.revision and good.answer["model"]["in_store"] is True
    assert run_module("model_info", arguments).answer["code"] == "hub.unreachable"


@pytest.mark.slow
def test_the_playbooks_need_no_hub_for_what_is_there(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    """Whether this machine could be a host does not matter: what counts is that nothing is wrong with the model."""
    fetch(wish(hub))
    hub.stop()
    text = play(
        "preflight",
        tmp_path,
        {
            "vllm_deployments": [{"name": "small", "model": {"source": BOTH, "id": MODEL}}],
            "gpufleet_hub_endpoints": {each: [NOWHERE] for each in BOTH},
        },
    )
    assert "TASK [resolve | Read the host]" in text, text
    assert "hub.unreachable" not in text, text
