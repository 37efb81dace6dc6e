# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that mount one store do not remove each other's models."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.filter.fleet_models import fleet_models
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._prune import prune
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._remove import (
    WAIT_SECONDS,
    ensure_absent,
    ensure_store_absent,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._users import Users, on_network
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._wish import Wish

from .conftest import MODEL, Hub, fetch, make_model, run_module

Maker = Callable[..., Wish]
OTHER = "acme/other"


@pytest.fixture
def models(hub: Hub, wish: Maker) -> dict[str, Path]:
    """Host A (this one) uses one model of the store, host B another."""
    make_model(hub.root / "acme" / "other", shards=(50_000,))
    found = {name: Path(fetch(wish(hub, model_id=name)).path) for name in (MODEL, OTHER)}
    store = wish(hub).store
    Users(store).add(MODEL, found[MODEL].name)
    Users(store, "b machine-b").add(OTHER, found[OTHER].name)
    return found


def test_prune_keeps_what_another_host_uses(models: dict[str, Path], hub: Hub, wish: Maker) -> None:
    pruned = prune(Wish("", [], store=wish(hub).store), [{"id": MODEL}], references=())
    assert pruned.removed == []
    assert [each["reason"] for each in pruned.kept if each["id"] == OTHER] == [
        "host b uses it, or has not pruned since"
    ]


def test_the_last_host_that_used_a_model_takes_it_away(models: dict[str, Path], hub: Hub, wish: Maker) -> None:
    store = wish(hub).store
    Users(store, "b machine-b").add(MODEL, models[MODEL].name)
    nothing = Wish("", [], store=store)
    assert [each["id"] for each in prune(nothing, [], references=()).kept] == [OTHER, MODEL]
    # Host B prunes as well, and wants nothing any more.
    Users(store, "b machine-b").keep_only([])
    assert len(prune(nothing, [], references=()).removed) == 2
    assert not any(path.exists() for path in models.values())


def test_on_a_shared_store_the_wishes_of_the_whole_inventory_count(
    models: dict[str, Path], hub: Hub, wish: Maker
) -> None:
    """B has registered only one of its models; the inventory names the other one too."""
    nothing = Wish("", [], store=wish(hub).store)
    assert prune(nothing, [], references=(), keep_shared=[{"id": MODEL}]).removed == []
    Users(wish(hub).store, "b machine-b").leave()
    # A store of its own: what other hosts want does not lie here.
    assert len(prune(nothing, [], references=(), keep_shared=[{"id": MODEL}]).removed) == 2


def test_teardown_of_one_host_leaves_the_others_models(models: dict[str, Path], hub: Hub, wish: Maker) -> None:
    store = wish(hub).store
    outcome = ensure_store_absent(Wish("", [], store=store))
    assert models[OTHER].exists() and not models[MODEL].exists()
    assert "host b uses it" in " ".join(outcome.actions)
    Users(store, "b machine-b").leave()
    ensure_store_absent(Wish("", [], store=store))
    assert not os.path.exists(store)


def test_removal_of_one_model_leaves_it_to_who_uses_it(models: dict[str, Path], hub: Hub, wish: Maker) -> None:
    commit = models[OTHER].name
    outcome = ensure_absent(wish(hub, model_id=OTHER, revision=commit))
    assert models[OTHER].exists() and not outcome.changed
    assert outcome.actions == ["keep %s: host b uses it" % models[OTHER]]


def test_who_cannot_know_removes_nothing(models: dict[str, Path], hub: Hub, wish: Maker) -> None:
    store = wish(hub).store
    Path(Users(store, "b machine-b").path).write_text("{")
    for remove in (lambda: prune(Wish("", [], store=store), [], references=()),
                   lambda: ensure_store_absent(Wish("", [], store=store))):  # fmt: skip
        with pytest.raises(Problem) as caught:
            remove()
        assert caught.value.code == "model.unreadable"
    assert all(path.exists() for path in models.values())


def test_the_module_registers_its_host_and_check_mode_does_not(hub: Hub, wish: Maker) -> None:
    store = wish(hub).store
    ask = {"id": MODEL, "source": ["huggingface"], "endpoints": {"huggingface": hub.url}, "store": store}
    assert run_module("model_snapshot", ask, check=True).answer["changed"]
    assert not os.path.exists(Users(store).folder)
    answer = run_module("model_snapshot", ask).answer
    assert json.loads(Path(Users(store).path).read_text())["uses"] == [[MODEL, answer["revision"]]]
    assert not run_module("model_snapshot", ask).answer["changed"]


def test_a_network_file_system_is_known_by_its_kind(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\nnas:/models /models nfs4 rw 0 0\n/dev/b /models/own xfs rw 0 0\n")
    assert [on_network(path, str(mounts)) for path in ("/models/store", "/models/own/x", "/modelsx", "/")] == [
        True, False, False, False
    ]  # fmt: skip


def test_models_are_read_of_all_hosts_and_what_cannot_be_read_is_refused() -> None:
    def host(name: str, deployments: object) -> dict[str, object]:
        return {"inventory_hostname": name, "vllm_deployments": deployments, "vllm_device": "cpu", "unrelated": 1}

    model = {"id": MODEL, "source": "huggingface"}
    gone = {"name": "y", "model": {"id": OTHER, "source": "huggingface"}, "state": "absent"}
    found = fleet_models([host("a", []), host("b", [{"name": "x", "model": model}, gone])])
    assert [each["id"] for each in found] == [MODEL]
    with pytest.raises(AnsibleFilterError, match=r"\[inventory.unknown_models\] b"):
        fleet_models([host("a", []), host("b", [{"name": "x", "model": 7}])])


def test_a_removal_does_not_wait_long_for_a_download() -> None:
    assert WAIT_SECONDS <= 120
