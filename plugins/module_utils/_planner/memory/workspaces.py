# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Buffers that kernels share between layers and keep: routed experts, attention. Bytes of one rank."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape

_INTEGER = frozenset(("awq", "awq_marlin", "gptq", "gptq_marlin", "auto_awq", "auto_gptq", "auto-round", "moe_wna16"))
_ALIGNMENT = 128  # rows of one expert that Hopper's block-wise FP8 kernels take at once

_FLASHINFER_BYTES = 413138944  # VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE


def attention_workspace_bytes(shape: Shape) -> int:
    """FlashInfer's workspace, where it is the attention backend: made after the cache is sized, so never counted.

    It is the choice of capability 10.x, and of others whose FlashAttention has no FP8 cache.
    """
    major = _capability(shape)
    if major == 10 or (shape.kv_dtype.startswith("fp8") and major in (8, 12)):
        return _FLASHINFER_BYTES
    return 0


def kept(model: ModelInfo, shape: Shape) -> bool:
    """Whether one workspace serves all layers and stays, or each layer allocates its own and lets it go.

    Kept from 0.13 on; with integer weights of 4 and 8 bits from 0.22 on, with MXFP4 on older cards from 0.17 on.
    """
    if shape.version < (0, 13) or (shape.version < (0, 22) and _integers(model, shape)):
        return False
    return shape.version >= (0, 17) or _method(model, shape) != "mxfp4"


def expert_bytes(model: ModelInfo, shape: Shape) -> int:
    """Inputs and outputs of a full batch's routed experts.

    Kept workspaces hold tokens x experts per token twice: the wider of the first projection's output and the hidden
    state, and the wider of the activation and the hidden state; the others the activation as it is. MXFP4 on cards
    with kernels of their own for it (capability 9.0 and 10.x) needs neither. Block-wise FP8 on those cards fills up
    the rows of each expert.
    """
    if not model.experts:
        return 0
    modern = _capability(shape) in (9, 10)
    method = _method(model, shape)
    if method == "mxfp4" and modern:
        return 0
    local = model.moe_intermediate if shape.expert else -(-model.moe_intermediate // shape.tensor)
    width = model.moe_latent or model.hidden
    rows = shape.tokens * model.experts_per_token
    if method == "fp8" and modern and shape.version >= (0, 13) and not (local % _ALIGNMENT or width % _ALIGNMENT):
        experts = -(-model.experts // (shape.tensor * shape.data)) if shape.expert else model.experts
        rows += experts * (_ALIGNMENT - 1)
    second = max(local, width) if kept(model, shape) else local
    return rows * shape.width * (max(2 * local, width) + second)


def _capability(shape: Shape) -> int:
    return (shape.gpu.capability or (0, 0))[0] if shape.gpu is not None else 0


def _method(model: ModelInfo, shape: Shape) -> str | None:
    return shape.quantization or model.quantization


def _integers(model: ModelInfo, shape: Shape) -> bool:
    method = _method(model, shape)
    if method in _INTEGER:
        return True
    section = model.config.get("quantization_config")
    return method == "compressed-tensors" and "pack-quantized" in str(section)[:4096]
