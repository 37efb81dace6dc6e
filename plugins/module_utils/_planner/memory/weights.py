# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Weights of a model in bytes as vLLM holds them: those of one rank of a stage, and of all ranks together.

They come from the headers of the checkpoint (``tensors``), from a figure of the request (``weights_bytes``) or from the
architecture in ``config``, in this order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, NamedTuple

from ..model.info import ModelInfo
from ..request import Model
from ..shape import Shape
from . import weights_config, weights_tensors
from .weights_formats import up
from .weights_tables import rotary_bytes

__all__ = ["Weights", "parameters", "rank_bytes", "round_up", "stored"]


def round_up(value: int, multiple: int) -> int:
    return up(value, multiple)


class Weights(NamedTuple):
    """Bytes of one copy of the model over all its ranks, and where the figure comes from.

    ``origin`` is tensors, weights_bytes or config; ``stages`` the bytes of one rank of each pipeline stage.
    """

    total: int
    origin: str
    stages: tuple[int, ...]


def stored(request: Model, model: ModelInfo, shape: Shape) -> Weights:
    """Weights with the type, the layout and the online quantisation of ``shape``.

    Raises ``plan.weights_unknown`` where nothing tells, ``plan.unsupported_dtype`` for a tensor of an unknown type.
    """
    if request.tensors is not None:
        sizes = tuple(
            weights_tensors.stage_bytes(request.tensors, model, shape, stage) + deep_bytes(model, shape)
            for stage in range(shape.pipeline)
        )
        return Weights(sum(sizes) * shape.tensor, "tensors", sizes)
    if request.weights_bytes is not None:
        return _given(request.weights_bytes, model, shape)
    weights_config.check_known(model)
    deep = deep_bytes(model, shape)
    sizes = tuple(weights_config.stage_bytes(model, shape, stage) + deep for stage in range(shape.pipeline))
    return Weights(sum(sizes) * shape.tensor, "config", sizes)


def deep_bytes(model: ModelInfo, shape: Shape) -> int:
    """One batch of what inner layers of the image encoder hand to the text's (Qwen3-VL): made with the model."""
    vision = model.outer.get("vision_config")
    deep = vision.get("deepstack_visual_indexes") if isinstance(vision, Mapping) else None
    return len(deep) * shape.tokens * model.hidden * shape.width if isinstance(deep, (list, tuple)) else 0


def _given(total: int, model: ModelInfo, shape: Shape) -> Weights:
    """``weights_bytes`` is what all ranks of one copy hold as loaded: each stage has its part of it.

    The parts are as the architecture has them, so that a first stage holds the embedding and a last one the head.
    """
    alone = replace(shape, data=1) if shape.data > 1 else shape
    parts = [weights_config.stage_bytes(model, alone, stage) for stage in range(shape.pipeline)]
    whole = sum(parts) * shape.tensor
    if shape.data > 1:
        parts = [weights_config.stage_bytes(model, shape, stage) for stage in range(shape.pipeline)]
    tables = rotary_bytes(model, shape)
    if whole <= 0:
        even = tuple(total // (shape.tensor * shape.pipeline) for _stage in parts)
        return Weights(total, "weights_bytes", even)
    sizes = tuple(max(tables, total * part // whole) for part in parts)
    return Weights(total, "weights_bytes", sizes)


def rank_bytes(weights: Weights, model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """Bytes of one rank of pipeline ``stage``."""
    return weights.stages[min(stage, len(weights.stages) - 1)]


def parameters(model: ModelInfo) -> int:
    """Parameters of the whole model, one copy, without tables; a quantised format counts as what it stands for."""
    return weights_config.parameters(model)
