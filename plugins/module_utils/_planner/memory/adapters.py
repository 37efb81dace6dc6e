# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""LoRA: the slots that an engine keeps for adapters, and the buffers of one step. Bytes of one rank."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape


def _integer(shape: Shape, name: str, default: int) -> int:
    value = shape.engine_args.get(name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def adapter_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """``max-loras`` slots of ``max-lora-rank`` on attention and dense nets, loaded and counted as weights.

    A projection whose output is divided between ranks keeps the first matrix whole and divides the second, one whose
    input is divided the other way round.
    """
    if not shape.engine_args.get("enable-lora"):
        return 0
    slots, rank = _integer(shape, "max-loras", 1), _integer(shape, "max-lora-rank", 16)
    hidden, tensor = model.hidden, shape.tensor
    elements = 0
    for layer in model.layers:
        query = (layer.heads or model.heads) * layer.head_size
        value = (layer.heads or model.heads) * (layer.head_size_v or layer.head_size)
        shared = max(1, layer.kv_heads // tensor) * (layer.head_size + layer.head_size_v)
        elements += 3 * hidden + query // tensor + shared  # query, key and value
        elements += value // tensor + hidden  # output
        inner = layer.intermediate if layer.mlp == "dense" else 0
        if inner:
            elements += 2 * (hidden + inner // tensor) + inner // tensor + hidden
    return elements * rank * slots * shape.width // shape.pipeline


def step_bytes(shape: Shape) -> int:
    """Products with the first matrices in 4-byte floats, of up to three projections at once."""
    if not shape.engine_args.get("enable-lora"):
        return 0
    return 3 * shape.tokens * _integer(shape, "max-lora-rank", 16) * 4
