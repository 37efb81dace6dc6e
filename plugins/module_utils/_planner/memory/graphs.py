# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""CUDA graphs: which batch sizes are captured, their bytes, and vLLM's estimate. FIT marks what logs fitted."""

from __future__ import annotations

from typing import Mapping

from ..model.info import ModelInfo
from ..shape import Shape
from .cards import MIB
from .runner import second_runner
from .workspaces import attention_workspace_bytes

# The largest graph brings its buffers, by its tokens; each further one little more than its nodes, by layers, of which
# every one (attention or state) cuts a graph in two. FIT, in MiB for 32 layers and 512 tokens. The first runner: the
# log that prints the parts (0.19, H100, S=1024: 138 and 6 for mixed batches, 260 and 6 for decoding, in one pool), and
# to 0.1 GiB six that print the sum, of 28 to 64 layers with and without states, 32 to 512 tokens (0.21 to 0.26).
# The second: what 0.29 set aside on an L4 and a 48 GB Ada card (0.4 to 0.5 GiB).
_MIXED_BYTES, _DECODE_BYTES, _GRAPH_BYTES = 138 * MIB, 260 * MIB, 6 * MIB
_SECOND_FIRST_BYTES, _SECOND_GRAPH_BYTES = 150 * MIB, 3 * MIB
_LAYERS, _TOKENS = 32, 512
# FIT: what capturing really takes of it (0.83/0.41, 0.58/0.24, 0.42/0.22; 0.2 to 0.7 GiB with 0.2 to 0.8 set aside).
_ACTUAL_SHARE = 0.6


def largest_size(shape: Shape) -> int:
    """The largest batch, in tokens, that is captured; until 0.9 however few requests there are."""
    blackwell = shape.gpu is not None and (shape.gpu.capability or (0, 0))[0] == 10
    limit = 1024 if blackwell and shape.version >= (0, 12) else 512
    wanted = 2 * shape.seqs * (1 + shape.speculative_tokens) if shape.version >= (0, 10) else limit
    asked = _asked(shape)
    return min(asked if asked is not None else min(wanted, limit), shape.tokens)


def _asked(shape: Shape) -> int | None:
    """The largest size that the user names, by itself or within the compilation's configuration."""
    compilation = shape.engine_args.get("compilation-config")
    inner = compilation.get("max_cudagraph_capture_size") if isinstance(compilation, Mapping) else None
    asked = shape.engine_args.get("max-cudagraph-capture-size", inner)
    return asked if isinstance(asked, int) and not isinstance(asked, bool) and asked > 0 else None


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
    return int(_profiled(model, shape) * _ACTUAL_SHARE)


def estimate_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """What vLLM sets aside for graphs before it sizes the KV cache; 0 where the release or its runner does not."""
    second = second_runner(model, shape)
    if shape.version < (0, 20) or shape.eager or (second and shape.version < (0, 29)):
        return 0
    # The first runner meets FlashInfer's workspace while it tries the first graph, and takes it for a part of that.
    return _profiled(model, shape) + (0 if second else attention_workspace_bytes(shape))


def _profiled(model: ModelInfo, shape: Shape) -> int:
    """First graph and the rest, of mixed batches and of pure decoding ones (up to as many rows as requests)."""
    if shape.eager:
        return 0
    sizes = _sizes(shape)
    # Graphs of pure decoding batches beside the others came with 0.11.
    rows = shape.seqs * (1 + shape.speculative_tokens) if shape.version >= (0, 11) else 0
    further = max(0, len(sizes) + sum(1 for size in sizes if size <= rows) - 2)
    if second_runner(model, shape):
        first, each = float(_SECOND_FIRST_BYTES), _SECOND_GRAPH_BYTES
    else:
        decoding = max((size for size in sizes if size <= rows), default=0)
        first, each = max(_MIXED_BYTES * max(sizes), _DECODE_BYTES * decoding) / _TOKENS, _GRAPH_BYTES
    return int(first + each * max(1, len(model.layers) // shape.pipeline) / _LAYERS * further)
