# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The linear layers and vectors that vLLM makes for one layer of a decoder, from the architecture alone."""

from __future__ import annotations

from typing import Union

from ..model.info import ModelInfo
from ..model.layers import Layer
from ..model.reading import flag, number
from .weights_formats import Experts, Part, vector
from .weights_latent import compressed, latent
from .weights_state import state_parts

Parts = list[Union[Part, Experts]]

# Queries and keys are normed over all heads together rather than head by head.
_WHOLE_NORM = frozenset(("olmo2", "olmo3", "olmoe", "minimax_m2", "flex_olmo"))
_HEAD_NORM = frozenset((
    "qwen3", "qwen3_moe", "gemma3_text", "exaone4", "exaone_moe", "qwen3_vl_text", "qwen3_vl_moe_text", "gemma4_text",
    "gemma3n_text", "qwen3_5_text", "qwen3_5", "qwen3_5_moe_text", "qwen3_5_moe", "qwen3_next", "step3p5", "step3p7",
    "minimax_m3", "minimax_m3_text", "apertus", "lfm2", "lfm2_moe", "hy_v3", "dots1", "qwen3_omni_moe_text", "afmoe",
))  # fmt: skip
_FOUR_NORMS = frozenset(("gemma2", "gemma3_text", "glm4", "gemma4_text", "gemma3n_text", "afmoe"))
_ONE_NORM = frozenset(("cohere", "cohere2", "cohere2_moe", "phi", "gptj", "gpt_j"))
# The norms of these have a bias too.
_NORM_BIAS = frozenset((
    "starcoder2", "gpt2", "gpt_bigcode", "gpt_neox", "opt", "bloom", "falcon", "phi", "gptj", "gpt_j", "stablelm",
    "nemotron", "persimmon", "phimoe", "orion", "whisper",
))  # fmt: skip
_NO_NORM_WEIGHT = frozenset(("olmo",))
# One matrix up and one down, without a gate.
_UNGATED = frozenset((
    "starcoder2", "gpt2", "gpt_bigcode", "gpt_neox", "opt", "bloom", "falcon", "phi", "gptj", "gpt_j", "nemotron",
    "persimmon", "apertus", "arcee", "nemotron_h", "whisper",
))  # fmt: skip
_QKV_BIAS = frozenset((
    "qwen2", "qwen2_moe", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni_text", "chatglm", "gpt2", "gpt_bigcode",
    "gpt_neox", "opt", "bloom", "starcoder2", "phi", "gpt_oss", "whisper", "glm4v_text", "persimmon",
))  # fmt: skip
_O_BIAS = frozenset((
    "gpt2", "gpt_bigcode", "gpt_neox", "opt", "bloom", "starcoder2", "phi", "gpt_oss", "whisper", "persimmon",
))  # fmt: skip
_MLP_BIAS = _O_BIAS - {"gpt_oss"} | {"gptj", "gpt_j"}
_BLOCK_SPARSE = frozenset(("mixtral", "minimax_m2", "minimax_m3", "minimax_m3_text", "phimoe", "granitemoe"))
FLOAT_ROUTERS = frozenset(("minimax_m2", "minimax_m3", "minimax_m3_text", "mimo_v2_flash", "mimo_v2", "nemotron_h",
                           "glm4_moe"))  # fmt: skip


# vLLM makes the embedding and the head of these on every pipeline stage.
ENDS_EVERYWHERE = frozenset((
    "bloom", "chatglm", "cohere", "cohere2", "cohere2_moe", "dbrx", "falcon", "gemma", "gemma2", "gemma3_text",
    "gemma4_text", "gpt2", "gptj", "gpt_j", "gpt_oss", "granitemoe", "granitemoehybrid", "granitemoeshared", "hy_v3",
    "internlm2", "jamba", "lfm2", "lfm2_moe", "mamba", "falcon_mamba", "mamba2", "minicpm", "mixtral", "nemotron_h",
    "olmo_hybrid", "olmoe", "opt", "orion", "phimoe", "plamo3", "qwen2_moe", "qwen3_moe", "qwen3_vl_moe_text",
    "qwen3_next", "stablelm",
))  # fmt: skip


