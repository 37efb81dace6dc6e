# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""CUDA graphs: which batch sizes are captured, and their bytes. Constants marked FIT are fitted to published logs."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape
from .accounting import MIB


def graph_sizes(shape: Shape) -> int:
    """How many batch sizes vLLM captures a CUDA graph for."""
    blackwell = shape.gpu is not None and (shape.gpu.capability or (0, 0))[0] == 10
    top = min(2 * shape.seqs, 1024 if blackwell else 512, shape.tokens)
    sizes = [size for size in [1, 2, 4] + list(range(8, 256, 8)) + list(range(256, top + 1, 16)) if size <= top]
    return len(set(sizes))


def graph_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """FIT: about 10 MiB a captured size for a model of 36 layers; none in eager mode."""
    if shape.eager:
        return 0
    return int(graph_sizes(shape) * 10 * MIB * max(1.0, len(model.layers) / 36.0))
