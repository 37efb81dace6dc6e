"""More deployments than cards: who is put together, who stays, and what is told when there is no room."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.cards import context_bytes
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import parse_request
from hypothesis import given, settings
from hypothesis import strategies as st

MODELS = Path(__file__).parent / "data" / "models"
GIB = 2**30
H100 = int(79.18 * GIB)
PARTS = ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "cuda_graph_bytes", "kv_available_bytes")
NAMES = ("Qwen--Qwen3-1.7B", "Qwen--Qwen3-8B", "openai--gpt-oss-20b", "synth-mla-0", "meta-llama--Meta-Llama-3.1-8B")
CONFIGS = {name: json.loads((MODELS / (name + ".json")).read_text()) for name in NAMES}
CONFIGS["Qwen--Qwen3-4B"] = json.loads((MODELS.parent / "configs.json").read_text())["Qwen--Qwen3-4B"]


def _request(*deployments: dict[str, Any], memory: tuple[int, ...] = (H100,), **other: Any) -> dict[str, Any]:
    """Deployments of Qwen3-4B with 4096 tokens unless they say more, on cards of so many bytes."""
    card = {"name": "NVIDIA H100 80GB HBM3", "compute_capability": "9.0"}
    base = {"model": {"config": CONFIGS["Qwen--Qwen3-4B"]}, "workload": {"max_model_len": 4096, "concurrency": 8}}
    return {
        "vllm_version": "0.32.0",
        "gpus": [
            {**card, "index": index, "uuid": "GPU-%d" % index, "memory_usable_bytes": size}
            for index, size in enumerate(memory)
        ],
        "deployments": [{**base, **entry} for entry in copy.deepcopy(deployments)],
        **other,
    }


def _named(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert answer["errors"] == []
    return {entry["name"]: entry for entry in answer["instances"]}


def _placed(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {entry["name"]: entry["gpu_uuids"] for entry in answer["instances"]}


def _placement(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: {"uuids": uuids} for name, uuids in _placed(answer).items()}


def _check_cards(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Budgets of one card, and what CUDA takes beside each, are within it; who shares has a cache of fixed size."""
    for gpu in parse_request(request).gpus:
        on = [entry for entry in answer["instances"] if gpu.index in entry["gpu_indices"]]
        if len(on) < 2:
            continue
        used = 0
        for entry in on:
            memory, chosen = entry["memory"], entry["settings"]
            assert memory["kv_available_bytes"] == chosen["kv-cache-memory-bytes"]
            used += sum(memory[key] for key in PARTS) + context_bytes(gpu)
            assert used <= gpu.free_bytes
            reason = next(e["reason"] for e in entry["decisions"] if e["setting"] == "gpu-memory-utilization")
            assert all("'%s'" % other["name"] in reason for other in on if other is not entry)


SMALL, LARGE = {"workload": {"max_model_len": 4096, "concurrency": 4}}, {"model": {"config": CONFIGS["Qwen--Qwen3-8B"]}}


def test_deployments_that_ask_for_nothing_share_the_only_card() -> None:
    request = _request({"name": "a"}, {"name": "b"}, {"name": "c", "gpus": {"count": 1}})
    answer = plan(request)
    parts = _named(answer)
    assert {entry["gpu_indices"][0] for entry in parts.values()} == {0}
    _check_cards(request, answer)
    for entry in parts.values():
        assert entry["settings"]["max-model-len"] == 4096
        assert entry["kv"]["max_concurrency"] >= 8
        assert not [text for text in entry["warnings"] if "requests_wait" in text]
    reasons = {e["setting"]: e["reason"] for e in parts["a"]["decisions"]}
    assert "It shares GPU 0 with 'b' and 'c'" in reasons["gpu-memory-utilization"]


