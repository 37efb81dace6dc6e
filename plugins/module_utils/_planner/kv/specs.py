# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The tables of a model's cache before they are grouped: one for each attention layer, state and side cache."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import PlanError
from ..model.info import ModelInfo
from ..model.layers import ATTENTION, Cache, Layer, State
from ..shape import Shape
from .blocks import aligned, base_block, checkpoints, kernel_block, state_mode, window_block
from .rules import Rules
from .widths import attention_bytes, cache_bytes, ceil_div, latent_dtype, state_bytes

_PLAIN_ROWS = "FLASHINFER_MLA_SPARSE_DSV4"


class Spec(NamedTuple):
    """One table: ``kind`` is full, mla, sliding, sliding_mla, chunked, state or cross; sizes are tokens and bytes.

    ``merge`` tells tables of one kind apart; ``fixed`` is the number of blocks that a request holds whatever its length
    (states); ``tokens`` is how many bytes a token takes where that is meant to be counted.
    """

    kind: str
    block: int
    page: int
    window: int
    merge: tuple[object, ...]
    fixed: int = 0
    token_bytes: int = 0


def tables(model: ModelInfo, shape: Shape, rules: Rules) -> tuple[list[tuple[Spec, list[int]]], int]:
    """Every table with the numbers of the layers that have it, in the order of the layers; and the block size."""
    block = base_block(model, shape)
    padded = 0
    if model.hybrid:
        block, padded = aligned(model, shape, block, rules)
    made: dict[int, list[Spec]] = {}
    found: dict[Spec, list[int]] = {}
    kernel = kernel_block(model, shape)
    for index, layer in enumerate(_counted(model, shape)):
        specs = made.get(id(layer))
        if specs is None:
            specs = made[id(layer)] = _layer_tables(model, layer, shape, rules, block, padded, kernel)
        for spec in specs:
            found.setdefault(spec, []).append(index)
    return list(found.items()), block


def _counted(model: ModelInfo, shape: Shape) -> tuple[Layer, ...]:
    """The layers of the model and, where it drafts with its own, those of the draft."""
    if shape.speculative_tokens and _drafts_itself(shape):
        return model.layers + model.draft
    return model.layers


def _drafts_itself(shape: Shape) -> bool:
    config = shape.engine_args.get("speculative-config")
    method = config.get("method") if isinstance(config, dict) else None
    return isinstance(method, str) and (method == "mtp" or method.endswith("_mtp"))


def _layer_tables(
    model: ModelInfo, layer: Layer, shape: Shape, rules: Rules, block: int, padded: int, kernel: int
) -> list[Spec]:
    out = []
    compressed = any(cache.kind.startswith("v4_") for cache in layer.extra)
    if layer.kind in ATTENTION and not layer.shares_kv and not compressed:
        out.append(_attention(layer, shape, rules, block, kernel, sparse=model.indexer is not None))
    if layer.state is not None:
        out.append(_state(model, layer.state, shape, rules, block, padded))
    for cache in layer.extra:
        out.append(_compressed(cache, shape, block) if compressed else _side(cache, shape, block))
    return out


def _attention(layer: Layer, shape: Shape, rules: Rules, block: int, kernel: int, sparse: bool) -> Spec:
    token = attention_bytes(layer, shape, sparse)
    merge: tuple[object, ...] = (layer.kv_heads, layer.head_size, layer.head_size_v, shape.kv_dtype)
    if layer.kind == "mla":
        merge = ("latent", layer.head_size, latent_dtype(shape) if sparse else shape.kv_dtype)
    if layer.kind == "sliding":
        block = window_block(block, kernel, rules)
    return Spec(layer.kind, block, block * token, layer.window, merge, token_bytes=token)


def _state(model: ModelInfo, state: State, shape: Shape, rules: Rules, block: int, padded: int) -> Spec:
    size, mode = state_bytes(state, shape), state_mode(model, state.kind, shape, rules)
    drafts = shape.speculative_tokens if rules.state_modes else 0
    if mode == "all":
        return Spec("state", block, max(size, padded), 0, (state,))
    blocks = 1 + drafts
    if mode == "align":
        blocks += 1 + checkpoints(state, shape)
    # Without prefix caching a state spans the whole request, and so does its block.
    return Spec("state", block if mode == "align" else 0, max(size, padded), 0, (state,), fixed=blocks)


def _side(cache: Cache, shape: Shape, block: int) -> Spec:
    size = cache_bytes(cache, shape)
    if cache.kind == "cross":
        return Spec("cross", block, block * size, 0, (cache,), fixed=ceil_div(shape.tokens, block))
    return Spec("mla", block, block * size, 0, ("index", cache), token_bytes=size)


def _compressed(cache: Cache, shape: Shape, block: int) -> Spec:
    """DeepSeek V4 packs what it keeps of a token in 584 bytes and rounds pages up to what its kernels stride by."""
    packed = _packs(shape)
    alignment = 576 if packed else 512
    entry = cache.entry_bytes or (
        584 if packed and cache.kind in ("v4_window", "v4_latent") else cache_bytes(cache, shape)
    )
    own = cache.block or block
    page = ceil_div(own // cache.tokens_per_entry * entry, alignment) * alignment
    kind = "sliding_mla" if cache.window else "mla"
    return Spec(kind, own, page, cache.window, (cache,), token_bytes=0 if cache.window else page // own)


def _packs(shape: Shape) -> bool:
    """Whether the kernels read the packed form. Only FlashInfer's, asked for by name, read plain rows."""
    backend = str(shape.engine_args.get("attention-backend", "")).upper()
    capability = shape.gpu.capability if shape.gpu else None
    if backend == _PLAIN_ROWS and (capability or (0, 0))[0] < 12:
        return False
    if shape.kv_dtype != "auto" and not shape.kv_dtype.startswith("fp8"):
        raise PlanError(
            "plan.unsupported_kv_cache_dtype",
            "DeepSeek V4 keeps its cache in fp8; kv-cache-dtype is %s." % shape.kv_dtype,
            ("Leave kv-cache-dtype out.",),
        )
    return True
