"""Several engines on one host and on one card: who gets what, and why the order of starts does not matter."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.cards import context_bytes
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import parse_request

GIB = 2**30


def _request(configs: dict[str, Any], *deployments: dict[str, Any], cards: int = 1) -> dict[str, Any]:
    model = {"config": configs["Qwen--Qwen3-4B"]}
    workload = {"max_model_len": 4096}
    return {
        "vllm_version": "0.32.0",
        "gpus": [
            {
                "index": index,
                "uuid": "GPU-%d" % index,
                "name": "NVIDIA H100 80GB HBM3",
                "memory_usable_bytes": int(79.18 * GIB),
                "compute_capability": "9.0",
            }
            for index in range(cards)
        ],
        "deployments": [{"model": model, "workload": workload, **copy.deepcopy(entry)} for entry in deployments],
    }


def _named(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert answer["errors"] == []
    return {entry["name"]: entry for entry in answer["instances"]}


def _budget(instance: dict[str, Any], total: int) -> int:
    return int(instance["settings"]["gpu-memory-utilization"] * total)


A = {"name": "a", "gpus": {"uuids": ["GPU-0"]}}
B = {"name": "b", "gpus": {"indices": [0]}}


def test_two_that_name_one_card_share_it(configs: dict[str, Any]) -> None:
    request = _request(configs, A, B)
    parts = _named(plan(request))
    gpu = parse_request(request).gpus[0]
    budgets = [_budget(entry, gpu.usable_bytes) for entry in parts.values()]
    assert sum(budgets) + 2 * context_bytes(gpu) <= gpu.usable_bytes
    assert sum(budgets) > 0.95 * gpu.usable_bytes
    for entry in parts.values():
        memory, settings = entry["memory"], entry["settings"]
        assert memory["kv_available_bytes"] == settings["kv-cache-memory-bytes"]
        # What an engine takes in all stays within its share, so a neighbour that starts later finds its own part free.
        taken = sum(memory[key] for key in ("weights_bytes", "activation_peak_bytes", "non_torch_bytes"))
        assert taken + memory["kv_available_bytes"] + 2**27 <= _budget(entry, gpu.usable_bytes)


def test_the_order_of_deployments_does_not_matter_where_all_fit(configs: dict[str, Any]) -> None:
    small = {**B, "workload": {"max_model_len": 1024}}
    answers = [_named(plan(_request(configs, *order))) for order in itertools.permutations((A, small))]
    for name in ("a", "b"):
        assert answers[0][name]["settings"] == answers[1][name]["settings"]


def test_what_does_not_fit_together_is_refused_with_the_numbers(configs: dict[str, Any]) -> None:
    request = _request(configs, A, B)
    request["gpus"][0]["memory_usable_bytes"] = 12 * GIB
    answer = plan(request)
    assert [entry["name"] for entry in answer["instances"]] == ["a"]
    (error,) = answer["errors"]
    assert (error["deployment"], error["code"]) == ("b", "plan.gpu_taken")
    assert error["needed_bytes"] > error["available_bytes"] > 0
    assert "'a' leaves" in error["message"]
    # The one that runs there keeps its place; the newcomer is refused, whatever the order in the inventory.
    request["deployments"][1]["placement"] = {"uuids": ["GPU-0"]}
    answer = plan(request)
    assert [entry["name"] for entry in answer["instances"]] == ["b"]


def test_shares_are_taken_as_they_are_said(configs: dict[str, Any]) -> None:
    request = _request(
        configs,
        {"name": "a", "gpus": {"count": 1, "share": 0.7}},
        {"name": "b", "gpus": {"count": 1, "share": 0.3}},
        {"name": "c", "gpus": {"count": 1, "share": 0.5}},
        cards=2,
    )
    parts = _named(plan(request))
    assert [parts[name]["gpu_indices"] for name in "abc"] == [[0], [0], [1]]
    assert 0.68 < parts["a"]["settings"]["gpu-memory-utilization"] < 0.7
    assert 0.28 < parts["b"]["settings"]["gpu-memory-utilization"] < 0.3
    assert "kv-cache-memory-bytes" in parts["c"]["settings"]
    request["deployments"].append({**request["deployments"][2], "name": "d", "gpus": {"count": 1, "share": 0.6}})
    answer = plan(request)
    assert [(entry["deployment"], entry["code"]) for entry in answer["errors"]] == [("d", "plan.not_enough_gpus")]


def test_said_and_open_shares_of_one_card(configs: dict[str, Any]) -> None:
    parts = _named(plan(_request(configs, {**A, "gpus": {"indices": [0], "share": 0.6}}, B)))
    assert parts["a"]["settings"]["gpu-memory-utilization"] < 0.6
    assert 0.35 < parts["b"]["settings"]["gpu-memory-utilization"] < 0.4
    too_much = {**B, "engine_args": {"gpu-memory-utilization": 0.5}}
    answer = plan(_request(configs, {**A, "gpus": {"indices": [0], "share": 0.6}}, too_much))
    assert [(entry["deployment"], entry["code"]) for entry in answer["errors"]] == [("b", "plan.gpu_taken")]


def test_a_shared_plan_planned_again_is_itself(configs: dict[str, Any]) -> None:
    request = _request(configs, A, B)
    first = plan(request)
    for entry, instance in zip(request["deployments"], first["instances"], strict=True):
        entry["engine_args"] = instance["settings"]
    again = plan(request)
    for old, new in zip(first["instances"], again["instances"], strict=True):
        assert {key: old[key] for key in ("settings", "memory", "kv")} == {
            key: new[key] for key in ("settings", "memory", "kv")
        }


def test_old_releases_share_badly_or_not(configs: dict[str, Any]) -> None:
    request = _request(configs, A, B)
    request["vllm_version"] = "0.8.5.post1"
    assert {entry["code"] for entry in plan(request)["errors"]} == {"plan.gpu_taken"}
    request["vllm_version"] = "0.10.1"
    parts = _named(plan(request))
    for entry in parts.values():
        assert "kv-cache-memory-bytes" not in entry["settings"]
        assert any(text.startswith("[plan.start_order]") for text in entry["warnings"])


def test_others_and_displays_are_left_alone(configs: dict[str, Any]) -> None:
    request = _request(configs, {"name": "a"})
    free = _named(plan(request))["a"]
    assert "gpu-memory-utilization" not in free["settings"]
    request["gpus"][0]["memory_free_bytes"] = 60 * GIB
    held = _named(plan(request))["a"]["settings"]["gpu-memory-utilization"]
    request["gpus"][0]["display"] = True
    shown = _named(plan(request))["a"]["settings"]["gpu-memory-utilization"]
    assert shown < held <= (60 * GIB) / (79.18 * GIB)


def test_a_card_without_a_display_and_without_others_is_taken_first(configs: dict[str, Any]) -> None:
    request = _request(configs, {"name": "a"}, cards=3)
    request["gpus"][0]["memory_free_bytes"] = 20 * GIB
    request["gpus"][1]["display"] = True
    assert _named(plan(request))["a"]["gpu_indices"] == [2]


def test_what_runs_stays_where_it_is(configs: dict[str, Any]) -> None:
    request = _request(configs, {"name": "a"}, {"name": "b"}, cards=3)
    assert {name: entry["gpu_uuids"] for name, entry in _named(plan(request)).items()} == {
        "a": ["GPU-0"],
        "b": ["GPU-1"],
    }
    request["placement"] = {"a": {"uuids": ["GPU-2"]}, "gone": {"uuids": ["GPU-1"]}}
    placed = {name: entry["gpu_uuids"] for name, entry in _named(plan(request)).items()}
    assert placed == {"a": ["GPU-2"], "b": ["GPU-0"]}


def test_cards_that_nvlink_joins_are_taken_together(configs: dict[str, Any]) -> None:
    request = _request(configs, {"name": "a", "gpus": {"count": 2}}, cards=4)
    request["links"] = [
        {"a": 0, "b": 1, "kind": "sys", "p2p": True},
        {"a": 1, "b": 3, "kind": "nvlink", "p2p": True},
        {"a": 0, "b": 2, "kind": "nvlink", "p2p": True},
    ]
    assert _named(plan(request))["a"]["gpu_indices"] == [0, 2]
    request["deployments"].insert(0, {**request["deployments"][0], "name": "z", "gpus": {"indices": [0]}})
    assert _named(plan(request))["a"]["gpu_indices"] == [1, 3]


def test_gpus_without_peer_access_are_told_to_nccl(configs: dict[str, Any]) -> None:
    request = _request(configs, {"name": "a", "gpus": {"count": 2}}, cards=2)
    assert _named(plan(request))["a"]["env"] == {}
    request["links"] = [{"a": 0, "b": 1, "kind": "phb", "p2p": False}]
    instance = _named(plan(request))["a"]
    assert instance["env"] == {"NCCL_P2P_DISABLE": "1"}
    assert instance["settings"]["disable-custom-all-reduce"] is True
    assert any(text.startswith("[plan.no_peer_access]") for text in instance["warnings"])


@pytest.mark.parametrize("share", [0, -1, 1.5, "half", True, [0.5]])
def test_shares_are_checked(configs: dict[str, Any], share: Any) -> None:
    with pytest.raises(InvalidRequest, match="share"):
        plan(_request(configs, {"name": "a", "gpus": {"share": share}}))
