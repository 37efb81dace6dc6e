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
_FIRST_BYTES, _FIRST_HOPPER = 150 * MIB, 260 * MIB
_GRAPH_BYTES, _GRAPH_HOPPER = 3 * MIB, 6 * MIB
_LAYERS = 32
# FIT: capturing on Hopper takes about half of the estimate (0.83/0.41), on others about as much (0.2 to 0.7 GiB).
_HOPPER_SHARE = 0.5


def largest_size(shape: Shape) -> int:
    """The largest batch, in tokens, that is captured."""
    blackwell = shape.gpu is not None and (shape.gpu.capability or (0, 0))[0] == 10
    return min(2 * shape.seqs * (1 + shape.speculative_tokens), 1024 if blackwell else 512, shape.tokens)


def graph_sizes(shape: Shape) -> int:
    """How many batch sizes vLLM captures a CUDA graph for."""
    return len(_sizes(largest_size(shape)))


def _sizes(top: int) -> list[int]:
    sizes = [size for size in [1, 2, 4] + list(range(8, 256, 8)) + list(range(256, top + 1, 16)) if size <= top]
    return sizes if top in sizes or top < 1 else sizes + [top]


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
    sizes = _sizes(largest_size(shape))
    decode = [size for size in sizes if size <= shape.seqs * (1 + shape.speculative_tokens)]
    layers = max(1, len(model.layers) // shape.pipeline)
    hopper = _hopper(shape)
    per_graph = (_GRAPH_HOPPER if hopper else _GRAPH_BYTES) * layers / _LAYERS
    return int((_FIRST_HOPPER if hopper else _FIRST_BYTES) + per_graph * max(0, len(sizes) + len(decode) - 2))