def test_the_largest_gets_a_card_of_its_own_and_keeps_what_it_would_get_alone() -> None:
    answer = plan(_request({"name": "a", **SMALL}, {"name": "b", **LARGE}, {"name": "c", **SMALL}, memory=(H100, H100)))
    placed = _placed(answer)
    assert placed["a"] == placed["c"] != placed["b"]
    alone = _named(plan(_request({"name": "b", **LARGE})))["b"]
    assert _named(answer)["b"]["settings"] == alone["settings"]
    assert _named(answer)["b"]["memory"] == alone["memory"]


def test_the_order_of_the_inventory_does_not_matter() -> None:
    entries = ({"name": "a", **SMALL}, {"name": "b", **LARGE}, {"name": "c", **SMALL}, {"name": "d"})
    answers = [plan(_request(*order, memory=(H100, H100))) for order in itertools.permutations(entries)]
    assert all(_named(answer) == _named(answers[0]) for answer in answers)


def test_a_new_deployment_moves_nothing_that_runs() -> None:
    before = _request({"name": "b", **SMALL}, {"name": "c"}, memory=(H100, H100))
    first = plan(before)
    request = _request({"name": "a", **LARGE}, *before["deployments"], memory=(H100, H100))
    request["placement"] = _placement(first)
    placed = _placed(plan(request))
    assert {name: placed[name] for name in ("b", "c")} == _placed(first)
    # Those that share stay together when a card is free again; who comes then gets that one.
    request["placement"] = {"b": {"uuids": ["GPU-1"]}, "c": {"uuids": ["GPU-1"]}}
    assert _placed(plan(request)) == {"a": ["GPU-0"], "b": ["GPU-1"], "c": ["GPU-1"]}


def test_who_outgrows_the_shared_card_gets_a_free_one() -> None:
    request = _request({"name": "a"}, {"name": "b"}, memory=(28 * GIB, 28 * GIB))
    request["placement"] = {"a": {"uuids": ["GPU-1"]}, "b": {"uuids": ["GPU-1"]}}
    assert _placed(plan(request)) == {"a": ["GPU-1"], "b": ["GPU-1"]}
    request["deployments"][0]["workload"]["concurrency"] = 16
    answer = plan(request)
    assert _placed(answer) == {"a": ["GPU-1"], "b": ["GPU-0"]}
    assert "kv-cache-memory-bytes" not in _named(answer)["b"]["settings"]


def test_cards_that_others_name_are_not_shared_but_parts_that_are_left_are() -> None:
    named = {"name": "n", "gpus": {"uuids": ["GPU-0"]}}
    placed = _placed(plan(_request({"name": "a"}, named, {"name": "b"}, memory=(H100, H100))))
    assert placed == {"a": ["GPU-1"], "n": ["GPU-0"], "b": ["GPU-1"]}
    part = {"name": "p", "gpus": {"share": 0.5}}
    request = _request({"name": "a"}, part)
    answer = plan(request)
    assert 0.45 < _named(answer)["p"]["settings"]["gpu-memory-utilization"] < 0.5
    _check_cards(request, answer)
    whole = plan(_request({"name": "a"}, {"name": "w", "gpus": {"share": 1.0}}))
    assert [(error["deployment"], error["code"]) for error in whole["errors"]] == [("w", "plan.not_enough_gpus")]


def test_engines_over_several_cards_leave_theirs_to_nobody() -> None:
    two = {"name": "t", "gpus": {"count": 2}}
    placed = _placed(plan(_request({"name": "a"}, {"name": "b"}, two, memory=(H100, H100, H100))))
    assert placed["a"] == placed["b"] and len(placed["t"]) == 2 and placed["a"][0] not in placed["t"]
    big = {"name": "t", "model": {"config": CONFIGS["Qwen--Qwen3-8B"], "weights_bytes": 90 * GIB}}
    placed = _placed(plan(_request(big, {"name": "a"}, {"name": "b"}, memory=(H100, H100, H100))))
    assert placed["a"] == placed["b"] and len(placed["t"]) == 2


