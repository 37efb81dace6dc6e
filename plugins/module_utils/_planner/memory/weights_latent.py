# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Parts of attention that keeps one latent for all heads (DeepSeek's MLA and what followed it)."""

from __future__ import annotations

from typing import Any, Mapping, Union

from ..model.info import ModelInfo
from ..model.layers import Layer
from ..model.reading import number, numbers
from .weights_formats import Experts, Part, vector

Parts = list[Union[Part, Experts]]


def latent(model: ModelInfo, index: int) -> Parts:
    """Projections of MLA; the compressing ones are whole on every rank."""
    mla, hidden = model.mla, model.hidden
    if mla is None:
        return []
    heads = model.heads
    name = "self_attn"
    size = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    out: Parts = []
    if mla.q_lora_rank:
        out += [
            Part((name + ".q_a_proj", name + ".fused_qkv_a_proj", name + ".kv_a_proj_with_mqa"), hidden,
                 mla.q_lora_rank + mla.kv_lora_rank + mla.qk_rope_head_dim),
            vector(mla.q_lora_rank),
            Part((name + ".q_b_proj",), mla.q_lora_rank, heads * size, "out", heads),
        ]  # fmt: skip
    else:
        out += [
            Part((name + ".q_proj",), hidden, heads * size, "out", heads),
            Part((name + ".kv_a_proj_with_mqa",), hidden, mla.kv_lora_rank + mla.qk_rope_head_dim),
        ]
    both = mla.qk_nope_head_dim + mla.v_head_dim
    out += [
        vector(mla.kv_lora_rank),
        Part((name + ".kv_b_proj",), mla.kv_lora_rank, heads * both, "out", heads),
        Part((name + ".o_proj",), heads * mla.v_head_dim, hidden, "in"),
    ]
    if model.indexer is not None and _own_indexer(model, index):
        own = model.indexer
        out += [
            Part((name + ".indexer.wq_b",), mla.q_lora_rank or hidden, own.heads * own.head_dim),
            # Keys and weights are one matrix, which is never quantised.
            Part((name + ".indexer.wk",), hidden, own.heads + own.head_dim, plain=True),
            vector(2 * own.head_dim, width=4),
        ]
    return out


def _own_indexer(model: ModelInfo, index: int) -> bool:
    kinds = model.config.get("indexer_types")
    if isinstance(kinds, (list, tuple)) and index < len(kinds):
        return bool(kinds[index] != "shared")
    return any(cache.kind == "indexer" for cache in model.layers[index].extra)


def absorbed_bytes(model: ModelInfo, tensor: int, width: int) -> int:
    """Bytes that loading adds to each MLA layer of one rank: the two halves of kv_b_proj, made plain for decoding."""
    mla = model.mla
    if mla is None:
        return 0
    heads = -(-model.heads // tensor)
    return heads * mla.kv_lora_rank * (mla.qk_nope_head_dim + mla.v_head_dim) * width


def compressed(model: ModelInfo, layer: Layer, index: int) -> Parts:
    """A layer of DeepSeek V4: keys pressed together over time, several streams of hidden states."""
    config, hidden = model.config, model.hidden
    heads, size = layer.heads or model.heads, model.head_dim
    q_rank = number(config, "q_lora_rank", 1024)
    groups, o_rank = number(config, "o_groups", 8), number(config, "o_lora_rank", 1024)
    streams = number(config, "hc_mult", 4)
    mixed = streams * (streams + 2)
    experts = layer.experts
    width = model.moe_intermediate
    out: Parts = [
        vector(2 * (mixed * streams * hidden + mixed + 3), width=4),
        vector(heads, width=4),
        Part(("attn.wq_a", "attn.fused_wqa_wkv"), hidden, q_rank + size),
        vector(q_rank + size + 2 * hidden),
        Part(("attn.wq_b",), q_rank, heads * size, "out", heads),
        Part(("attn.wo_a",), heads * size // groups, groups * o_rank, "out", groups),
        Part(("attn.wo_b",), groups * o_rank, hidden, "in"),
        Part((), hidden, experts, plain=True),
        Part(("ffn.shared_experts.w1",), hidden, 2 * model.shared_intermediate, "out"),
        Part(("ffn.shared_experts.w2",), model.shared_intermediate, hidden, "in"),
        Experts(("ffn.experts",), experts, hidden, width),
    ]
    if index < number(config, "num_hash_layers", 0, minimum=0):
        out.append(vector(model.vocab * model.experts_per_token, width=4))
    else:
        out.append(vector(experts, width=4))
    return out + _compressor(config, model, index, hidden, size)


def _compressor(config: Mapping[str, Any], model: ModelInfo, index: int, hidden: int, size: int) -> Parts:
    listed = config.get("compress_ratios")
    ratios = numbers(config, "compress_ratios", len(listed)) if isinstance(listed, (list, tuple)) else None
    ratios = ratios or []
    ratio = ratios[index] if index < len(ratios) else 0
    if ratio <= 1:
        return []
    twice = 2 if ratio == 4 else 1  # the finer of the two overlaps
    out: Parts = [
        vector(ratio * twice * size, width=4),
        Part((), hidden, 2 * twice * size, plain=True),
        vector(size),
    ]
    if ratio == 4 and model.indexer is not None:
        own = model.indexer
        out += _indexer(hidden, number(config, "q_lora_rank", 1024), own.heads, own.head_dim, ratio)
    elif ratio == 4:
        heads, dim = number(config, "index_n_heads", 64), number(config, "index_head_dim", 128)
        out += _indexer(hidden, number(config, "q_lora_rank", 1024), heads, dim, ratio)
    return out


def _indexer(hidden: int, q_rank: int, heads: int, dim: int, ratio: int) -> Parts:
    return [
        Part(("attn.indexer.wq_b",), q_rank, heads * dim),
        Part((), hidden, heads, plain=True),
        vector(ratio * 2 * dim, width=4),
        Part((), hidden, 4 * dim, plain=True),
        vector(dim),
    ]
