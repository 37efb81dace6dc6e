"""Reading config.json: every model of the data is read, or refused by name; nonsense is told in one sentence."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest, PlanError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.kv import cache as kv_cache
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import ModelInfo, read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.known import KNOWN
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

MODELS = Path(__file__).parent / "data" / "models"
SHAPE = Shape((0, 32, 0), 2048, 256, block_size=16)
# vLLM itself has no class for these (0.33 included), so no plan may say that they fit.
REFUSED = {
    "MiniMaxAI--MiniMax-M3": "MiniMaxM3ForCausalLM",
    "sgl-project--DeepSeek-V4-Flash-FP8": "deepseek_ref",
    "sgl-project--DeepSeek-V4-Pro-FP8": "deepseek_ref",
    "stepfun-ai--Step-3.7-Flash": "Step3p7FlashForCausalLM",
    "stepfun-ai--Step-3.7-Flash-FP8": "Step3p7FlashForCausalLM",
}


def _config(name: str) -> dict[str, Any]:
    return json.loads((MODELS / (name + ".json")).read_text())


def _info(name: str) -> ModelInfo:
    return read_model(_config(name))


def _kinds(info: ModelInfo) -> dict[str, int]:
    return dict(Counter(layer.kind for layer in info.layers))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.json")), ids=lambda path: path.stem)
def test_every_model_has_a_cache_or_a_refusal_by_name(path: Path) -> None:
    if path.stem in REFUSED:
        with pytest.raises(PlanError) as caught:
            read_model(json.loads(path.read_text()))
        assert caught.value.code == "plan.unsupported_model"
        assert REFUSED[path.stem] in str(caught.value)
        return
    info = read_model(json.loads(path.read_text()))
    kv = kv_cache.layout(info, SHAPE)
    assert kv.groups and kv.block_bytes > 0 and kv.token_bytes > 0
    assert info.max_model_len and info.vocab and info.hidden


def test_there_are_92_configs() -> None:
    assert len(list(MODELS.glob("*.json"))) == 92


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("Qwen--Qwen3.5-27B", {"gdn": 48, "full": 16}),
        ("moonshotai--Kimi-K3", {"kda": 69, "mla": 24}),
        ("nvidia--Nemotron-H-56B-Base-8K", {"mamba2": 54, "none": 54, "full": 10}),
        ("nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", {"mamba2": 23, "none": 23, "full": 6}),
        ("XiaomiMiMo--MiMo-V2-Flash", {"sliding": 39, "full": 9}),
        ("google--gemma-4-26B-A4B", {"sliding": 25, "full": 5}),
        ("meta-llama--Llama-4-Scout-17B-16E-Instruct", {"chunked": 36, "full": 12}),
        ("nvidia--Llama-3_3-Nemotron-Super-49B-v1", {"full": 49, "none": 31}),
        ("zai-org--GLM-5.2", {"mla": 78}),
        ("openai--gpt-oss-20b", {"sliding": 12, "full": 12}),
        ("Qwen--Qwen3-VL-4B-Instruct", {"full": 36}),
    ],
)
def test_layers_are_of_these_kinds(name: str, kinds: dict[str, int]) -> None:
    assert _kinds(_info(name)) == kinds


def test_widths_differ_by_layer() -> None:
    nas = _info("nvidia--Llama-3_3-Nemotron-Super-49B-v1")
    assert {layer.intermediate for layer in nas.layers} == {2816, 5632, 7168, 14336, 17920, 28672}
    mimo = _info("XiaomiMiMo--MiMo-V2-Flash")
    assert {(layer.kv_heads, layer.head_size, layer.head_size_v) for layer in mimo.layers} == {
        (4, 192, 128),
        (8, 192, 128),
    }
    gemma = _info("google--gemma-4-26B-A4B")
    assert {(layer.kind, layer.kv_heads, layer.head_size) for layer in gemma.layers} == {
        ("sliding", 8, 256),
        ("full", 2, 512),
    }
    assert gemma.layers[-1].kind == "full"


def test_indexers_are_shared_between_layers() -> None:
    glm = _info("zai-org--GLM-5.2")
    assert sum(1 for layer in glm.layers if layer.extra) == 21
    assert sum(1 for layer in _info("zai-org--GLM-5").layers if layer.extra) == 78
    assert glm.indexer is not None and glm.indexer.head_dim == 128


def test_experts_are_where_the_config_puts_them() -> None:
    assert (
        _info("deepseek-ai--DeepSeek-V3").moe_layers,
        _info("meta-llama--Llama-4-Maverick-17B-128E-Instruct").moe_layers,
    ) == (58, 24)
    assert _info("nvidia--NVIDIA-Nemotron-3-Super-120B-A12B-FP8").moe_latent == 1024


def test_a_wrapper_keeps_its_language_model_apart() -> None:
    info = _info("Qwen--Qwen3-VL-30B-A3B-Instruct")
    assert (info.wrapper, info.family, info.architecture) == (
        "qwen3_vl_moe", "qwen3_vl_moe_text", "Qwen3VLMoeForConditionalGeneration",
    )  # fmt: skip
    assert "vision_config" in info.outer and info.multimodal and not info.pooling


@pytest.mark.parametrize(
    ("config", "kinds", "widths"),
    [
        ({"model_type": "gpt2", "n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257},
         {"full": 12}, (12, 64)),
        ({"model_type": "falcon", "num_hidden_layers": 32, "num_attention_heads": 71, "hidden_size": 4544,
          "multi_query": True, "vocab_size": 65024}, {"full": 32}, (1, 64)),
        ({"model_type": "gemma2", "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4,
          "head_dim": 256, "hidden_size": 2304, "sliding_window": 4096, "vocab_size": 256000},
         {"sliding": 2, "full": 2}, (4, 256)),
        ({"model_type": "jamba", "num_hidden_layers": 8, "num_attention_heads": 32, "num_key_value_heads": 8,
          "hidden_size": 4096, "attn_layer_period": 8, "attn_layer_offset": 4, "mamba_d_state": 16, "mamba_expand": 2,
          "vocab_size": 65536}, {"mamba1": 7, "full": 1}, (8, 128)),
        ({"model_type": "falcon_h1", "num_hidden_layers": 3, "num_attention_heads": 12, "num_key_value_heads": 2,
          "head_dim": 128, "hidden_size": 3072, "mamba_n_heads": 32, "mamba_d_head": 128, "mamba_d_state": 256,
          "mamba_d_ssm": 4096, "vocab_size": 130049}, {"full": 3}, (2, 128)),
        ({"model_type": "llava", "text_config": {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 4096,
          "num_attention_heads": 32, "vocab_size": 32064}, "vision_config": {}}, {"full": 2}, (32, 128)),
        ({"model_type": "mamba2", "num_hidden_layers": 4, "hidden_size": 2560, "num_heads": 80, "head_dim": 64,
          "state_size": 128, "n_groups": 1, "vocab_size": 50288}, {"mamba2": 4}, (0, 0)),
        ({"model_type": "lfm2", "num_hidden_layers": 4, "num_attention_heads": 32, "num_key_value_heads": 8,
          "hidden_size": 2048, "layer_types": ["conv", "conv", "full_attention", "conv"], "conv_L_cache": 3,
          "vocab_size": 65536}, {"conv": 3, "full": 1}, (8, 64)),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) and "model_type" in value else "",
)  # fmt: skip
def test_older_and_smaller_families(config: dict[str, Any], kinds: dict[str, int], widths: tuple[int, int]) -> None:
    info = read_model({"architectures": ["X"], **config})
    assert _kinds(info) == kinds
    assert (info.kv_heads, info.head_dim) == widths
    kv = kv_cache.layout(info, SHAPE)
    assert kv_cache.request_blocks(kv, 2048, SHAPE) > 0


def test_layers_that_read_the_cache_of_others_keep_none() -> None:
    text = _config("google--gemma-4-26B-A4B")["text_config"]
    info = read_model({**text, "num_kv_shared_layers": 10, "architectures": ["Gemma4ForCausalLM"]})
    assert sum(1 for layer in info.layers if layer.shares_kv) == 10
    assert sum(group.layers for group in kv_cache.layout(info, SHAPE).groups) == 20


@pytest.mark.parametrize("family", ["rwkv", "t5", "mllama", "deepseek_v41", "unheard-of"])
def test_an_unknown_family_is_refused_with_a_reason(family: str) -> None:
    with pytest.raises(PlanError, match=family) as caught:
        read_model({"model_type": family, "architectures": ["X"]})
    assert caught.value.code == "plan.unsupported_model"
    assert family not in KNOWN


YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}


@pytest.mark.parametrize(
    ("change", "version", "length"),
    [
        ({}, (), 4096), ({"n_positions": 1024}, (), 1024), ({"model_max_length": 8192}, (), 8192),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, (), 8192),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, (), 4096),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 32.0}}, (), 4096),
        ({"rope_parameters": {"full_attention": {"rope_type": "dynamic", "factor": 4.0}}}, (), 16384),
        ({"rope_scaling": YARN}, (0, 29, 0), 16384), ({"rope_scaling": YARN}, (0, 30, 0), 4096),
        ({"rope_scaling": {**YARN, "original_max_position_embeddings": 1024}}, (0, 29, 0), 4096),
        ({"rope_scaling": {"type": "linear", "factor": float("nan")}}, (), 4096),
        ({"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, (), 4096),
    ],
)  # fmt: skip
def test_the_longest_context_is_the_releases(change: dict[str, Any], version: tuple[int, ...], length: int) -> None:
    assert read_model({**BASE, "max_position_embeddings": 4096, **change}, version).max_model_len == length


BASE = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "hidden_size": 64,
    "num_attention_heads": 4, "vocab_size": 128,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**6}, {"num_hidden_layers": "32"}, {"num_hidden_layers": -1},
        {"num_hidden_layers": True}, {"num_hidden_layers": float("nan")}, {"num_hidden_layers": None},
        {"hidden_size": 0}, {"hidden_size": 10**30}, {"num_attention_heads": 0}, {"num_attention_heads": [4]},
        {"num_key_value_heads": -8}, {"vocab_size": {}}, {"model_type": None}, {"model_type": 7},
        {"architectures": "LlamaForCausalLM"}, {"architectures": [None]}, {"torch_dtype": "complex64"},
        {"torch_dtype": 16}, {"tie_word_embeddings": "yes"}, {"max_position_embeddings": "8k"},
        {"model_type": "qwen3_5_text", "layer_types": ["full_attention"]},
        {"model_type": "qwen3_5_text", "layer_types": ["linear_attention", 5]},
        {"model_type": "nemotron_h", "hybrid_override_pattern": "M?"},
        {"model_type": "nemotron_h", "hybrid_override_pattern": "M"},
        {"model_type": "nemotron_h"}, {"model_type": "nemotron-nas", "block_configs": [{}]},
        {"model_type": "nemotron-nas", "block_configs": [1, 2]}, {"model_type": "kimi_linear"},
        {"model_type": "kimi_linear", "linear_attn_config": []}, {"model_type": "deepseek_v3", "kv_lora_rank": "512"},
        {"model_type": "deepseek_v4", "compress_ratios": [4]}, {"model_type": "mimo_v2", "hybrid_layer_pattern": [0]},
        {"model_type": "jamba", "attn_layer_period": 0}, {"model_type": "qwen3_moe", "num_experts": "128"},
        {"model_type": "qwen3_moe", "num_experts": 8, "mlp_only_layers": "all"},
        {"model_type": "step3p5", "num_experts": 8, "moe_layers_enum": "a,b"},
        {"model_type": "gemma2", "sliding_window": 10**30},
    ],
    ids=str,
)  # fmt: skip
def test_nonsense_is_told_in_one_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_model({**BASE, **change})
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300


def test_a_config_within_itself_ends() -> None:
    config: dict[str, Any] = dict(BASE)
    config["text_config"] = config
    assert read_model(config).family == "llama"


def test_the_most_layers_are_read_in_time() -> None:
    info = read_model({**BASE, "num_hidden_layers": 4096})
    assert kv_cache.layout(info, SHAPE).groups[0].layers == 4096
