"""Quantisation as argument, as checkpoint and as release: what vLLM compares before it loads anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

CONFIGS = json.loads((Path(__file__).parent / "data" / "configs.json").read_text())
GIB = 2**30
CARDS = {"7.5": ("Tesla T4", 15), "8.0": ("NVIDIA A100-SXM4-80GB", 79), "9.0": ("NVIDIA H100 80GB HBM3", 79)}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True}


def _plan(
    version: str,
    quantization: dict[str, Any] | None = None,
    engine_args: dict[str, Any] | None = None,
    capability: str = "9.0",
    tensors: dict[str, Any] | None = None,
) -> str | None:
    """The code of the error, None where it is planned."""
    name, size = CARDS[capability]
    config = dict(CONFIGS["Qwen--Qwen3-4B"])
    if quantization is not None:
        config["quantization_config"] = quantization
    model: dict[str, Any] = {"config": config}
    if tensors is not None:
        model["tensors"] = tensors
    card = {"index": 0, "name": name, "memory_usable_bytes": size * GIB, "compute_capability": capability}
    answer = plan({
        "vllm_version": version,
        "gpus": [card],
        "deployments": [{"name": "a", "model": model, "engine_args": engine_args or {}}],
    })  # fmt: skip
    return answer["errors"][0]["code"] if answer["errors"] else None


REFUSED = "plan.unsupported_quantization"


@pytest.mark.parametrize("asked", ["awq", "gptq_marlin", "modelopt", "compressed-tensors"])
@pytest.mark.parametrize("version", ["0.8.5", "0.15.1", "0.32.0"])
def test_a_plain_checkpoint_is_not_called_quantised(version: str, asked: str) -> None:
    assert _plan(version, None, {"quantization": asked}) == REFUSED


def test_tensors_show_that_a_config_says_nothing_of_its_weights() -> None:
    tensors = {"model.layers.0.mlp.up_proj.qweight": {"dtype": "I32", "shape": [2560, 1216]}}
    assert _plan("0.32.0", None, {"quantization": "awq"}, tensors=tensors) is None


@pytest.mark.parametrize(
    ("checkpoint", "asked", "version", "code"),
    [
        (FP8, "awq", "0.32.0", REFUSED),
        (FP8, "gptq_marlin", "0.10.2", REFUSED),
        (FP8, "fp8_per_tensor", "0.32.0", REFUSED),
        (GPTQ, "awq", "0.32.0", REFUSED),
        (AWQ, "gptq", "0.9.2", REFUSED),
        (AWQ, "fp8", "0.20.2", REFUSED),
        (FP8, "fp8", "0.32.0", None),
        (AWQ, "awq_marlin", "0.10.2", None),
        (AWQ, "auto_awq", "0.32.0", None),
        (AWQ, "moe_wna16", "0.19.1", None),
        (GPTQ, "gptq_marlin", "0.32.0", None),
        (GPTQ, "gptq", "0.8.5", None),
    ],
)
def test_the_argument_is_compared_with_the_checkpoint(
    checkpoint: dict[str, Any], asked: str, version: str, code: str | None
) -> None:
    assert _plan(version, checkpoint, {"quantization": asked}) == code


@pytest.mark.parametrize(
    ("asked", "checkpoint", "version", "code"),
    [
        ("awq_marlin", AWQ, "0.10.2", REFUSED),
        ("awq_marlin", AWQ, "0.14.0", None),
        ("gptq_marlin", GPTQ, "0.13.0", REFUSED),
        ("gptq_marlin", GPTQ, "0.22.0", None),
        (None, AWQ, "0.10.2", None),
    ],
)
def test_marlin_by_name_wants_a_newer_card_than_the_checkpoint(
    asked: str | None, checkpoint: dict[str, Any], version: str, code: str | None
) -> None:
    assert _plan(version, checkpoint, {"quantization": asked} if asked else {}, "7.5") == code


@pytest.mark.parametrize(
    ("checkpoint", "version", "code"),
    [
        (BNB, "0.27.0", None),
        (BNB, "0.28.0", REFUSED),
        (BNB, "0.32.0", REFUSED),
        ({**AWQ, "bits": 3}, "0.9.2", REFUSED),
        ({**AWQ, "bits": 8}, "0.11.2", None),
        ({**AWQ, "bits": 8}, "0.12.0", REFUSED),
        ({**GPTQ, "bits": 3}, "0.22.0", REFUSED),
        ({**GPTQ, "bits": 8}, "0.32.0", None),
        ({**GPTQ, "sym": False}, "0.32.0", REFUSED),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128}, "0.8.5", REFUSED),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128}, "0.15.0", None),
    ],
)
def test_a_release_loads_only_what_it_knows(checkpoint: dict[str, Any], version: str, code: str | None) -> None:
    assert _plan(version, checkpoint) == code


@pytest.mark.parametrize(
    ("checkpoint", "dtype", "version", "code"),
    [
        (FP8, "float32", "0.32.0", "plan.unsupported_dtype"),
        (AWQ, "float32", "0.10.2", "plan.unsupported_dtype"),
        (BNB, "float32", "0.20.2", None),
        (FP8, "float16", "0.32.0", None),
        (AWQ, "bfloat16", "0.32.0", None),
        (AWQ, "bfloat16", "0.10.2", None),
        ({**GPTQ, "sym": False}, "bfloat16", "0.10.2", "plan.unsupported_dtype"),
        ({**GPTQ, "sym": False}, "float16", "0.10.2", None),
        ({**GPTQ, "sym": False}, "auto", "0.10.2", None),
    ],
)
def test_a_method_computes_in_its_own_types(
    checkpoint: dict[str, Any], dtype: str, version: str, code: str | None
) -> None:
    assert _plan(version, checkpoint, {"dtype": dtype}) == code


@pytest.mark.parametrize("version", ["0.11.2", "0.19.1", "0.32.0"])
def test_fp8_checkpoints_bring_scales_that_fp8_e5m2_has_not(version: str) -> None:
    asked = {"kv-cache-dtype": "fp8_e5m2"}
    assert _plan(version, FP8, asked) == "plan.unsupported_kv_cache_dtype"
    assert _plan(version, None, asked) is None
    assert _plan(version, AWQ, asked) is None


@pytest.mark.parametrize(
    ("size", "version", "code"),
    [
        (7, "0.32.0", "plan.bad_engine_argument"),
        (24, "0.26.0", "plan.bad_engine_argument"),
        (48, "0.32.0", None),
        (8, "0.15.1", None),
        (8, "0.10.2", "plan.bad_engine_argument"),
        (32, "0.10.2", None),
    ],
)
def test_blocks_are_what_the_kernels_take(size: int, version: str, code: str | None) -> None:
    assert _plan(version, None, {"block-size": size}) == code