def layer_parts(model: ModelInfo, layer: Layer, index: int) -> Parts:
    """What layer ``index`` is made of."""
    family = model.family
    if family in ("deepseek_v4", "deepseek_ref"):
        return compressed(model, layer, index)
    out: Parts = []
    if layer.kind == "mla" or (family == "minicpm3" and model.mla is not None):
        out += latent(model, index)
    elif layer.heads and layer.kind in ("full", "sliding", "chunked", "none"):
        out += attention(model, layer)
    if layer.state is not None:
        out += state_parts(model, layer.state)
    out += feed(model, layer)
    if family == "nemotron_h":
        out.append(vector(model.hidden))
    elif not (layer.kind == "none" and layer.mlp == "none"):
        out.append(vector(_norms(model, layer)))
    return out


def _norms(model: ModelInfo, layer: Layer) -> int:
    family, hidden = model.family, model.hidden
    if family in _NO_NORM_WEIGHT:
        return 0
    count = 4 if family in _FOUR_NORMS else 1 if family in _ONE_NORM else 2
    if family in ("mamba", "mamba2", "falcon_mamba"):
        count = 1
    if family == "gemma4_text" and layer.mlp == "moe":
        count += 3
    if family == "whisper":
        count = 3
    if family == "nemotron-nas":
        count = (layer.kind != "none") + (layer.mlp != "none")
    return count * hidden * (2 if family in _NORM_BIAS else 1)


