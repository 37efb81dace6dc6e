"""What the exact release refuses at its start is refused or avoided here: batch, context, share of the card."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

MODELS = Path(__file__).parent / "data" / "models"
GIB = 2**30
CARDS = {
    "h100": ("NVIDIA H100 80GB HBM3", 85029614714, "9.0"),
    "4090": ("NVIDIA GeForce RTX 4090", int(23.52 * GIB), "8.9"),
    "l4": ("NVIDIA L4", int(22.03 * GIB), "8.9"),
    "t4": ("Tesla T4", int(14.56 * GIB), "7.5"),
}


def _request(
    model: str, card: str, count: int = 1, version: str = "0.32.0", free: int | None = None, **deployment: Any
) -> dict[str, Any]:
    name, usable, capability = CARDS[card]
    gpus = [
        {
            "index": index,
            "name": name,
            "memory_usable_bytes": usable,
            "memory_free_bytes": usable if free is None else free,
            "compute_capability": capability,
        }
        for index in range(count)
    ]
    config = json.loads((MODELS / (model + ".json")).read_text())
    entry = {"name": "a", "model": {"config": config}, "gpus": {"count": count}, **deployment}
    return {"vllm_version": version, "gpus": gpus, "deployments": [entry]}


def _on_cpu(request: dict[str, Any]) -> dict[str, Any]:
    request = copy.deepcopy(request)
    request.update(gpus=[], host={"memory_bytes": 512 * GIB}, runtime={"device": "cpu"})
    del request["deployments"][0]["gpus"]
    return request


def _one(request: dict[str, Any]) -> dict[str, Any]:
    answer = plan(request)
    assert answer["errors"] == []
    return answer["instances"][0]


def _error(request: dict[str, Any]) -> dict[str, Any]:
    answer = plan(request)
    assert answer["instances"] == []
    return answer["errors"][0]


def _batch(instance: dict[str, Any]) -> tuple[int, int]:
    """Requests and tokens of a step."""
    decided = {entry["setting"]: entry["value"] for entry in instance["decisions"]}
    assert len(decided) == len(instance["decisions"]), "decided twice"
    return decided["max-num-seqs"], decided["max-num-batched-tokens"]


@pytest.mark.parametrize(
    ("card", "users", "seqs"), [("4090", 3000, 2048), ("h100", 20000, 8192), ("h100", 3000, 3000), ("4090", 4, 4)]
)
def test_no_more_requests_than_tokens_of_a_step(card: str, users: int, seqs: int) -> None:
    request = _request("Qwen--Qwen3-8B", card, workload={"max_model_len": 8192, "concurrency": users})
    instance = _one(request)
    assert _batch(instance)[0] == seqs
    assert _batch(instance)[0] <= _batch(instance)[1]
    at_once = min(seqs, instance["kv"]["max_concurrency"])
    assert any(text.startswith("[plan.requests_wait]") for text in instance["warnings"]) == (at_once < users)
    again = copy.deepcopy(request)
    again["deployments"][0]["engine_args"] = instance["settings"]
    assert _one(again)["settings"] == instance["settings"]


def test_users_beyond_the_tokens_of_a_step_wait_though_the_cache_would_hold_them() -> None:
    arguments = {"max-num-batched-tokens": 8}
    workload = {"max_model_len": 512, "concurrency": 20}
    instance = _one(_request("Qwen--Qwen3-8B", "h100", workload=workload, engine_args=arguments))
    assert instance["kv"]["max_concurrency"] > 20
    assert _batch(instance) == (8, 8)
    assert any("8.0 requests of 512 tokens" in text for text in instance["warnings"])


def test_the_same_on_a_cpu() -> None:
    request = _on_cpu(_request("Qwen--Qwen3-8B", "h100", workload={"concurrency": 5000}))
    assert _batch(_one(request)) == (2048, 2048)
    assert any(text.startswith("[plan.requests_wait]") for text in _one(request)["warnings"])
    request["deployments"][0]["engine_args"] = {"max-num-seqs": 4096}
    assert _batch(_one(request)) == (4096, 4096)
    request["deployments"][0]["engine_args"] = {"max-num-seqs": 256, "max-num-batched-tokens": 100}
    assert _error(request)["code"] == "plan.bad_engine_argument"


def test_a_step_grows_with_the_requests_that_are_set_by_hand() -> None:
    instance = _one(_request("Qwen--Qwen3-8B", "4090", engine_args={"max-num-seqs": 4096}))
    assert _batch(instance) == (4096, 4096)
    assert instance["settings"]["max-num-batched-tokens"] == 4096
    arguments = {"max-num-seqs": 256, "max-num-batched-tokens": 100}
    error = _error(_request("Qwen--Qwen3-8B", "4090", engine_args=arguments))
    assert error["code"] == "plan.bad_engine_argument"
    assert "256" in error["message"]
    assert "100" in error["message"]


def test_old_releases_are_told_what_new_ones_do_themselves() -> None:
    arguments = {"max-num-batched-tokens": 100}
    new = _one(_request("Qwen--Qwen3-8B", "4090", engine_args=arguments))
    assert _batch(new)[0] == 100
    assert "max-num-seqs" not in new["settings"]
    old = _one(_request("Qwen--Qwen3-8B", "4090", version="0.10.0", engine_args=arguments))
    assert old["settings"]["max-num-seqs"] == 100


def test_without_chunked_prefill_no_context_is_longer_than_a_step() -> None:
    arguments = {"enable-chunked-prefill": False, "max-num-batched-tokens": 4096}
    assert _one(_request("Qwen--Qwen3-8B", "h100", engine_args=arguments))["settings"]["max-model-len"] == 4096
    asked = _request("Qwen--Qwen3-8B", "h100", engine_args=arguments, workload={"max_model_len": 40960})
    error = _error(asked)
    assert error["code"] == "plan.bad_engine_argument"
    assert "40960" in error["message"]
    assert _error(_on_cpu(asked))["code"] == "plan.bad_engine_argument"
    # Up to 0.11.0 models that generate read prompts in pieces whatever was said.
    old = _request("Qwen--Qwen3-8B", "h100", version="0.11.0", engine_args=arguments)
    assert _one(old)["settings"]["max-model-len"] == 40960


def test_without_chunked_prefill_a_cpu_cuts_the_context() -> None:
    arguments = {"enable-chunked-prefill": False, "max-num-batched-tokens": 1024}
    instance = _one(_on_cpu(_request("Qwen--Qwen3-8B", "h100", engine_args=arguments)))
    assert instance["settings"]["max-model-len"] == 1024
    del arguments["max-num-batched-tokens"]
    instance = _one(_on_cpu(_request("Qwen--Qwen3-8B", "h100", engine_args=arguments)))
    assert (instance["settings"]["max-model-len"], _batch(instance)[1]) == (4096, 4096)


def test_a_cache_set_by_hand_that_is_too_small_is_told_with_its_own_numbers() -> None:
    arguments = {"kv-cache-memory-bytes": GIB, "max-model-len": 40960}
    error = _error(_request("Qwen--Qwen3-8B", "h100", engine_args=arguments))
    assert error["code"] == "plan.does_not_fit"
    assert error["available_bytes"] == GIB
    assert error["needed_bytes"] == 40960 * 147456 + 16 * 147456  # and the block that is set apart
    assert "5.63 GiB" in error["message"]
    assert "1.00 GiB" in error["message"]


def test_the_parts_of_a_refusal_add_up() -> None:
    error = _error(_request("Qwen--Qwen3-32B", "4090"))
    assert error["code"] == "plan.does_not_fit"
    words = error["message"].replace(",", "").replace("(", "").split()
    sizes = [float(word) for word in words if "." in word and word.replace(".", "", 1).isdigit()]
    total, *parts, limit = sizes
    assert sum(parts) == pytest.approx(total, abs=0.03)
    assert error["needed_bytes"] / GIB == pytest.approx(total, abs=0.01)
    assert error["available_bytes"] / GIB == pytest.approx(limit, abs=0.01)


def test_a_refusal_says_that_the_weights_may_not_be_what_the_name_says() -> None:
    request = _request("Qwen--Qwen3-32B", "4090")
    request["deployments"][0]["model"]["id"] = "Qwen/Qwen3-32B-NVFP4"
    remedies = _error(request)["remedies"]
    assert any("NVFP4" in text for text in remedies)
    assert any("model.tensors" in text for text in remedies)


def test_a_longer_context_than_the_models_needs_the_environment_to_say_so() -> None:
    request = _request("Qwen--Qwen3-8B", "h100", engine_args={"max-model-len": 81920})
    for where in (request, _on_cpu(request)):
        assert _error(where)["code"] == "plan.context_too_long"
        where["deployments"][0]["env"] = {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}
        instance = _one(where)
        assert instance["settings"]["max-model-len"] == 81920
        assert any(text.startswith("[plan.context_beyond_model]") for text in instance["warnings"])
        where["deployments"][0]["env"] = {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "0"}
        assert _error(where)["code"] == "plan.context_too_long"


def test_a_model_without_a_longest_context_gets_what_vllm_takes_then() -> None:
    request = _request("Qwen--Qwen3-8B", "h100")
    del request["deployments"][0]["model"]["config"]["max_position_embeddings"]
    assert _one(request)["settings"]["max-model-len"] == 2048
    assert _one(_on_cpu(request))["settings"]["max-model-len"] == 2048
    request["deployments"][0]["workload"] = {"max_model_len": 9000}
    assert _one(request)["settings"]["max-model-len"] == 9000


@pytest.mark.parametrize(
    ("share", "free", "version", "planned"),
    [
        # Of 59 GiB that are free CUDA's context takes half a one before vLLM compares them with 0.745 of 79.19.
        (0.745, 59 * GIB, "0.32.0", False),
        (0.73, 59 * GIB, "0.32.0", True),
        (1.0, None, "0.32.0", False),
        (1.0, None, "0.9.1", False),
        (0.98, None, "0.32.0", True),
        # Until 0.9.0 the share pays for what others hold, and nothing is compared.
        (0.745, 59 * GIB, "0.9.0.1", True),
        (0.9, 59 * GIB, "0.8.5.post1", True),
    ],
)
def test_a_share_set_by_hand_is_what_the_engine_finds_free(
    share: float, free: int | None, version: str, planned: bool
) -> None:
    arguments = {"gpu-memory-utilization": share, "enforce-eager": True}
    request = _request("Qwen--Qwen3-8B", "h100", version=version, free=free, engine_args=arguments)
    if planned:
        assert _one(request)["memory"]["headroom_bytes"] >= 0
        return
    error = _error(request)
    assert error["code"] == "plan.free_memory"
    assert error["needed_bytes"] > error["available_bytes"]
    # What it says would do does.
    (offered,) = (text.split()[3] for text in error["remedies"] if text.startswith("Set gpu-memory-utilization"))
    arguments["gpu-memory-utilization"] = float(offered)
    assert _one(request)["memory"]["headroom_bytes"] >= 0


def _spread(card: str, count: int, version: str, share: float) -> dict[str, Any]:
    request = _request("Qwen--Qwen3-8B", card, count, version, engine_args={"gpu-memory-utilization": share})
    request["deployments"][0]["engine_args"]["tensor-parallel-size"] = count
    return request


@pytest.mark.parametrize(("card", "version"), [("h100", "0.15.1"), ("t4", "0.15.1")])
def test_a_share_set_by_hand_leaves_room_for_what_ranks_hold_beside_it(card: str, version: str) -> None:
    request = _spread(card, 8, version, 0.97)
    error = _error(request)
    assert error["code"] == "plan.free_memory"
    assert error["needed_bytes"] > error["available_bytes"]
    del request["deployments"][0]["engine_args"]["gpu-memory-utilization"]
    assert _one(request)["memory"]["headroom_bytes"] >= 0


def test_what_was_not_measured_of_the_ranks_warns_and_does_not_refuse() -> None:
    """The group of ranks on cards without NVLink is a guess: eight 4090 at 0.9 are an ordinary host."""
    request = _spread("4090", 8, "0.14.1", 0.9)
    instance = _one(request)
    assert instance["memory"]["headroom_bytes"] < 0
    assert any(text.startswith("[plan.tight_utilization]") for text in instance["warnings"])
    del request["deployments"][0]["engine_args"]["gpu-memory-utilization"]
    instance = _one(request)
    assert instance["memory"]["headroom_bytes"] >= 0
    (reason,) = (entry["reason"] for entry in instance["decisions"] if entry["setting"] == "gpu-memory-utilization")
    assert "Others" not in reason


def test_a_share_of_an_old_release_that_leaves_too_little_is_told() -> None:
    request = _request("Qwen--Qwen3-8B", "4090", version="0.8.5.post1", engine_args={"gpu-memory-utilization": 1.0})
    instance = _one(request)
    assert instance["memory"]["headroom_bytes"] < 0
    assert any(text.startswith("[plan.tight_utilization]") for text in instance["warnings"])
