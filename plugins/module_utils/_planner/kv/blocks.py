# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The block size of an engine: the user's, what the attention kernels take, and as large as a recurrent state."""

from __future__ import annotations

import math

from ..model.info import ModelInfo
from ..shape import Shape
from .rules import Rules
from .widths import attention_bytes, ceil_div, state_bytes

_HOPPER, _BLACKWELL, _CONSUMER_BLACKWELL = (9, 0), (10, 0), (12, 0)


def kernel_block(model: ModelInfo, shape: Shape) -> int:
    """Smallest block that the attention kernels take, in tokens."""
    if shape.gpu is None:
        return 16 if model.is_mla else max(shape.kernel_block, 32)
    if not model.is_mla:
        return shape.kernel_block
    return max(shape.kernel_block, _latent_block(model, shape))


def _latent_block(model: ModelInfo, shape: Shape) -> int:
    """What the kernels for latent attention want: it depends on the card and, before 0.20, on the release."""
    capability = (shape.gpu.capability if shape.gpu else None) or _HOPPER
    version = shape.version
    if model.indexer is not None:
        return 64
    if capability >= _CONSUMER_BLACKWELL:
        return 16
    if capability >= _BLACKWELL:
        if version >= (0, 20):
            return 32
        return 64 if version >= (0, 16) else 128 if version >= (0, 10) else 16
    if capability >= _HOPPER:
        return 16 if version >= (0, 20) else 64
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
    return any(cache.kind == "v4_window" for layer in set(model.layers) for cache in layer.extra)


def window_block(block: int, kernel: int, rules: Rules) -> int:
    """Tokens in a block of a sliding layer that starts from ``block``."""
    if rules.fitting_window_block:
        return max(kernel, block // kernel * kernel)
    return kernel if rules.kernel_window_block else block


def aligned(model: ModelInfo, shape: Shape, block: int) -> tuple[int, int]:
    """The block of a model of attention and recurrent layers, and the bytes of its padded state (0: no padding).

    A page of attention must be at least as large as the state, so that both can share one pool.
    """
    layers = set(model.layers)
    states = [state_bytes(layer.state, shape) for layer in layers if layer.state is not None]
    tokens = [attention_bytes(layer, shape) for layer in layers if layer.kind in ("full", "sliding", "mla")]
    if not states or not tokens:
        return block, 0
    largest, token = max(states), tokens[0]
    kernel = kernel_block(model, shape)
    step = max(kernel, block)
    if model.is_mla and shape.version >= (0, 28):
        step = max(step, 128)
    wanted = step * ceil_div(largest, step * token)
    wanted = kernel * ceil_div(wanted, kernel) if step % kernel else wanted
    block = max(block, wanted)
    page = block * token
    return block, page if page != largest else 0


def least_common_multiple(values: list[int]) -> int:
    """Of positive integers; Python 3.8 has no math.lcm with many arguments."""
    out = 1
    for value in values:
        out = out * value // math.gcd(out, value)
    return out
