"""Arguments that change what config.json says, or what the cache is: honoured, refused or named as not counted."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

MODELS = Path(__file__).parent / "data" / "models"
GIB = 2**30


def _request(name: str, version: str, engine_args: dict[str, Any], size: float = 79.0) -> dict[str, Any]:
    config = json.loads((MODELS / (name + ".json")).read_text())
    card = {
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "memory_usable_bytes": int(size * GIB),
        "compute_capability": "9.0",
    }
    deployment = {"name": "a", "model": {"config": config}, "engine_args": engine_args}
    return {"vllm_version": version, "gpus": [card], "deployments": [deployment]}


def _one(request: dict[str, Any]) -> dict[str, Any]:
    answer = plan(request)
    assert answer["errors"] == []
    return answer["instances"][0]


def _length(instance: dict[str, Any]) -> int:
    return next(entry["value"] for entry in instance["decisions"] if entry["setting"] == "max-model-len")


@pytest.mark.parametrize("written", ["nested", "dotted"])
def test_overrides_of_the_config_are_planned_as_it(written: str) -> None:
    told = {"hf-overrides": {"num_hidden_layers": 4}} if written == "nested" else {"hf-overrides.num_hidden_layers": 4}
    small = _one(_request("Qwen--Qwen3-8B", "0.32.0", told))
    request = _request("Qwen--Qwen3-8B", "0.32.0", {})
    request["deployments"][0]["model"]["config"]["num_hidden_layers"] = 4
    changed = _one(request)
    assert small["kv"] == changed["kv"]
    assert small["memory"] == changed["memory"]
    assert small["memory"]["weights_bytes"] < _one(_request("Qwen--Qwen3-8B", "0.32.0", {}))["memory"]["weights_bytes"]


def test_a_section_is_merged_and_any_other_mapping_replaced() -> None:
    name = "Qwen--Qwen3-VL-8B-Instruct"
    told = {"hf-overrides": {"text_config": {"num_hidden_layers": 6}}}
    request = _request(name, "0.32.0", {})
    request["deployments"][0]["model"]["config"]["text_config"]["num_hidden_layers"] = 6
    assert _one(_request(name, "0.32.0", told))["kv"] == _one(request)["kv"]


def test_a_rope_that_is_overridden_lengthens_the_context() -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    told: dict[str, Any] = {"hf-overrides": {"rope_scaling": rope}, "max-model-len": 131072}
    assert _length(_one(_request("Qwen--Qwen3-8B", "0.28.0", told))) == 131072
    told["max-model-len"] = 500_000
    answer = plan(_request("Qwen--Qwen3-8B", "0.28.0", told))
    assert answer["errors"][0]["code"] == "plan.context_too_long"


def test_a_number_of_blocks_is_the_cache() -> None:
    plain = _one(_request("Qwen--Qwen3-8B", "0.32.0", {}))
    instance = _one(_request("Qwen--Qwen3-8B", "0.32.0", {"num-gpu-blocks-override": 1000}))
    assert instance["kv"]["num_blocks"] == 1000
    assert _length(instance) < _length(plain)
    assert instance["memory"]["headroom_bytes"] > plain["memory"]["headroom_bytes"]
    assert "kv-cache-memory-bytes" not in instance["settings"]
    asked = {"num-gpu-blocks-override": 10, "max-model-len": 40960}
    assert plan(_request("Qwen--Qwen3-8B", "0.32.0", asked))["errors"][0]["code"] == "plan.does_not_fit"
    asked = {"num-gpu-blocks-override": 10**6}
    error = plan(_request("Qwen--Qwen3-8B", "0.32.0", asked))["errors"][0]
    assert error["code"] == "plan.does_not_fit"
    assert error["needed_bytes"] > error["available_bytes"]


@pytest.mark.parametrize("version", ["0.10.2", "0.32.0"])
def test_without_windows_no_context_is_longer_than_one(version: str) -> None:
    request = _request("openai--gpt-oss-20b", version, {"disable-sliding-window": True})
    instance = _one(request)
    assert _length(instance) == 128
    assert {group["kind"] for group in instance["kv"]["groups"]} == {"full"}
    request["deployments"][0]["workload"] = {"max_model_len": 4096}
    assert plan(request)["errors"][0]["code"] == "plan.context_too_long"


def test_a_transferred_cache_has_one_kind_of_layers_until_the_connector_decides() -> None:
    told = {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both"}}
    older = _one(_request("openai--gpt-oss-20b", "0.20.2", told))
    assert {group["kind"] for group in older["kv"]["groups"]} == {"full"}
    kept = {**told, "disable-hybrid-kv-cache-manager": False}
    assert len(_one(_request("openai--gpt-oss-20b", "0.20.2", kept))["kv"]["groups"]) == 2
    assert len(_one(_request("openai--gpt-oss-20b", "0.32.0", told))["kv"]["groups"]) == 2


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both"}}, True),
        ({"cudagraph-capture-sizes": [1, 2, 4]}, True),
        ({"compilation-config": {"cudagraph_mode": "NONE"}}, True),
        ({"compilation-config.cudagraph_mode": "NONE"}, True),
        ({"compilation-config": {"max_cudagraph_capture_size": 64}}, False),
        ({"enable-eplb": False}, False),
        ({"max-num-seqs": 4}, False),
    ],
)
def test_what_is_not_counted_is_named(told: dict[str, Any], named: bool) -> None:
    instance = _one(_request("Qwen--Qwen3-8B", "0.32.0", copy.deepcopy(told)))
    found = [text for text in instance["warnings"] if text.startswith("[plan.not_counted]")]
    assert bool(found) is named
    if named:
        assert next(iter(told)).partition(".")[0] in found[0]


@pytest.mark.parametrize(
    ("name", "told"), [("openai--gpt-oss-20b", True), ("Qwen--Qwen3.5-27B", True), ("Qwen--Qwen3-8B", False)]
)
def test_a_block_size_that_vllm_may_change_is_said(name: str, told: bool) -> None:
    warnings = _one(_request(name, "0.32.0", {"block-size": 16}))["warnings"]
    assert any(text.startswith("[plan.block_size_raised]") for text in warnings) is told


def test_variables_that_are_not_counted_are_named() -> None:
    request = _request("Qwen--Qwen3-8B", "0.32.0", {})
    request["deployments"][0]["env"] = {"VLLM_PP_LAYER_PARTITION": "30,6", "VLLM_LOGGING_LEVEL": "DEBUG"}
    found = [text for text in _one(request)["warnings"] if text.startswith("[plan.not_counted]")]
    assert "VLLM_PP_LAYER_PARTITION" in found[0]
    assert "VLLM_LOGGING_LEVEL" not in found[0]


def test_heads_must_divide_over_kv_heads() -> None:
    request = _request("Qwen--Qwen3-8B", "0.32.0", {"hf-overrides": {"num_key_value_heads": 3}})
    assert plan(request)["errors"][0]["code"] == "plan.unsupported_model"


def test_a_number_of_blocks_is_the_cache_on_a_cpu(cpu_request: dict[str, Any]) -> None:
    cpu_request["deployments"][0]["engine_args"] = {"num-gpu-blocks-override": 40}
    assert _one(cpu_request)["kv"]["num_blocks"] == 40
    cpu_request["deployments"][0]["engine_args"] = {"num-gpu-blocks-override": 0}
    assert plan(cpu_request)["errors"][0]["code"] == "plan.bad_engine_argument"