def attention(model: ModelInfo, layer: Layer) -> Parts:
    """Projections of attention with K and V in each head."""
    family, hidden, config = model.family, model.hidden, model.config
    heads, size = layer.heads, layer.head_size
    size_v = layer.head_size_v
    kv_heads = layer.kv_heads
    if not size:  # an encoder: nothing is cached, and the heads share the hidden size
        size = size_v = max(1, hidden // max(1, heads))
        kv_heads = heads
    q_width = heads * size
    biased = model.attention_bias or family in _QKV_BIAS or flag(config, "add_qkv_bias") or flag(config, "qkv_bias")
    gated = flag(config, "attn_output_gate", True) if family.startswith(("qwen3_5", "qwen3_next")) else False
    name = "mixer" if family == "nemotron_h" else "self_attn"
    bias = 1 if biased else 0
    out_bias = family in _O_BIAS or (model.attention_bias and family not in _QKV_BIAS and family not in ("glm4_moe",))
    queries = q_width * (2 if gated else 1)
    out: Parts = [
        Part((name + ".q_proj", name + ".qkv_proj"), hidden, queries, "out", heads, bias * queries),
        Part((name + ".k_proj",), hidden, kv_heads * size, "out", kv_heads, bias * kv_heads * size, joined=True),
        Part((name + ".v_proj",), hidden, kv_heads * size_v, "out", kv_heads, bias * kv_heads * size_v, joined=True),
        Part((name + ".o_proj",), heads * size_v, hidden, "in"),
    ]
    if out_bias or flag(config, "attention_out_bias"):
        out.append(vector(hidden))
    if family == "gpt_oss" or (family.startswith("mimo_v2") and _sinks(model, layer)):
        out.append(vector(heads, "out"))
    if family in _WHOLE_NORM:
        out += [vector(q_width, "out"), Part((), 1, kv_heads * size, "out", kv_heads, plain=True)]
    elif family in _HEAD_NORM or (model.qk_norm and family not in _WHOLE_NORM):
        out.append(vector(2 * size))
    if family.startswith("step3p") and flag(config, "use_head_wise_attn_gate"):
        out.append(Part((name + ".g_proj",), hidden, heads, "out", heads))
    indexer = next((cache for cache in layer.extra if cache.kind == "indexer"), None)
    if indexer is not None and model.indexer is not None and family.startswith("minimax_m3"):
        width = model.indexer.head_dim
        out += [
            Part((name + ".index_q_proj",), hidden, model.indexer.heads * width, "out", model.indexer.heads),
            Part((name + ".index_k_proj",), hidden, width, "", 0),
            vector(2 * width),
        ]
    if layer.extra and layer.extra[0].kind == "cross":
        out += [Part((), hidden, q_width, "out", heads, q_width), Part((), hidden, q_width, "out", heads),
                Part((), hidden, q_width, "out", heads, q_width), Part((), q_width, hidden, "in"),
                vector(hidden)]  # fmt: skip
    return out


def _sinks(model: ModelInfo, layer: Layer) -> bool:
    key = "add_swa_attention_sink_bias" if layer.kind == "sliding" else "add_full_attention_sink_bias"
    return flag(model.config, key)


def mlp(name: str, hidden: int, width: int, gated: bool = True, biased: bool = False) -> Parts:
    """A dense feed-forward net."""
    bias = width if biased else 0
    out: Parts = [Part((name + ".up_proj", name + ".gate_up_proj"), hidden, width, "out", 0, bias)]
    if gated:
        out.append(Part((name + ".gate_proj",), hidden, width, "out", 0, bias, joined=True))
    out.append(Part((name + ".down_proj",), width, hidden, "in"))
    if biased:
        out.append(vector(hidden))
    return out


def feed(model: ModelInfo, layer: Layer) -> Parts:
    """The feed-forward net of ``layer``: dense, experts, or both."""
    family, hidden, config = model.family, model.hidden, model.config
    gated = family not in _UNGATED
    out: Parts = []
    dense_name = "mixer" if family == "nemotron_h" else "feed_forward" if family in ("llama4_text", "llama4") else "mlp"
    if layer.intermediate and (layer.mlp == "dense" or family.startswith("gemma4")):
        biased = family in _MLP_BIAS or flag(config, "mlp_bias") or flag(config, "use_mlp_bias")
        out += mlp(dense_name, hidden, layer.intermediate, gated, biased)
        if family == "apertus":
            out.append(vector(2))
    if layer.mlp != "moe":
        return out
    name = dense_name
    if family in _BLOCK_SPARSE or family.startswith("kimi_linear"):
        name = "block_sparse_moe"
    experts_in = model.moe_latent or hidden
    own = "experts" if family.startswith("gemma4") else name + ".experts"
    out.append(
        Experts(
            (own,),
            layer.experts,
            experts_in,
            model.moe_intermediate,
            2 if gated else 1,
            family == "gpt_oss",
        )
    )
    if model.moe_latent:
        out += [
            Part((name + ".fc1_latent_proj",), hidden, experts_in),
            Part((name + ".fc2_latent_proj",), experts_in, hidden),
        ]
    width = 4 if family in FLOAT_ROUTERS else 0
    out.append(Part((), hidden, layer.experts, plain=True, width=width))
    if family.startswith("gemma4"):
        out.append(vector(hidden + layer.experts))
    if family == "gpt_oss":
        out.append(vector(layer.experts))
    if _corrected(model):
        out.append(vector(layer.experts, width=4))
    if model.shared_intermediate:
        shared = name + (".shared_expert" if "qwen" in family or family.startswith("llama4") else ".shared_experts")
        if family.startswith("step3p"):
            shared = "share_expert"
        out += mlp(shared, hidden, model.shared_intermediate, gated)
        if family.startswith(("qwen2_moe", "qwen3_5", "qwen3_next")):
            out.append(Part((), hidden, 1, plain=True))
    return out


def _corrected(model: ModelInfo) -> bool:
    """Whether the router adds a learnt bias to choose experts."""
    if model.family in ("minimax_m2", "minimax_m3", "minimax_m3_text", "mimo_v2_flash", "mimo_v2", "nemotron_h",
                        "glm4_moe", "kimi_linear", "glm4_moe_lite", "deepseek_v32", "glm_moe_dsa"):  # fmt: skip
        return True
    if model.config.get("topk_method") == "noaux_tc":
        return True
    return (
        flag(model.config, "moe_router_enable_expert_bias")
        or flag(model.config, "use_moe_router_bias")
        or (model.family.startswith(("ernie4_5_moe", "bailing", "dots1", "hy_v3")))
    )


def norm_parameters(model: ModelInfo) -> int:
    """Elements of the norm behind the last layer."""
    if model.family in _NO_NORM_WEIGHT:
        return 0
    return model.hidden * (2 if model.family in _NORM_BIAS else 1)


def position_parameters(model: ModelInfo) -> int:
    """Elements of a learnt table of positions."""
    if model.family in ("gpt2", "gpt_bigcode"):
        return (model.max_model_len or 0) * model.hidden
    if model.family == "opt":
        return ((model.max_model_len or 0) + 2) * model.hidden
    if model.family == "whisper":
        return number(model.config, "max_target_positions", 448) * model.hidden
    if model.pooling and model.family not in ("modernbert", "nomic_bert", "new", "gte", "clip", "siglip", "siglip2"):
        types = number(model.config, "type_vocab_size", 2, minimum=0)
        return (number(model.config, "max_position_embeddings", 512) + types) * model.hidden
    return 0
