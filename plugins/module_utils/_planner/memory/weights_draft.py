# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Weights of the layers that guess tokens ahead, where the checkpoint brings them (multi-token prediction)."""

from __future__ import annotations

from typing import Mapping

from ..model.info import ModelInfo
from ..model.quantized import read_quantization
from ..shape import Shape
from .weights_formats import Experts, Part, experts_bytes, part_bytes
from .weights_kernels import as_loaded, padding
from .weights_latent import absorbed_bytes
from .weights_layers import layer_parts

# These project the two hidden states on every rank whole, the others divide the outputs.
_WHOLE_PROJECTION = frozenset((
    "deepseek_v3", "deepseek_v32", "glm4_moe", "glm_moe_dsa", "kimi_k2", "mimo", "ernie4_5_moe",
))  # fmt: skip


def wanted(shape: Shape) -> bool:
    """Whether the engine guesses with the model's own layers."""
    config = shape.engine_args.get("speculative-config")
    if not isinstance(config, Mapping) or config.get("model"):
        return False
    method = config.get("method")
    return isinstance(method, str) and (method == "mtp" or method.endswith("_mtp"))


def draft_bytes(model: ModelInfo, shape: Shape) -> int:
    """Bytes of these layers on one rank of the last stage; embedding and head are the model's own."""
    if not model.draft or not wanted(shape):
        return 0
    quantization = read_quantization(model.family, model.config, model.outer)
    index, hidden, width = len(model.layers), model.hidden, shape.width
    projection = Part((), 2 * hidden, hidden, "" if model.family in _WHOLE_PROJECTION else "out", plain=True)
    total = 0
    for offset, layer in enumerate(model.draft):
        parts = [*layer_parts(model, layer, len(model.layers) - 1), projection, Part((), 1, 3 * hidden, plain=True)]
        for part in parts:
            scheme = None
            if quantization is not None and part.names:
                scheme = quantization.scheme(index + offset, part.names, isinstance(part, Experts))
            scheme = as_loaded(scheme, shape)
            if isinstance(part, Experts):
                ranks = shape.tensor * shape.data
                total += experts_bytes(part, scheme, ranks, shape.expert, width, padding(scheme, shape))[0]
            else:
                total += sum(part_bytes(part, scheme, shape.tensor, width))
        if layer.kind == "mla":
            total += absorbed_bytes(model, shape.tensor, width)
    return total
