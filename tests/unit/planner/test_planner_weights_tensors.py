"""Weights of one rank from the headers of a checkpoint: the same as from its config, which is compared with vLLM."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import PlanError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory import (
    weights,
    weights_config,
    weights_tensors,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import Gpu, Model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

DATA = Path(__file__).parent / "data"
CHECKPOINTS = {
    row["model"]: row["tensors"] for row in map(json.loads, (DATA / "checkpoints.jsonl").read_text().splitlines())
}
Headers = dict[str, tuple[str, tuple[int, ...]]]
_LINEAR = re.compile(r"layers\.\d+\..*(q|k|v|o|gate|up|down)_proj\.weight$")


def _config(name: str) -> dict[str, Any]:
    return json.loads((DATA / "models" / (name + ".json")).read_text())


def _plain(name: str) -> dict[str, Any]:
    config = _config(name)
    config.pop("quantization_config", None)
    return config


def _headers(name: str, dtype: str = "BF16") -> Headers:
    out: Headers = {}
    for pattern, shape, ranges in CHECKPOINTS[name]:
        for first, last in ranges:
            for index in range(first, last + 1):
                out[pattern.replace("#", str(index)) if index >= 0 else pattern] = (dtype, tuple(shape))
    return out


def _by_expert(headers: Headers) -> Headers:
    """Experts one by one, as checkpoints have them."""
    out: Headers = {}
    for name, (dtype, shape) in headers.items():
        if name.endswith(".experts.gate_up_proj"):
            for expert in range(shape[0]):
                for part in ("gate_proj", "up_proj"):
                    path = name.replace("experts.gate_up_proj", "experts.%d.%s.weight" % (expert, part))
                    out[path] = (dtype, (shape[1] // 2, shape[2]))
        elif name.endswith(".experts.down_proj"):
            for expert in range(shape[0]):
                path = name.replace("experts.down_proj", "experts.%d.down_proj.weight" % expert)
                out[path] = (dtype, shape[1:])
        else:
            out[name] = (dtype, shape)
    return out


def _tuple(headers: Headers) -> weights_tensors.Tensors:
    return tuple((name, dtype, shape) for name, (dtype, shape) in headers.items())


def _shape(**changes: Any) -> Shape:
    given: dict[str, Any] = {"version": (0, 32, 0), "tokens": 2048, "seqs": 256}
    return Shape(**{**given, **changes})


LAYOUTS = (
    {}, {"tensor": 2}, {"tensor": 4}, {"tensor": 8, "expert": True}, {"pipeline": 2}, {"tensor": 2, "pipeline": 4},
    {"tensor": 2, "data": 2, "expert": True},
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_headers_weigh_what_the_architecture_does(name: str) -> None:
    """Names of the classes of transformers; by tensor, expert, stage and replica."""
    model = read_model(_plain(name))
    tensors = _tuple(_headers(name))
    for layout in LAYOUTS:
        if model.heads % layout.get("tensor", 1):
            continue
        shape = _shape(**layout)
        for stage in range(shape.pipeline):
            got = weights_tensors.stage_bytes(tensors, model, shape, stage)
            assert got == pytest.approx(weights_config.stage_bytes(model, shape, stage), rel=2e-3), (layout, stage)


def test_experts_one_by_one_weigh_what_they_do_together() -> None:
    model = read_model(_plain("Qwen--Qwen3-30B-A3B"))
    together = _headers("Qwen--Qwen3-30B-A3B")
    apart = _by_expert(together)
    assert len(apart) > 18000
    for layout in LAYOUTS:
        shape = _shape(**layout)
        sizes = [weights_tensors.stage_bytes(_tuple(headers), model, shape) for headers in (together, apart)]
        assert sizes[0] == sizes[1]


def _fp8(headers: Headers) -> Headers:
    out: Headers = {}
    for name, (dtype, shape) in headers.items():
        if _LINEAR.search(name):
            out[name] = ("F8_E4M3", shape)
            out[name.replace(".weight", ".weight_scale_inv")] = ("F32", tuple(-(-size // 128) for size in shape))
        else:
            out[name] = (dtype, shape)
    return out


def _awq(headers: Headers) -> Headers:
    out: Headers = {}
    for name, (dtype, shape) in headers.items():
        if _LINEAR.search(name):
            rows, columns = shape
            out[name.replace(".weight", ".qweight")] = ("I32", (columns, rows // 8))
            out[name.replace(".weight", ".qzeros")] = ("I32", (columns // 128, rows // 8))
            out[name.replace(".weight", ".scales")] = ("F16", (columns // 128, rows))
        else:
            out[name] = (dtype, shape)
    return out


def _gptq(headers: Headers) -> Headers:
    out = _awq(headers)
    for name, (_dtype, shape) in list(out.items()):
        if name.endswith(".scales"):
            out[name.replace(".scales", ".g_idx")] = ("I32", (shape[0] * 128,))
    return out


def _nvfp4(headers: Headers) -> Headers:
    out: Headers = {}
    for name, (dtype, shape) in headers.items():
        if _LINEAR.search(name):
            out[name] = ("U8", (shape[0], shape[1] // 2))
            out[name.replace(".weight", ".weight_scale")] = ("F8_E4M3", (shape[0], shape[1] // 16))
            out[name.replace(".weight", ".weight_scale_2")] = ("F32", ())
            out[name.replace(".weight", ".input_scale")] = ("F32", ())
        else:
            out[name] = (dtype, shape)
    return out


_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
_GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
_NVFP4 = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}
_FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


@pytest.mark.parametrize(
    ("name", "section", "change"),
    [
        ("meta-llama--Meta-Llama-3.1-8B", _FP8, _fp8),
        ("Qwen--Qwen3-30B-A3B", _FP8, lambda headers: _fp8(_by_expert(headers))),
        ("meta-llama--Meta-Llama-3.1-8B", _AWQ, _awq),
        ("meta-llama--Meta-Llama-3.1-8B", _GPTQ, _gptq),
        ("Qwen--Qwen3-0.6B", _NVFP4, _nvfp4),
        ("Qwen--Qwen3-30B-A3B", _NVFP4, lambda headers: _nvfp4(_by_expert(headers))),
    ],
    ids=["fp8", "fp8-experts", "awq", "gptq", "nvfp4", "nvfp4-experts"],
)
def test_quantised_headers_weigh_what_the_config_says(name: str, section: dict[str, Any], change: Any) -> None:
    model = read_model({**_plain(name), "quantization_config": section})
    tensors = _tuple(change(_headers(name)))
    card = Gpu(index=0, name="card", usable_bytes=2**36, free_bytes=2**36, capability=(8, 0))
    for layout in ({}, {"tensor": 2}, {"tensor": 4, "expert": True}, {"pipeline": 2}, {"gpu": card}):
        shape = _shape(**layout)
        for stage in range(shape.pipeline):
            got = weights_tensors.stage_bytes(tensors, model, shape, stage)
            assert got == pytest.approx(weights_config.stage_bytes(model, shape, stage), rel=5e-3), layout


def test_mxfp4_headers_grow_with_the_padding_of_the_card() -> None:
    model = read_model(_config("openai--gpt-oss-20b"))
    headers: Headers = {}
    for name, (dtype, shape) in _headers("openai--gpt-oss-20b").items():
        if name.endswith((".gate_up_proj", ".down_proj")):
            total, inputs, outputs = shape
            headers[name + "_blocks"] = ("U8", (total, outputs, inputs // 32, 16))
            headers[name + "_scales"] = ("U8", (total, outputs, inputs // 32))
        else:
            headers[name] = (dtype, shape)
    for capability, expected in (((9, 0), 13.47), ((8, 0), 13.72)):
        card = Gpu(index=0, name="card", usable_bytes=2**36, free_bytes=2**36, capability=capability)
        got = weights_tensors.stage_bytes(_tuple(headers), model, _shape(gpu=card))
        assert got / 2**30 == pytest.approx(expected, rel=0.004)


def test_what_vllm_does_not_load_weighs_nothing() -> None:
    """A tied head, old tables of angles, drafts: layers beyond the last, and those called mtp."""
    name = "Qwen--Qwen3-0.6B"
    model = read_model(_plain(name))
    headers = _headers(name)
    before = weights_tensors.stage_bytes(_tuple(headers), model, _shape())
    headers["lm_head.weight"] = ("BF16", (151936, 1024))
    headers["model.layers.0.self_attn.rotary_emb.inv_freq"] = ("F32", (64,))
    headers["model.layers.28.mlp.up_proj.weight"] = ("BF16", (3072, 1024))
    headers["mtp.layers.0.mlp.up_proj.weight"] = ("BF16", (3072, 1024))
    assert weights_tensors.stage_bytes(_tuple(headers), model, _shape()) == before


def test_floats_are_cast_to_the_type_that_is_served() -> None:
    name = "Qwen--Qwen3-0.6B"
    model = read_model(_plain(name))
    half = weights_tensors.stage_bytes(_tuple(_headers(name)), model, _shape())
    assert weights_tensors.stage_bytes(_tuple(_headers(name, "F32")), model, _shape()) == half
    assert weights_tensors.stage_bytes(_tuple(_headers(name)), model, _shape(width=4)) == 2 * half


def test_online_quantisation_shrinks_the_linear_layers_of_the_headers() -> None:
    name = "meta-llama--Meta-Llama-3.1-8B"
    model = read_model(_plain(name))
    shape = _shape(quantization="fp8")
    got = weights_tensors.stage_bytes(_tuple(_headers(name)), model, shape)
    assert got == pytest.approx(weights_config.stage_bytes(model, shape), rel=1e-4)
    assert got / 2**30 == pytest.approx(8.49, abs=0.01)


def test_an_unknown_element_type_is_told_by_code() -> None:
    model = read_model(_plain("Qwen--Qwen3-0.6B"))
    request = Model(config={}, tensors=(("model.norm.weight", "F5_E9", (8,)),))
    with pytest.raises(PlanError) as caught:
        weights.stored(request, model, _shape())
    assert caught.value.code == "plan.unsupported_dtype"


def test_a_hundred_thousand_headers_take_less_than_a_third_of_a_second() -> None:
    model = read_model(_plain("Qwen--Qwen3-30B-A3B"))
    headers = _fp8(_by_expert(_headers("Qwen--Qwen3-30B-A3B")))
    tensors = _tuple(headers)
    rows = (tensors * (100_000 // len(tensors) + 1))[:100_000]
    best = 10.0
    for _attempt in range(5):
        weights_tensors._last.clear()
        start = time.process_time()
        weights_tensors.stage_bytes(rows, model, _shape(tensor=4))
        best = min(best, time.process_time() - start)
    assert best < 0.3
    start = time.process_time()
    for ranks in (1, 2, 4, 8):  # other layouts of the same checkpoint
        weights_tensors.stage_bytes(rows, model, _shape(tensor=ranks))
    assert time.process_time() - start < 0.03
