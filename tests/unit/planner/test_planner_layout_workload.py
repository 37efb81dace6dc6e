"""From what is wanted to settings: context, requests at once, cache type, batch; features; the last start's figures."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.layout.batch import batch_defaults
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import Gpu

MODELS = Path(__file__).parent / "data" / "models"
GIB = 2**30


def _one(request: dict[str, Any]) -> dict[str, Any]:
    answer = plan(request)
    assert answer["errors"] == []
    return answer["instances"][0]


def _error(request: dict[str, Any]) -> dict[str, Any]:
    answer = plan(request)
    assert answer["instances"] == []
    return answer["errors"][0]


def _decided(instance: dict[str, Any], setting: str) -> dict[str, Any]:
    (entry,) = (entry for entry in instance["decisions"] if entry["setting"] == setting)
    return entry


@pytest.mark.parametrize(
    ("name", "size", "capability", "version", "tokens", "seqs"),
    [
        ("NVIDIA GeForce RTX 4090", 23.5, (8, 9), (0, 32, 0), 2048, 256),
        ("NVIDIA H100 80GB HBM3", 79.2, (9, 0), (0, 32, 0), 8192, 1024),
        ("NVIDIA A100-SXM4-80GB", 79.2, (8, 0), (0, 32, 0), 2048, 256),
        ("NVIDIA A100-SXM4-80GB", 79.2, (8, 0), (0, 8, 5), 8192, 1024),
        ("NVIDIA B200", 178.3, (10, 0), (0, 28, 0), 16384, 1024),
        ("NVIDIA B200", 178.3, (10, 0), (0, 26, 0), 8192, 1024),
        ("NVIDIA GB10", 121.6, (12, 1), (0, 33, 0), 2048, 256),
        ("NVIDIA GB10", 121.6, (12, 1), (0, 32, 0), 8192, 1024),
    ],
)
def test_batch_defaults_by_card_and_release(
    name: str, size: float, capability: tuple[int, int], version: tuple[int, ...], tokens: int, seqs: int
) -> None:
    gpu = Gpu(0, name, int(size * GIB), int(size * GIB), capability)
    assert batch_defaults(gpu, version) == (tokens, seqs)


def test_a_batch_holds_no_more_than_its_requests(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["workload"] = {"max_model_len": 512, "concurrency": 2}
    assert _decided(_one(gpu_request), "max-num-batched-tokens")["value"] == 1024
    gpu_request["vllm_version"] = "0.11.0"
    assert _decided(_one(gpu_request), "max-num-batched-tokens")["value"] == 2048


def test_without_chunked_prefill_a_batch_holds_the_longest_prompt(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["engine_args"] = {"enable-chunked-prefill": False, "max-model-len": 8192}
    assert _decided(_one(gpu_request), "max-num-batched-tokens")["value"] == 8192


def test_fp8_cache_only_where_it_makes_the_workload_fit(gpu_request: dict[str, Any]) -> None:
    deployment = gpu_request["deployments"][0]
    deployment["workload"] = {"max_model_len": 40960, "concurrency": 2}
    plain = _one(gpu_request)
    assert "kv-cache-dtype" not in plain["settings"]
    deployment["workload"]["concurrency"] = 4
    narrow = _one(gpu_request)
    assert narrow["settings"]["kv-cache-dtype"] == "fp8"
    assert _decided(narrow, "kv-cache-dtype")["source"] == "computed"
    assert any(text.startswith("[plan.kv_cache_narrowed]") for text in narrow["warnings"])
    assert narrow["kv"]["max_concurrency"] >= 4
    # More than even that can hold: the model's own type, and the truth about the waiting.
    deployment["workload"]["concurrency"] = 64
    many = _one(gpu_request)
    assert "kv-cache-dtype" not in many["settings"]
    assert any(text.startswith("[plan.requests_wait]") for text in many["warnings"])


@pytest.mark.parametrize(
    "change",
    [
        {"engine_args": {"kv-cache-dtype": "auto"}},
        {"engine_args": {"gpu-memory-utilization": 0.9}},
        {"engine_args": {"max-model-len": 40960}},
    ],
)
def test_what_is_set_by_hand_is_not_bent(gpu_request: dict[str, Any], change: dict[str, Any]) -> None:
    gpu_request["deployments"][0].update(workload={"max_model_len": 40960, "concurrency": 4}, **change)
    instance = _one(gpu_request)
    assert instance["settings"].get("kv-cache-dtype", "auto") == "auto"
    assert any(text.startswith("[plan.requests_wait]") for text in instance["warnings"])


def test_old_cards_and_releases_keep_the_models_own_type(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["workload"] = {"max_model_len": 40960, "concurrency": 4}
    gpu_request["vllm_version"] = "0.10.2"
    assert "kv-cache-dtype" not in _one(gpu_request)["settings"]
    gpu_request["vllm_version"] = "0.32.0"
    gpu_request["gpus"][0]["compute_capability"] = "7.5"
    assert "kv-cache-dtype" not in _one(gpu_request)["settings"]


def test_a_leaner_batch_before_a_refusal(gpu_request: dict[str, Any], configs: dict[str, Any]) -> None:
    """Old samplers take much memory for many requests: fewer of them, where that is what the context needs."""
    gpu_request["vllm_version"] = "0.12.0"
    deployment = gpu_request["deployments"][0]
    deployment["model"]["config"] = configs["Qwen--Qwen3-8B"]
    deployment["engine_args"] = {"kv-cache-dtype": "auto"}
    deployment["workload"] = {"max_model_len": 8192}
    full = _one(gpu_request)
    assert _decided(full, "max-num-seqs")["value"] == 256
    lengths = [length for length in range(8192, 40961, 512) if _leans(gpu_request, length)]
    assert lengths
    deployment["workload"] = {"max_model_len": lengths[0]}
    lean = _one(gpu_request)
    assert lean["settings"]["max-num-seqs"] == 32
    assert lean["kv"]["tokens"] >= lengths[0]


def _leans(request: dict[str, Any], length: int) -> bool:
    request = copy.deepcopy(request)
    request["deployments"][0]["workload"] = {"max_model_len": length}
    answer = plan(request)
    return bool(answer["instances"]) and answer["instances"][0]["settings"].get("max-num-seqs") == 32


def test_every_default_that_matters_has_its_reason(gpu_request: dict[str, Any]) -> None:
    instance = _one(gpu_request)
    for setting in ("enforce-eager", "enable-prefix-caching", "enable-chunked-prefill", "block-size", "kv-cache-dtype"):
        entry = _decided(instance, setting)
        assert entry["source"] == "default"
        assert setting not in instance["settings"]
        assert len(entry["reason"]) > 10
    assert _decided(instance, "enable-prefix-caching")["value"] is True


def test_recurrent_layers_leave_prefix_caching_off_in_old_releases(gpu_request: dict[str, Any]) -> None:
    config = json.loads((MODELS / "Qwen--Qwen3.5-27B.json").read_text())
    gpu_request["gpus"][0].update(name="NVIDIA B200", memory_total_bytes=190 * GIB, compute_capability="10.0")
    gpu_request["gpus"][0].pop("memory_free_bytes")
    gpu_request["deployments"][0]["model"] = {"config": config}
    for version, default in (("0.24.0", False), ("0.32.0", True)):
        gpu_request["vllm_version"] = version
        assert _decided(_one(gpu_request), "enable-prefix-caching")["value"] is default


def test_a_block_as_large_as_a_state_must_fit_one_batch(gpu_request: dict[str, Any]) -> None:
    config = json.loads((MODELS / "Qwen--Qwen3.5-122B-A10B.json").read_text())
    gpu_request["vllm_version"] = "0.26.0"
    gpu_request["gpus"][0].update(name="NVIDIA A100-SXM4-80GB", memory_total_bytes=85 * 10**9, compute_capability="8.0")
    gpu_request["gpus"][0].pop("memory_free_bytes")
    deployment = gpu_request["deployments"][0]
    deployment["model"] = {"config": config, "weights_bytes": 60 * GIB}
    deployment["workload"] = {"max_model_len": 32768}
    instance = _one(gpu_request)
    assert instance["settings"]["max-num-batched-tokens"] >= instance["kv"]["block_size"] > 2048
    deployment["engine_args"] = {"max-num-batched-tokens": 2048}
    assert _error(gpu_request)["code"] == "plan.batch_too_small"
    gpu_request["vllm_version"] = "0.32.0"
    _one(gpu_request)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"enable-lora": True, "max-lora-rank": 48}, "plan.bad_engine_argument"),
        ({"enable-lora": True, "max-loras": 4, "max-cpu-loras": 2}, "plan.unsupported_lora"),
        ({"speculative-config": {"method": "eagle3", "model": "org/draft", "num_speculative_tokens": 3}},
         "plan.unsupported_speculation"),
        ({"speculative-config": {"model": "org/draft", "num_speculative_tokens": 3}}, "plan.unsupported_speculation"),
        ({"speculative-config": {"method": "mtp", "num_speculative_tokens": 1}}, "plan.unsupported_speculation"),
        ({"speculative-config": {"method": "ngram", "num_speculative_tokens": -1}}, "plan.unsupported_speculation"),
        ({"runner": "pooling", "speculative-config": {"method": "ngram", "num_speculative_tokens": 3}},
         "plan.unsupported_speculation"),
        ({"decode-context-parallel-size": 2}, "plan.unsupported_parallelism"),
        ({"nnodes": 2}, "plan.unsupported_parallelism"),
    ],
)  # fmt: skip
def test_features_are_refused_by_name(gpu_request: dict[str, Any], arguments: dict[str, Any], code: str) -> None:
    gpu_request["deployments"][0]["engine_args"] = arguments
    error = _error(gpu_request)
    assert error["code"] == code
    assert error["remedies"]


def test_lora_and_guessing_ahead_are_planned(gpu_request: dict[str, Any]) -> None:
    plain = _one(gpu_request)
    deployment = gpu_request["deployments"][0]
    deployment["engine_args"] = {"speculative-config": {"method": "ngram", "num_speculative_tokens": 4}}
    assert _one(gpu_request)["settings"]["speculative-config"]["num_speculative_tokens"] == 4
    deployment["engine_args"] = {"enable-lora": True, "max-loras": 4, "max-lora-rank": 64}
    adapted = _one(gpu_request)
    assert any(text.startswith("[plan.lora_estimate]") for text in adapted["warnings"])
    assert adapted["memory"]["kv_available_bytes"] < plain["memory"]["kv_available_bytes"]


def test_embedding_models_get_no_parsers(gpu_request: dict[str, Any], cpu_request: dict[str, Any]) -> None:
    for request in (gpu_request, cpu_request):
        request["deployments"][0]["engine_args"] = {"runner": "pooling"}
        settings = _one(request)["settings"]
        assert not {"tool-call-parser", "enable-auto-tool-choice", "reasoning-parser"} & set(settings)
        assert settings["runner"] == "pooling"


def test_rerankers_are_known_by_their_architecture(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["model"]["config"]["architectures"] = ["Qwen3ForSequenceClassification"]
    assert "tool-call-parser" not in _one(gpu_request)["settings"]


def test_offloaded_weights_leave_the_card_and_need_the_host(gpu_request: dict[str, Any]) -> None:
    plain = _one(gpu_request)["memory"]["weights_bytes"]
    gpu_request["host"] = {"memory_bytes": 16 * GIB}
    gpu_request["deployments"][0]["engine_args"] = {"cpu-offload-gb": 4}
    instance = _one(gpu_request)
    assert instance["memory"]["weights_bytes"] == plain - 4 * GIB
    assert any(text.startswith("[plan.cpu_offload]") for text in instance["warnings"])
    gpu_request["host"] = {"memory_bytes": 4 * GIB}
    assert _error(gpu_request)["code"] == "host.memory"


def test_an_explicit_cache_must_fit_beside_the_rest(gpu_request: dict[str, Any]) -> None:
    deployment = gpu_request["deployments"][0]
    deployment["engine_args"] = {"kv-cache-memory-bytes": 40 * GIB, "max-model-len": 4096}
    error = _error(gpu_request)
    assert error["code"] == "plan.does_not_fit"
    largest = int(error["remedies"][1].split(" to ")[1].split()[0])
    deployment["engine_args"]["kv-cache-memory-bytes"] = largest
    assert _one(gpu_request)["memory"]["kv_available_bytes"] == largest


MEASURED = {
    "weights_bytes": 8 * GIB,
    "activation_peak_bytes": GIB,
    "non_torch_bytes": GIB // 2,
    "cuda_graph_bytes": GIB // 4,
    "kv_available_bytes": 9 * GIB,
    "kv_tokens": 65536,
}


def test_measured_figures_replace_predicted_ones(gpu_request: dict[str, Any]) -> None:
    first = _one(gpu_request)
    entry = {"deployment": "a", "vllm_version": "0.32.0", "fingerprint": first["fingerprint"], **MEASURED}
    gpu_request["measured"] = [entry]
    second = _one(gpu_request)
    for key in ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "cuda_graph_bytes"):
        assert second["memory"][key] == MEASURED[key]
    assert second["fingerprint"] == first["fingerprint"]
    assert second["memory"]["kv_available_bytes"] < first["memory"]["kv_available_bytes"]
    # A share or a context of its own is the same engine; another batch, type or card is not.
    for same in ({"max-model-len": 4096}, {"gpu-memory-utilization": 0.8}, {"seed": 1}):
        gpu_request["deployments"][0]["engine_args"] = same
        assert _one(gpu_request)["memory"]["weights_bytes"] == 8 * GIB
    for other in ({"max-num-seqs": 8}, {"quantization": "fp8_per_tensor"}, {"enforce-eager": True}):
        gpu_request["deployments"][0]["engine_args"] = other
        assert _one(gpu_request)["memory"]["weights_bytes"] != 8 * GIB


def test_measured_figures_without_a_fingerprint_go_by_name_and_release(gpu_request: dict[str, Any]) -> None:
    gpu_request["measured"] = [{"deployment": "a", "vllm_version": "0.32.0", "weights_bytes": 9 * GIB}]
    assert _one(gpu_request)["memory"]["weights_bytes"] == 9 * GIB
    for change in ({"deployment": "b"}, {"vllm_version": "0.31.0"}, {"fingerprint": "0"}):
        gpu_request["measured"] = [{"deployment": "a", "vllm_version": "0.32.0", "weights_bytes": 9 * GIB, **change}]
        assert _one(gpu_request)["memory"]["weights_bytes"] != 9 * GIB


def test_only_layers_leave_the_card(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["engine_args"] = {"cpu-offload-gb": 1000, "max-model-len": 4096}
    instance = _one(gpu_request)
    config = gpu_request["deployments"][0]["model"]["config"]
    assert instance["memory"]["weights_bytes"] >= config["vocab_size"] * config["hidden_size"] * 2
    assert any(text.startswith("[plan.host_memory_unknown]") for text in instance["warnings"])
    gpu_request["deployments"][0]["engine_args"] = {"cpu-offload-gb": -1}
    assert plan(gpu_request)["errors"][0]["code"] == "plan.bad_engine_argument"
