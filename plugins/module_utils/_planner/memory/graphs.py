# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""CUDA graphs: which batch sizes are captured, their bytes, and vLLM's estimate. FIT marks what logs fitted."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape
from .cards import MIB
from .runner import second_runner

# The largest graph brings its buffers, each further one little more than its nodes, so many a layer. FIT, in MiB for 32
# layers: Hopper to the one log that prints the parts (0.19, S=1024: 260 and 6); other cards to what 0.20 to 0.29 set
# aside on a 3090, a 5070 Ti, a 5090 and an L4 (0.2 to 0.5 GiB with 86 graphs).
_FIRST_BYTES, _FIRST_HOPPER = 60 * MIB, 260 * MIB
_GRAPH_BYTES, _GRAPH_HOPPER = 3 * MIB, 6 * MIB
_LAYERS = 32
# FIT: capturing on Hopper takes about half of the estimate (0.83/0.41), on others about as much (0.2 to 0.7 GiB).
_HOPPER_SHARE = 0.5


def largest_size(shape: Shape) -> int:
    """The largest batch, in tokens, that is captured; until 0.9 however few requests there are."""
    blackwell = shape.gpu is not None and (shape.gpu.capability or (0, 0))[0] == 10
    limit = 1024 if blackwell and shape.version >= (0, 12) else 512
    wanted = 2 * shape.seqs * (1 + shape.speculative_tokens) if shape.version >= (0, 10) else limit
    return min(wanted, limit, shape.tokens)


def graph_sizes(shape: Shape) -> int:
    """How many batch sizes vLLM captures a CUDA graph for."""
    return len(_sizes(shape))


def _sizes(shape: Shape) -> list[int]:
    """Powers of two, multiples of 8, and from 256 on of 16 (of 8 until 0.11); the batch itself where it is smaller."""
    top = largest_size(shape)
    step = 16 if shape.version >= (0, 12) else 8
    sizes = [size for size in [1, 2, 4, *range(8, 256, 8), *range(256, top + 1, step)] if size <= top]
    return sizes + [top] if top == shape.tokens and top not in sizes else sizes


def graph_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """What capturing really takes on one rank; none in eager mode."""
    return int(_profiled(model, shape) * (_HOPPER_SHARE if _hopper(shape) else 1.0))


def _hopper(shape: Shape) -> bool:
    return shape.gpu is not None and (shape.gpu.capability or (0, 0))[0] in (9, 10)


def estimate_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """What vLLM sets aside for graphs before it sizes the KV cache; 0 where the release or its runner does not."""
    if shape.version < (0, 20) or (second_runner(model, shape) and shape.version < (0, 29)):
        return 0
    return _profiled(model, shape)


def _profiled(model: ModelInfo, shape: Shape) -> int:
    """First graph and the rest, of mixed batches and of pure decoding ones (up to as many rows as requests)."""
    if shape.eager:
        return 0
    sizes = _sizes(shape)
    # Graphs of pure decoding batches beside the others came with 0.11.
    rows = shape.seqs * (1 + shape.speculative_tokens) if shape.version >= (0, 11) else 0
    decode = [size for size in sizes if size <= rows]
    layers = max(1, len(model.layers) // shape.pipeline)
    hopper = _hopper(shape)
    per_graph = (_GRAPH_HOPPER if hopper else _GRAPH_BYTES) * layers / _LAYERS
    return int((_FIRST_HOPPER if hopper else _FIRST_BYTES) + per_graph * max(0, len(sizes) + len(decode) - 2))