def test_what_has_no_room_is_refused_with_the_numbers() -> None:
    entries = [{"name": name} for name in "abc"]
    answer = plan(_request(*entries, memory=(28 * GIB,)))
    assert sorted(_placed(answer)) == ["a", "b"]
    (error,) = answer["errors"]
    assert (error["deployment"], error["code"]) == ("c", "plan.not_enough_gpus")
    assert error["needed_bytes"] > error["available_bytes"] > 0
    assert "'a' (" in error["message"] and "'b' (" in error["message"]
    assert error["remedies"]
    # Whoever is here already is not the one that is refused.
    request = _request(*entries, memory=(28 * GIB,), placement={"c": {"uuids": ["GPU-0"]}, "b": {"uuids": ["GPU-0"]}})
    assert [error["deployment"] for error in plan(request)["errors"]] == ["a"]


@pytest.mark.parametrize("version", ["0.8.5.post1", "0.10.1"])
def test_releases_without_a_cache_of_fixed_size_are_not_put_together(version: str) -> None:
    answer = plan(_request({"name": "a"}, {"name": "b"}, vllm_version=version))
    assert [(error["deployment"], error["code"]) for error in answer["errors"]] == [("b", "plan.not_enough_gpus")]


def test_utilizations_of_the_user_are_parts() -> None:
    half = {"engine_args": {"gpu-memory-utilization": 0.47}}
    request = _request({"name": "a", **half}, {"name": "b", **half})
    answer = plan(request)
    assert {entry["settings"]["gpu-memory-utilization"] for entry in _named(answer).values()} == {0.47}
    _check_cards(request, answer)
    request = _request({"name": "a", "engine_args": {"gpu-memory-utilization": 0.9}}, {"name": "b"})
    assert [error["deployment"] for error in plan(request)["errors"]] == ["b"]


ENTRY = st.fixed_dictionaries(
    {
        "model": st.sampled_from([{"config": CONFIGS[name]} for name in NAMES]),
        "workload": st.fixed_dictionaries(
            {}, optional={"max_model_len": st.integers(256, 16000), "concurrency": st.integers(1, 32)}
        ),
    }
)
CARDS = st.lists(st.integers(20 * GIB, 69 * GIB), min_size=1, max_size=3)


def _several(entries: list[dict[str, Any]], memory: list[int], version: str = "0.32.0") -> dict[str, Any]:
    named = [{**entry, "name": "d%d" % number} for number, entry in enumerate(entries)]
    return _request(*named, memory=tuple(memory), vllm_version=version)


@settings(max_examples=30, deadline=None)
@given(st.lists(ENTRY, min_size=2, max_size=6), CARDS, st.sampled_from(("0.10.2", "0.19.1", "0.32.0")))
def test_a_packed_plan_fits_and_planned_again_is_itself(
    entries: list[dict[str, Any]], memory: list[int], version: str
) -> None:
    request = _several(entries, memory, version)
    first = plan(request)
    _check_cards(request, first)
    request["placement"] = _placement(first)
    again = plan(request)
    assert _placed(again).items() >= _placed(first).items()
    if not first["errors"]:
        assert again == first
        for entry, instance in zip(request["deployments"], first["instances"], strict=True):
            entry["engine_args"] = instance["settings"]
        third = plan(request)
        for old, new in zip(first["instances"], _named(third).values(), strict=True):
            assert all(old[key] == new[key] for key in ("settings", "memory", "kv", "gpu_indices"))


@settings(max_examples=30, deadline=None)
@given(st.lists(ENTRY, min_size=2, max_size=6), CARDS, st.integers(0, 8 * GIB))
def test_more_memory_is_never_too_little(entries: list[dict[str, Any]], memory: list[int], more: int) -> None:
    """Batches of one size: vLLM's defaults jump at 70 GiB."""
    small, large = _several(entries, memory), _several(entries, [size + more for size in memory])
    if max(memory) + more < 70 * GIB and not plan(small)["errors"]:
        assert plan(large)["errors"] == []
