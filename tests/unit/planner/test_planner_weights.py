"""Weights of one rank from config.json alone: what vLLM's own classes make, and what start-up logs said."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest, PlanError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory import weights, weights_config
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.weights_latent import absorbed_bytes
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import ModelInfo, read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.towers import towers
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import Gpu, Model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

DATA = Path(__file__).parent / "data"
GIB = 2**30
ROWS = [json.loads(line) for line in (DATA / "weights_oracle_0_32.jsonl").read_text().splitlines()]
LOGS = json.loads((DATA / "weights_logs.json").read_text())

# Rows that differ, and why.
_DIFFER = {
    # Its quantization_config has no quant_method: vLLM 0.32 makes plain layers, which its FP8 tensors do not fit.
    "Qwen--Qwen3-32B-FP8-Static-PerTensor": "no quant_method",
    # Slices of an expert that cut a tile or a group: a card's kernels refuse them, vLLM's classes round the scales up.
    "MiniMaxAI--MiniMax-M2.5": "tp 8",
    "MiniMaxAI--MiniMax-M2.7": "tp 8",
    "Qwen--Qwen3-235B-A22B-FP8": "tp 8",
    "Qwen--Qwen3-30B-A3B-FP8": "tp 8",
    "nvidia--Gemma-4-26B-A4B-NVFP4": "tp 8",
}


def _config(name: str, quantized: bool = True) -> dict[str, Any]:
    config = json.loads((DATA / "models" / (name + ".json")).read_text())
    if not quantized:
        for part in (config, config.get("text_config") or {}):
            part.pop("quantization_config", None)
            part.pop("compression_config", None)
    return config


def _shape(**changes: Any) -> Shape:
    given: dict[str, Any] = {"version": (0, 32, 0), "tokens": 2048, "seqs": 256}
    return Shape(**{**given, **changes})


def _gpu(capability: tuple[int, int] | None) -> Gpu:
    return Gpu(index=0, name="card", usable_bytes=80 * GIB, free_bytes=80 * GIB, capability=capability)


def _expected(row: dict[str, Any], model: ModelInfo, shape: Shape) -> int:
    """Parameters and buffers, and what loading adds to each layer with a latent."""
    stage = weights_config.stage_layers(len(model.layers), shape.pipeline, row.get("stage", 0))
    latent = sum(1 for index in stage if model.layers[index].kind == "mla")
    return int(row["bytes"] + row["buffers"] + latent * absorbed_bytes(model, shape.tensor, 2))


def _differs(row: dict[str, Any]) -> bool:
    why = _DIFFER.get(row["model"])
    if why is None or not row["quantized"]:
        return False
    return why != "tp 8" or (row.get("tp") == 8 and not row.get("ep"))


@pytest.mark.parametrize("layout", ["plain", "quantized", "tp2", "tp8", "ep8", "stage0", "stage1"])
def test_every_model_weighs_what_vllm_makes(layout: str) -> None:
    """Within 0.05 %: what is left are single numbers (scales of the cache and of inputs)."""
    checked = 0
    for row in ROWS:
        if _layout(row) != layout or _differs(row):
            continue
        model = read_model(_config(row["model"], row["quantized"]))
        shape = _shape(tensor=row.get("tp", 1), pipeline=row.get("pp", 1), expert=row.get("ep", False))
        expected = _expected(row, model, shape)
        assert weights_config.stage_bytes(model, shape, row.get("stage", 0)) == pytest.approx(expected, rel=5e-4), row
        checked += 1
    assert checked >= 60


def _layout(row: dict[str, Any]) -> str:
    if not row["quantized"]:
        return "plain"
    if row.get("pp", 1) > 1:
        return "stage%d" % row["stage"]
    if row.get("ep"):
        return "ep8"
    return "quantized" if row.get("tp", 1) == 1 else "tp%d" % row["tp"]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: "%s-%s-tp%s" % (log["model"], log["vllm_version"], log["tp"]))
def test_start_logs_said_the_same(log: dict[str, Any]) -> None:
    """``Model loading took`` of real starts, within 1 %: kernels' formats, the allocator's slack, tables included."""
    capability = tuple(log["capability"]) if log["capability"] else None
    options = dict(log.get("shape", {}))
    shape = _shape(
        version=tuple(log["vllm_version"]), tensor=log["tp"], pipeline=log["pp"],
        gpu=_gpu(capability), **options,
    )  # fmt: skip
    config = log["config"] if "config" in log else {**_config(log["file"]), **log.get("override", {})}
    got = weights_config.stage_bytes(read_model(config), shape, 0) / GIB
    assert got == pytest.approx(log["weights_gib"], rel=log.get("within", 0.01)), log["source"]


def test_online_quantisation_leaves_embeddings_and_norms_alone() -> None:
    """8.49 for 14.99 GiB (Llama 3.1 8B), as the log of 0.19 says."""
    model = read_model(_config("meta-llama--Meta-Llama-3.1-8B"))
    plain = weights_config.stage_bytes(model, _shape())
    for name in ("fp8", "fp8_per_tensor", "fp8_per_channel"):
        shrunk = weights_config.stage_bytes(model, _shape(quantization=name))
        assert shrunk / GIB == pytest.approx(8.49, abs=0.01)
        assert plain / GIB == pytest.approx(14.99, abs=0.005)
    four = weights_config.stage_bytes(model, _shape(quantization="mxfp4"))
    kept = 2 * 128256 * 4096 * 2
    assert four - kept == pytest.approx((plain - kept) * 4.25 / 16, rel=0.02)


def test_a_quantised_checkpoint_is_not_quantised_again() -> None:
    model = read_model(_config("Qwen--Qwen3-32B-FP8"))
    assert weights_config.stage_bytes(model, _shape(quantization="fp8")) == weights_config.stage_bytes(model, _shape())


def test_hopper_ada_and_blackwell_pad_mxfp4_in_their_own_ways() -> None:
    """13.47 GiB on an H100 and 13.72 on an A100, for one checkpoint of 12.85."""
    model = read_model(_config("openai--gpt-oss-20b"))
    sizes = {
        capability: weights_config.stage_bytes(model, _shape(version=(0, 19, 0), gpu=_gpu(capability))) / GIB
        for capability in ((9, 0), (8, 0))
    }
    assert sizes[(9, 0)] == pytest.approx(13.47, rel=0.003)
    assert sizes[(8, 0)] == pytest.approx(13.72, rel=0.003)


def test_cards_without_fp8_units_keep_a_scale_for_each_output() -> None:
    model = read_model(_config("Qwen--Qwen3-32B-FP8"))
    native = weights_config.stage_bytes(model, _shape(gpu=_gpu((9, 0))))
    marlin = weights_config.stage_bytes(model, _shape(gpu=_gpu((8, 6))))
    assert 1.01 < marlin / native < 1.02


def test_slack_is_the_allocators_and_not_the_hosts() -> None:
    """Matrices of 259 and 129.5 MiB take 260 and 130 on a card; a rest of more than 1 MiB serves others."""
    config = {
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "torch_dtype": "bfloat16",
        "num_hidden_layers": 28,
        "hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944,
        "vocab_size": 152064, "max_position_embeddings": 32768, "tie_word_embeddings": False,
    }  # fmt: skip
    model = read_model(config)
    exact, slack = weights_config.stage_sizes(model, _shape(gpu=_gpu((9, 0))))
    assert slack == 28 * 2 * 2**20 + 2**20
    assert weights_config.stage_sizes(model, _shape()) == (exact, 0)
    assert (exact + slack) / GIB == pytest.approx(14.25, abs=0.005)


def test_layers_that_guess_ahead_are_charged_to_the_last_stage() -> None:
    """18.12 instead of 17.66 GiB was read where Qwen3.5 9B guessed with its own layer; so here its larger sister."""
    model = read_model(_config("Qwen--Qwen3.5-27B"))
    guess = {"speculative-config": {"method": "mtp", "num_speculative_tokens": 2}}
    two = _shape(pipeline=2)
    with_draft = _shape(pipeline=2, engine_args=guess)
    assert weights_config.stage_bytes(model, with_draft, 0) == weights_config.stage_bytes(model, two, 0)
    added = weights_config.stage_bytes(model, with_draft, 1) - weights_config.stage_bytes(model, two, 1)
    hidden, inner = 5120, 17408
    queries, keys = 24 * 256 * 2, 2 * 4 * 256
    layer = hidden * (queries + keys + 24 * 256) + 3 * hidden * inner
    assert added == pytest.approx(2 * (layer + 2 * hidden * hidden), rel=0.001)


def test_towers_stand_on_every_stage_and_data_mode_keeps_them_whole() -> None:
    model = read_model(_config("Qwen--Qwen3-VL-8B-Instruct"))
    (tower,) = towers(model)
    assert tower.layers == 27
    assert 2 * (tower.matrices + tower.whole) == 1153366496  # what vLLM makes, its table of angles included
    shared = weights_config.stage_bytes(model, _shape(tensor=4))
    whole = weights_config.stage_bytes(model, _shape(tensor=4, engine_args={"mm-encoder-tp-mode": "data"}))
    assert whole - shared == 2 * (tower.matrices - tower.matrices // 4)


def test_bytes_of_a_request_are_those_of_all_ranks() -> None:
    model = read_model(_config("meta-llama--Meta-Llama-3.1-8B"))
    request = Model(config={}, weights_bytes=16_127_602_196)
    shape = _shape(tensor=2)
    given = weights.stored(request, model, shape)
    assert given.origin == "weights_bytes"
    assert given.total == 16_127_602_196
    assert weights.rank_bytes(given, model, shape) == 16_127_602_196 // 2
    staged = _shape(pipeline=4)
    sizes = weights.stored(request, model, staged).stages
    assert sum(sizes) == pytest.approx(16_127_602_196, abs=4)
    assert sizes[0] > sizes[1] == sizes[2]


def test_replicas_hold_the_dense_part_each() -> None:
    """A figure of the request is of one copy of the model: replicas do not halve it, but share the experts."""
    dense = read_model(_config("meta-llama--Meta-Llama-3.1-8B"))
    request = Model(config={}, weights_bytes=16 * 10**9)
    assert weights.stored(request, dense, _shape(data=2)).stages == weights.stored(request, dense, _shape()).stages
    sparse = read_model(_config("Qwen--Qwen3-30B-A3B"))
    halved = weights.stored(request, sparse, _shape(data=2, expert=True)).stages[0]
    assert 8 * 10**9 < halved < 9 * 10**9


def test_an_unknown_quantisation_is_told_by_code() -> None:
    config = _config("Qwen--Qwen3-8B")
    config["quantization_config"] = {"quant_method": "somethingnew", "bits": 3}
    model = read_model(config)
    with pytest.raises(PlanError) as caught:
        weights.stored(Model(config=config), model, _shape())
    assert caught.value.code == "plan.weights_unknown"
    assert "somethingnew" in str(caught.value)
    given = weights.stored(Model(config=config, weights_bytes=5 * 10**9), model, _shape())
    assert given.total == 5 * 10**9


@pytest.mark.parametrize(
    "section",
    [
        {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 4, "type": 1}}}},
        {"quant_method": "compressed-tensors", "config_groups": [1, 2], "ignore": "lm_head"},
        {"quant_method": "fp8", "weight_block_size": [0, 128]},
        {"quant_method": "fp8", "modules_to_not_convert": ["re:(((", 5, None, ""]},
        {"quant_method": "gptq", "bits": 4, "group_size": -1, "dynamic": {"-:(": {}}},
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {"layers.x": 3}},
        {"quant_method": 7},
    ],
)  # fmt: skip
def test_odd_quantisation_sections_neither_crash_nor_weigh_nothing(section: dict[str, Any]) -> None:
    config = {**_config("Qwen--Qwen3-8B"), "quantization_config": section}
    model = read_model(config)
    try:
        size = weights.stored(Model(config=config), model, _shape()).total
    except PlanError as error:
        assert error.code == "plan.weights_unknown"
    else:
        assert size > 3 * 10**9


def test_ignored_modules_are_matched_as_each_method_writes_them() -> None:
    """Plain names, wildcards, regular expressions, and parts of names."""
    base = _config("Qwen--Qwen3-8B")
    plain = weights_config.stage_bytes(read_model(base), _shape())
    attention = 36 * (4096 * 6144 + 4096 * 4096)

    def weigh(**section: Any) -> int:
        return weights_config.stage_bytes(read_model({**copy.deepcopy(base), "quantization_config": section}), _shape())

    every = weigh(quant_method="fp8", activation_scheme="dynamic")
    linear = attention + 36 * 3 * 4096 * 12288
    assert plain - every == pytest.approx(linear, rel=1e-4)
    names = ["model.layers.%d.self_attn.%s_proj" % (layer, name) for layer in range(36) for name in "qkvo"]
    wild = ["model.layers.%d.self_attn*" % layer for layer in range(36)]
    for section in (
        {"quant_method": "fp8", "modules_to_not_convert": names},
        {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": wild},
        {
            "quant_method": "compressed-tensors",
            "ignore": ["lm_head", "re:.*self_attn.*"],
            "config_groups": {
                "a": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "tensor"}}
            },
        },
    ):
        assert weigh(**section) - every == pytest.approx(attention, rel=1e-3), section["quant_method"]
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
    kept = weigh(**awq, modules_to_not_convert=["self_attn"]) - weigh(**awq)
    assert kept == pytest.approx(attention * (2 - 0.5 - 2.5 / 128), rel=1e-3)


def test_an_engine_is_weighed_in_well_under_two_milliseconds() -> None:
    """Lists of what is not quantised included; the best of five, as others share the core."""
    slow = []
    for path in sorted((DATA / "models").glob("*.json")):
        try:
            model = read_model(json.loads(path.read_text()))
        except PlanError:
            continue
        best = 1.0
        for _attempt in range(5):
            weights_config._last.clear()
            start = time.process_time()
            weights_config.stage_bytes(model, _shape(tensor=4))
            best = min(best, time.process_time() - start)
        slow.append((best, path.stem))
    slow.sort()
    assert slow[len(slow) // 2][0] < 0.002
    assert slow[-1][0] < 0.03, slow[-1]


@pytest.mark.parametrize(
    ("given", "doubted"),
    [
        ({"weights_bytes": 1}, True),
        ({"tensors": {"x": {"dtype": "BF16", "shape": [0]}}}, True),
        ({"weights_bytes": 3 * 2**30}, False),  # four bits, and the config does not say so
        ({}, False),
    ],
)
def test_a_part_of_a_checkpoint_is_doubted(gpu_request: dict[str, Any], given: dict[str, Any], doubted: bool) -> None:
    gpu_request["deployments"][0]["model"].update(given)
    answer = plan(gpu_request)
    assert answer["errors"] == []
    warnings = answer["instances"][0]["warnings"]
    assert any(text.startswith("[plan.weights_differ]") for text in warnings) is doubted


def test_a_tensor_larger_than_any_disk_is_no_request(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["model"]["tensors"] = {"x": {"dtype": "BF16", "shape": [2**40] * 16}}
    with pytest.raises(InvalidRequest, match="elements"):
        plan(gpu_request)
