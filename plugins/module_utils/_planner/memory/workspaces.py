# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Buffers that kernels share between layers and keep: routed experts. Bytes of one rank."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape


def kept(model: ModelInfo, shape: Shape) -> bool:
    """Whether the release keeps one workspace for all layers (0.13 on) or allocates it anew in each."""
    return shape.version >= (0, 13)


def expert_bytes(model: ModelInfo, shape: Shape) -> int:
    """Inputs and outputs of a full batch's routed experts.

    Two buffers of tokens x experts per token: the first projection's output or the hidden state, whichever is wider,
    and the activation's. MXFP4 on cards with their own kernels for it (capability 9.0 and 10.x) needs neither.
    """
    if not model.experts:
        return 0
    capability = shape.gpu.capability if shape.gpu is not None else None
    quantization = shape.quantization or model.quantization
    if quantization == "mxfp4" and capability is not None and capability[0] in (9, 10):
        return 0
    local = model.moe_intermediate if shape.expert else -(-model.moe_intermediate // shape.tensor)
    width = model.moe_latent or model.hidden
    routed = shape.tokens * model.experts_per_token * shape.width
    return routed * (max(local, width) + max(2 * local, width))
