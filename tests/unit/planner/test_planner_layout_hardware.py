"""What runs where: drivers and builds, compute capability against types, quantisation and cache."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.layout.builds import build_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.layout.task import prepare
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import parse_request

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


@pytest.mark.parametrize(
    ("version", "build"),
    [
        ("0.8.5.post1", "cu124"),
        ("0.9.2", "cu128"),
        ("0.11.0", "cu128"),
        ("0.12.0", "cu129"),
        ("0.19.1", "cu129"),
        ("0.20.0", "cu130"),
        ("0.33.0", "cu130"),
    ],
)
def test_each_release_has_its_cuda(gpu_request: dict[str, Any], version: str, build: str) -> None:
    gpu_request["vllm_version"] = version
    request = parse_request(gpu_request)
    assert build_of(prepare(request, request.deployments[0])[0]).name == build


def test_an_old_driver_is_refused_with_what_would_do(gpu_request: dict[str, Any]) -> None:
    gpu_request["driver_version"] = "535.171.04"
    error = _error(gpu_request)
    assert error["code"] == "plan.driver_too_old"
    assert "needs driver 580 or newer, and this host has 535.171.04" in error["message"]
    assert "consumer card" in error["message"]
    assert "-cu129" in error["remedies"][1]
    assert "0.19.1" in error["remedies"][2]
    gpu_request["deployments"][0]["runtime"] = {"build": "cu129"}
    _one(gpu_request)
    gpu_request["deployments"][0]["runtime"] = {}
    gpu_request["vllm_version"] = "0.19.1"
    _one(gpu_request)
    gpu_request["driver_version"] = "470.256.02"
    assert _error(gpu_request)["code"] == "plan.driver_too_old"


def test_only_data_centre_cards_may_bring_a_newer_cuda(gpu_request: dict[str, Any]) -> None:
    gpu_request["driver_version"] = "570.86.15"
    docker = {"runtime": {"provider": "docker"}, "env": {"VLLM_ENABLE_CUDA_COMPATIBILITY": "1"}}
    gpu_request["deployments"][0].update(docker)
    assert _error(gpu_request)["code"] == "plan.driver_too_old"
    gpu_request["gpus"][0]["name"] = "NVIDIA L40S"
    assert any(text.startswith("[plan.driver_compatibility]") for text in _one(gpu_request)["warnings"])
    gpu_request["deployments"][0]["runtime"] = {"provider": "venv"}
    error = _error(gpu_request)
    assert "VLLM_ENABLE_CUDA_COMPATIBILITY" in error["remedies"][-1]


@pytest.mark.parametrize("driver", [None, "unknown", "580.95.05", "610.1"])
def test_an_unknown_driver_is_taken_as_it_is(gpu_request: dict[str, Any], driver: str | None) -> None:
    gpu_request["driver_version"] = driver
    _one(gpu_request)


def test_blackwell_needs_a_cuda_that_knows_it(gpu_request: dict[str, Any]) -> None:
    gpu_request["gpus"][0].update(name="NVIDIA GeForce RTX 5090", compute_capability="12.0")
    _one(gpu_request)
    gpu_request["vllm_version"] = "0.8.5.post1"
    assert _error(gpu_request)["code"] == "plan.capability_too_high"


@pytest.mark.parametrize(
    ("quantization", "capability", "version", "fits"),
    [
        ({"quant_method": "fp8", "activation_scheme": "dynamic"}, "7.5", "0.13.0", False),
        ({"quant_method": "fp8", "activation_scheme": "dynamic"}, "7.5", "0.32.0", True),
        ({"quant_method": "mxfp4"}, "7.5", "0.32.0", False),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "7.5", "0.32.0", True),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "7.0", "0.11.0", False),
        ({"quant_method": "fp_quant"}, "9.0", "0.32.0", False),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "8.9", "0.32.0", True),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "9.0", "0.8.5", False),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {
                        "weights": {"num_bits": 4, "type": "int", "group_size": 128},
                        "input_activations": {"num_bits": 8, "type": "float"},
                    }
                },
            },
            "8.9",
            "0.32.0",
            False,
        ),
    ],
)
def test_quantised_weights_need_a_card_that_computes_them(
    gpu_request: dict[str, Any], quantization: dict[str, Any], capability: str, version: str, fits: bool
) -> None:
    gpu_request["vllm_version"] = version
    gpu_request["gpus"][0]["compute_capability"] = capability
    model = gpu_request["deployments"][0]["model"]
    model["config"]["quantization_config"] = quantization
    model["weights_bytes"] = 3 * GIB
    if fits:
        _one(gpu_request)
    else:
        assert _error(gpu_request)["code"] == "plan.unsupported_quantization"


def test_fp8_on_a_plain_checkpoint_by_release(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["engine_args"] = {"quantization": "fp8"}
    error = _error(gpu_request)
    assert error["code"] in ("plan.unsupported_quantization", "plan.bad_engine_argument")
    assert any("fp8_per_tensor" in text for text in error["remedies"])
    gpu_request["vllm_version"] = "0.30.0"
    _one(gpu_request)


def test_turing_computes_in_float16_or_what_the_model_stands(gpu_request: dict[str, Any]) -> None:
    gpu_request["gpus"][0].update(name="Tesla T4", compute_capability="7.5")
    assert _one(gpu_request)["settings"]["dtype"] == "float16"
    model = gpu_request["deployments"][0]["model"]["config"]
    model.update(model_type="glm4", architectures=["Glm4ForCausalLM"])
    instance = _one(gpu_request)
    assert instance["settings"]["dtype"] == "float32"
    gpu_request["deployments"][0]["engine_args"] = {"dtype": "float16"}
    assert _error(gpu_request)["code"] == "plan.unsupported_dtype"


@pytest.mark.parametrize(
    ("dtype", "capability", "version", "fits"),
    [
        ("fp8", "9.0", "0.9.2", True),
        ("fp8", "8.9", "0.9.2", False),
        ("fp8", "8.0", "0.11.0", False),
        ("fp8", "8.6", "0.32.0", True),
        ("fp8_e5m2", "8.6", "0.32.0", True),
        ("nvfp4", "9.0", "0.32.0", False),
        ("nvfp4", "10.0", "0.32.0", True),
        ("fp8_ds_mla", "9.0", "0.32.0", False),
    ],
)
def test_the_cache_needs_kernels_too(
    gpu_request: dict[str, Any], dtype: str, capability: str, version: str, fits: bool
) -> None:
    gpu_request["vllm_version"] = version
    gpu_request["gpus"][0]["compute_capability"] = capability
    gpu_request["deployments"][0]["engine_args"] = {"kv-cache-dtype": dtype}
    if fits:
        _one(gpu_request)
    else:
        assert _error(gpu_request)["code"] == "plan.unsupported_kv_cache_dtype"


def test_an_explicit_block_size_is_honoured_with_a_warning(
    gpu_request: dict[str, Any], configs: dict[str, Any]
) -> None:
    config = copy.deepcopy(configs["synth-mla-0"])
    config.pop("quantization_config", None)
    gpu_request["gpus"][0].update(compute_capability="9.0", name="NVIDIA H100 80GB HBM3")
    gpu_request["deployments"][0]["model"] = {"config": config, "weights_bytes": 4 * GIB}
    gpu_request["deployments"][0]["engine_args"] = {"block-size": 16, "max-model-len": 4096}
    instance = _one(gpu_request)
    assert instance["kv"]["block_size"] == 16
    assert any(text.startswith("[plan.block_size_raised]") for text in instance["warnings"])


def test_the_card_that_suits_is_taken_among_different_ones(gpu_request: dict[str, Any]) -> None:
    old = {**gpu_request["gpus"][0], "index": 0, "uuid": "GPU-old", "name": "Tesla T4", "compute_capability": "7.5"}
    new = {**gpu_request["gpus"][0], "index": 1, "uuid": "GPU-new"}
    gpu_request["gpus"] = [old, new]
    gpu_request["deployments"][0]["engine_args"] = {"dtype": "bfloat16"}
    assert _one(gpu_request)["gpu_uuids"] == ["GPU-new"]


@pytest.mark.parametrize(
    ("capability", "arguments", "backend"),
    [
        ("7.5", {}, "TRITON_ATTN"),
        ("8.6", {}, "FLASH_ATTN"),
        ("8.9", {"kv-cache-dtype": "fp8"}, "FLASHINFER"),
        ("9.0", {"kv-cache-dtype": "fp8"}, "FLASH_ATTN"),
        ("10.0", {}, "FLASHINFER"),
        ("12.0", {}, "FLASH_ATTN"),
        ("8.0", {"dtype": "float32"}, "TRITON_ATTN"),
    ],
)
def test_attention_kernels_follow_card_and_types(
    gpu_request: dict[str, Any], capability: str, arguments: dict[str, Any], backend: str
) -> None:
    gpu_request["gpus"][0]["compute_capability"] = capability
    gpu_request["deployments"][0]["engine_args"] = arguments
    (entry,) = (entry for entry in _one(gpu_request)["decisions"] if entry["setting"] == "attention-backend")
    assert (entry["value"], entry["source"]) == (backend, "default")


@pytest.mark.parametrize(
    ("capability", "arguments"),
    [
        ("7.5", {"attention-backend": "FLASH_ATTN"}),
        ("8.9", {"attention-backend": "FLASHMLA"}),
        ("8.9", {"attention-backend": "FLASH_ATTN", "kv-cache-dtype": "fp8"}),
    ],
)
def test_kernels_that_the_card_has_not_are_refused(
    gpu_request: dict[str, Any], capability: str, arguments: dict[str, Any]
) -> None:
    gpu_request["gpus"][0]["compute_capability"] = capability
    gpu_request["deployments"][0]["engine_args"] = arguments
    assert _error(gpu_request)["code"] == "plan.unsupported_attention"


@pytest.mark.parametrize("name", ["deepseek-ai--DeepSeek-V3.2", "deepseek-ai--DeepSeek-V4-Flash"])
def test_sparse_latents_need_hopper(gpu_request: dict[str, Any], name: str) -> None:
    config = json.loads((MODELS / (name + ".json")).read_text())
    gpu_request["deployments"][0]["model"] = {"config": config, "weights_bytes": 8 * GIB}
    gpu_request["deployments"][0]["workload"] = {"max_model_len": 4096}
    gpu_request["gpus"][0].update(name="NVIDIA A100-SXM4-80GB", compute_capability="8.0")
    error = _error(gpu_request)
    assert error["code"] == "plan.unsupported_attention"
    assert "9 or 10 or 12" in error["message"]
