"""How models are spread over GPUs: what divides, what is chosen, what every rank holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.layout.parallel import Parallel, obstacles
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.layout.quantized import read_quantized
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

MODELS = Path(__file__).parent / "data" / "models"
GIB = 2**30
CARDS = {
    "4090": ("NVIDIA GeForce RTX 4090", 23.52, "8.9"),
    "H100": ("NVIDIA H100 80GB HBM3", 79.18, "9.0"),
    "H200": ("NVIDIA H200", 139.81, "9.0"),
}
QWEN2_72B = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 8192, "intermediate_size": 29568,
    "num_attention_heads": 64, "num_key_value_heads": 8, "num_hidden_layers": 80, "vocab_size": 152064,
    "max_position_embeddings": 32768, "torch_dtype": "float16",
}  # fmt: skip
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}


def _config(name: str, **more: Any) -> dict[str, Any]:
    return {**json.loads((MODELS / (name + ".json")).read_text()), **more}


def _plan(config: dict[str, Any], card: str, count: int, version: str = "0.32.0", **deployment: Any) -> dict[str, Any]:
    name, size, capability = CARDS[card]
    gpus = [
        {"index": index, "name": name, "memory_usable_bytes": int(size * GIB), "compute_capability": capability}
        for index in range(count)
    ]
    weights = deployment.pop("weights", None)
    entry = {"name": "a", "model": {"config": config, "weights_bytes": weights}, **deployment}
    return plan({"vllm_version": version, "gpus": gpus, "deployments": [entry]})


def _one(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["errors"] == []
    (instance,) = answer["instances"]
    return instance


def _error(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["instances"] == []
    (error,) = answer["errors"]
    return error


def _texts(config: dict[str, Any], parallel: Parallel, version: tuple[int, ...] = (0, 32, 0)) -> list[str]:
    model = read_model(config)
    return [entry.text for entry in obstacles(model, parallel, read_quantized(model), version)]


def test_expert_parallel_saves_fp8_blocks_at_eight_gpus() -> None:
    config = _config("Qwen--Qwen3-235B-A22B-FP8")
    (text,) = _texts(config, Parallel(tensor=8))
    assert "1536 / 8 = 192" in text
    assert "128" in text
    assert _texts(config, Parallel(tensor=8, expert=True)) == []
    assert _texts(config, Parallel(tensor=4)) == []
    settings = _one(_plan(config, "H100", 8, gpus={"count": 8}, weights=236 * GIB))["settings"]
    assert settings["tensor-parallel-size"] == 8
    assert settings["enable-expert-parallel"] is True


@pytest.mark.parametrize(
    ("name", "size"), [("Qwen--Qwen3-235B-A22B-FP8", 8), ("Qwen--Qwen3-30B-A3B-FP8", 4), ("MiniMaxAI--MiniMax-M2.7", 8)]
)
def test_a_layout_set_by_hand_is_refused_where_vllm_refuses_it(name: str, size: int) -> None:
    error = _error(
        _plan(_config(name), "H200", 8, engine_args={"tensor-parallel-size": size}, gpus={"count": size},
              weights=200 * GIB)
    )  # fmt: skip
    assert error["code"] == "plan.not_divisible"
    assert "= 192, no multiple of the FP8 block of 128" in error["message"]
    assert error["remedies"][0].startswith("Set enable-expert-parallel: true")
    _one(
        _plan(_config(name), "H200", 8, gpus={"count": size}, weights=200 * GIB,
              engine_args={"tensor-parallel-size": size, "enable-expert-parallel": True})
    )  # fmt: skip


def test_four_bit_experts_on_eight_cards() -> None:
    """The published deployment: without expert parallelism old releases die on the first request, new ones are slow."""
    config = _config("Qwen--Qwen3-235B-A22B", quantization_config=GPTQ)
    by_hand = {"gpus": {"count": 8}, "engine_args": {"tensor-parallel-size": 8}, "weights": 116 * GIB}
    assert _error(_plan(config, "4090", 8, "0.8.5.post1", **dict(by_hand)))["code"] == "plan.not_divisible"
    slow = _one(_plan(config, "4090", 8, "0.32.0", **dict(by_hand)))
    assert any(text.startswith("[plan.slow_kernels]") for text in slow["warnings"])
    for version in ("0.8.5.post1", "0.32.0"):
        chosen = _one(_plan(config, "4090", 8, version, gpus={"count": 8}, weights=116 * GIB))
        assert chosen["settings"]["enable-expert-parallel"] is True
        assert not any(text.startswith("[plan.slow_kernels]") for text in chosen["warnings"])


def test_groups_of_a_dense_model_cannot_be_cut() -> None:
    config = {**QWEN2_72B, "quantization_config": AWQ}
    for size in (2, 4, 8):
        assert any("29568 / %d" % size in text for text in _texts(config, Parallel(tensor=size)))
    assert _texts(QWEN2_72B, Parallel(tensor=8)) == []
    error = _error(_plan(config, "H100", 2, engine_args={"tensor-parallel-size": 2}, weights=39 * GIB))
    assert error["code"] == "plan.not_divisible"
    assert "Use 1 GPU." in error["remedies"]


@pytest.mark.parametrize(
    ("change", "size", "found"),
    [
        ({"num_attention_heads": 28, "num_key_value_heads": 4}, 8, "28 attention heads"),
        ({"num_attention_heads": 12, "num_key_value_heads": 12}, 8, "12 attention heads"),
        ({"num_attention_heads": 52, "num_key_value_heads": 52}, 3, "52 attention heads"),
        ({"num_attention_heads": 40, "num_key_value_heads": 8}, 5, "a padded vocabulary of 152064"),
        ({"num_attention_heads": 48, "num_key_value_heads": 8}, 6, "8 KV heads"),
    ],
)
def test_what_vllm_divides_must_divide(change: dict[str, Any], size: int, found: str) -> None:
    assert found in " and ".join(_texts({**QWEN2_72B, **change, "head_dim": 128}, Parallel(tensor=size)))


def test_where_tensors_do_not_divide_other_ranks_do() -> None:
    """Three cards: 64 heads cannot be split by three, so replicas of what fits one, or stages of what does not."""
    small = _one(_plan(_config("Qwen--Qwen3-8B"), "H100", 3, gpus={"count": 3}))
    assert (small["settings"]["data-parallel-size"], small["kv"]["replicas"]) == (3, 3)
    large = _one(_plan(QWEN2_72B, "H100", 3, gpus={"count": 3}))
    assert large["settings"]["pipeline-parallel-size"] == 3
    assert "tensor-parallel-size" not in large["settings"]


def test_stages_differ_and_the_smallest_cache_counts() -> None:
    """The first stage holds the embedding, the last the head: other ranks are told apart, the cache is the least."""
    instance = _one(
        _plan(_config("meta-llama--Meta-Llama-3.1-70B"), "H100", 4, engine_args={"pipeline-parallel-size": 4})
    )
    assert instance["settings"]["pipeline-parallel-size"] == 4
    everyone = [instance["memory"], *instance["ranks"]]
    assert len(everyone) > 1
    layer = 80 // 4 * 2 * 8 * 128 * 2
    assert instance["kv"]["bytes_per_token"] == layer
    least = min(rank["kv_available_bytes"] for rank in everyone)
    assert instance["kv"]["num_blocks"] <= least // (layer * 16)
    weights = [rank["weights_bytes"] for rank in everyone]
    assert 30 * GIB < min(weights) < max(weights) < 40 * GIB


def test_replicas_multiply_a_latent_cache() -> None:
    config = _config("deepseek-ai--DeepSeek-V3")
    workload = {"max_model_len": 32768, "concurrency": 64}
    instance = _one(_plan(config, "H200", 8, gpus={"count": 8}, workload=workload, weights=642 * GIB))
    assert instance["settings"]["data-parallel-size"] == 8
    assert instance["settings"]["enable-expert-parallel"] is True
    assert instance["settings"]["max-num-seqs"] == 8
    alone = _one(_plan(config, "H200", 8, gpus={"count": 8}, weights=642 * GIB))
    assert alone["settings"]["tensor-parallel-size"] == 8


def test_the_layout_must_match_the_gpus() -> None:
    config = _config("Qwen--Qwen3-8B")
    answer = _plan(config, "H100", 4, gpus={"count": 4}, engine_args={"tensor-parallel-size": 2})
    assert _error(answer)["code"] == "plan.conflict"
    mixed = {"tensor-parallel-size": 2, "pipeline-parallel-size": 2}
    instance = _one(_plan(config, "H100", 4, gpus={"count": 4}, engine_args=mixed))
    assert len(instance["gpu_indices"]) == 4
    assert len(_one(_plan(config, "H100", 4, engine_args=mixed))["gpu_indices"]) == 4


def test_more_users_get_more_cards_where_there_are_some() -> None:
    config = _config("Qwen--Qwen3-8B")
    few = _one(_plan(config, "4090", 4, workload={"max_model_len": 16384, "concurrency": 2}))
    many = _one(_plan(config, "4090", 4, workload={"max_model_len": 16384, "concurrency": 8}))
    assert (len(few["gpu_indices"]), len(many["gpu_indices"])) == (1, 2)
    assert many["kv"]["max_concurrency"] >= 8


def test_cards_are_left_for_deployments_that_come_later() -> None:
    name, size, capability = CARDS["4090"]
    gpus = [
        {"index": index, "name": name, "memory_usable_bytes": int(size * GIB), "compute_capability": capability}
        for index in range(2)
    ]
    model = {"config": _config("Qwen--Qwen3-8B")}
    busy = {"name": "a", "model": model, "workload": {"max_model_len": 16384, "concurrency": 8}}
    answer = plan({"vllm_version": "0.32.0", "gpus": gpus, "deployments": [busy, {"name": "b", "model": model}]})
    assert answer["errors"] == []
    assert [entry["gpu_indices"] for entry in answer["instances"]] == [[0], [1]]
    (warning,) = answer["instances"][0]["warnings"]
    assert warning.startswith("[plan.requests_wait]")


def test_experts_of_their_own_need_experts() -> None:
    answer = _plan(
        _config("Qwen--Qwen3-8B"), "H100", 2, gpus={"count": 2}, engine_args={"enable-expert-parallel": True}
    )
    assert _error(answer)["code"] == "plan.unsupported_parallelism"
