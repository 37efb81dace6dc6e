# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The block size of an engine: the user's, what the attention kernels take, and as large as a recurrent state."""

from __future__ import annotations

import math

from ..model.info import ModelInfo
from ..model.layers import State
from ..model.reading import number
from ..shape import Shape
from .rules import Rules
from .widths import attention_bytes, ceil_div, state_bytes

_GDN_CHECKPOINT = 64  # tokens between the states that FlashInfer's kernel can hand out
_HOPPER, _BLACKWELL, _CONSUMER_BLACKWELL = (9, 0), (10, 0), (12, 0)


def kernel_block(model: ModelInfo, shape: Shape) -> int:
    """Smallest block that the attention kernels take, in tokens."""
    if any(layer.head_size != layer.head_size_v for layer in model.distinct if layer.kind in ("full", "sliding")):
        return 16  # kernels of their own for values narrower than keys
    if shape.gpu is None:
        return 16 if model.is_mla else max(shape.kernel_block, 32)
    if not model.is_mla:
        return shape.kernel_block
    return max(shape.kernel_block, _latent_block(model, shape))


def _latent_block(model: ModelInfo, shape: Shape) -> int:
    """What the kernels for latent attention want: it depends on the card, the release and the type of the cache."""
    capability = (shape.gpu.capability if shape.gpu else None) or _HOPPER
    version = shape.version
    if model.indexer is not None:
        return 64
    if _BLACKWELL <= capability < _CONSUMER_BLACKWELL:
        if version >= (0, 18):
            return 32  # FlashInfer, which takes 32 or 64
        return 64 if version >= (0, 15) else 128 if version >= (0, 10, 1) else 16  # FlashInfer, CUTLASS, Triton
    if _HOPPER <= capability < _BLACKWELL:
        if version >= (0, 18) and not shape.kv_dtype.startswith("fp8"):
            return 16  # FlashAttention
        return 64  # FlashMLA
    return 16


def base_block(model: ModelInfo, shape: Shape) -> int:
    """Tokens in a block before recurrent layers raise it."""
    if _compressed(model):
        return 256  # the only size that the kernels of DeepSeek V4 take
    if shape.gpu is None:
        if model.is_mla:
            return 16
        return shape.block_size or 128
    if shape.block_size is not None:
        return shape.block_size
    if model.family.startswith("minimax_m3"):
        return 128
    return max(16, _latent_block(model, shape)) if model.is_mla else 16


def _compressed(model: ModelInfo) -> bool:
    return any(cache.kind == "v4_window" for layer in model.distinct for cache in layer.extra)


def window_block(block: int, kernel: int, rules: Rules) -> int:
    """Tokens in a block of a sliding layer that starts from ``block``."""
    if rules.fitting_window_block:
        return max(kernel, block // kernel * kernel)
    return kernel if rules.kernel_window_block else block


def state_mode(model: ModelInfo, kind: str, shape: Shape, rules: Rules) -> str:
    """How many states of ``kind`` a request keeps: none (one only), align (those of cached prefixes) or all."""
    asked = shape.engine_args.get("enable-prefix-caching") is True
    if not shape.prefix_caching or not rules.state_modes:
        return "none"
    if not asked and not (rules.caches_states and model.hybrid):
        return "none"
    return "all" if rules.every_state and kind in ("mamba1", "mamba2") else "align"


def checkpoints(state: State, shape: Shape) -> int:
    """States that a layer keeps of the middle of a prompt where prefixes are cached: kernels that can hand them out.

    Mamba 2 can from 0.32 on, Kimi's delta attention from 0.29 and gated delta nets from 0.33, these on some cards only.
    """
    major = (shape.gpu.capability if shape.gpu and shape.gpu.capability else _HOPPER)[0] if shape.gpu else 0
    if state.kind == "mamba2":
        return state.checkpoints if shape.version >= (0, 32) else 0
    if state.kind == "kda":
        return state.checkpoints if shape.version >= (0, 29) and major in (9, 10, 12) else 0
    if state.kind == "gdn" and shape.version >= (0, 33):
        return int(major == 9 or (major in (10, 12) and state.columns == 128))
    return 0


def aligned(model: ModelInfo, shape: Shape, block: int, rules: Rules) -> tuple[int, int]:
    """The block of a model of attention and recurrent layers, and the bytes of its padded state (0: no padding).

    A page of attention must be at least as large as the state, so that both can share one pool.
    """
    layers = model.distinct
    kinds = [layer.state for layer in layers if layer.state is not None]
    states = [state_bytes(state, shape) for state in kinds]
    tokens = [attention_bytes(layer, shape) for layer in layers if layer.kind in ("full", "sliding", "mla")]
    if not states or not tokens:
        return block, 0
    largest, token = max(states), tokens[0]
    kernel = kernel_block(model, shape)
    step = max(kernel, block)
    if model.is_mla and shape.version >= (0, 28):
        step = max(step, 128)
    modes = {state_mode(model, state.kind, shape, rules) for state in kinds}
    if modes == {"align"} and any(state.kind == "gdn" and checkpoints(state, shape) for state in kinds):
        step = step * _GDN_CHECKPOINT // math.gcd(step, _GDN_CHECKPOINT)
    if "all" in modes:
        # Every block ends where a chunk of the scan does.
        chunk = number(model.config, ("mamba_chunk_size", "chunk_size"), 2048)
        step = step * chunk // math.gcd(step, chunk)
    wanted = step * ceil_div(largest, step * token)
    wanted = kernel * ceil_div(wanted, kernel) if step % kernel else wanted
    block = max(block, wanted)
    page = block * token
    return block, page if page != largest else 0
