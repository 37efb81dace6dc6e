# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Peak of the profiling run on one rank, in bytes: the largest of its phases, not their sum."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape
from .adapters import step_bytes
from .encoder import encoding
from .runner import second_runner
from .sampler import blas_bytes, logits_bytes
from .workspaces import expert_bytes, kept


def activation_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """What the profiling run takes beyond weights and what stays: encoding images, one layer's buffers, or sampling.

    ``stage`` is the pipeline stage; only the last one samples, only the first encodes.
    """
    tokens, width = shape.tokens, shape.width
    images = encoding(model, shape)
    rows = 2 * shape.seqs * model.hidden * width  # hidden states of the rows to sample, and their random stand-in
    experts = expert_bytes(model, shape)
    kept_experts = experts if kept(model, shape) else 0
    held = (images.outputs + images.pixels if stage == 0 else 0) + kept_experts
    phases = [images.peak if stage == 0 else 0, held + layer_bytes(model, shape, stage) + experts - kept_experts]
    if stage == shape.pipeline - 1:
        # A pooling model turns the hidden states into 4-byte floats instead of sampling.
        ends = 2 * tokens * model.hidden * 4 if model.pooling else logits_bytes(model, shape) + rows
        phases.append(held + ends + tokens * model.hidden * width + blas_bytes(shape))
    return int(max(phases)) + step_bytes(shape)


def layer_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """Buffers of the widest layer: both inputs of the gate, its product, and hidden states of each token.

    Those are the attention's output, the residual before and after it, and with the first runner the norm's.
    """
    inner = model.shared_intermediate if model.experts else model.intermediate
    if model.experts and model.moe_layers < len(model.layers):
        inner = max(inner, model.intermediate)
    second = second_runner(model, shape)
    states = (3 if second else 4) + (2 if shape.pipeline > 1 else 0)  # a stage hands two on
    per_token = 3 * inner / shape.tensor + states * model.hidden
    rest = blas_bytes(shape) if second else 2 * shape.seqs * model.hidden * shape.width
    return int(shape.tokens * shape.width * per_token) + rest


def cpu_activation_bytes(model: ModelInfo, shape: Shape) -> int:
    """Buffers of one batch on a CPU: one layer's and the logits in 4-byte floats with their sorted copy."""
    intermediate = max(model.intermediate, model.experts_per_token * model.moe_intermediate)
    layer = shape.tokens * shape.width * (3 * intermediate + 4 * model.hidden)
    return int(layer + 12 * shape.seqs * (-(-model.vocab // 64) * 64))
