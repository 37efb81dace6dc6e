# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Peak of the profiling run, in bytes. Constants marked FIT are fitted to published start-up logs."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape
from .accounting import GIB
from .weights import round_up


def activation_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """The larger of the sampler's and one layer's buffers on one rank, and the workspace of routed experts."""
    tokens, width = shape.tokens, shape.width
    per_logit = 14.2 if shape.version >= (0, 17) else 38.0  # FIT: the older sampler sorts the vocabulary
    sampler = per_logit * shape.seqs * round_up(model.vocab, 64) + tokens * model.hidden * width + 0.095 * GIB
    forward = tokens * width * (3 * model.intermediate / shape.tensor + 4 * model.hidden)
    experts = 0.0
    if model.experts:
        local = model.moe_intermediate / shape.tensor
        routed = tokens * model.experts_per_token * width
        experts = routed * (max(local, model.hidden) + max(2 * local, model.hidden))
        forward = tokens * width * (3 * model.shared_intermediate / shape.tensor + 4 * model.hidden)
    return int(max(sampler, forward) + experts)


def cpu_activation_bytes(model: ModelInfo, shape: Shape) -> int:
    """Buffers of one batch on a CPU: one layer's and the logits in 4-byte floats with their sorted copy."""
    intermediate = max(model.intermediate, model.experts_per_token * model.moe_intermediate)
    layer = shape.tokens * shape.width * (3 * intermediate + 4 * model.hidden)
    return int(layer + 12 * shape.seqs * round_up(model.vocab, 64))
