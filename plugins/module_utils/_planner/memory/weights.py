# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Weights of a model in bytes, for all ranks together and for one of them."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import PlanError
from ..model.info import MLA, ModelInfo
from ..request import Model
from ..shape import Shape

TENSOR_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


# Bits a linear weight takes when vLLM quantises a plain checkpoint while it loads, scales included where they count.
ONLINE_BITS = {
    "fp8": 8.0, "fp8_per_tensor": 8.0, "fp8_per_block": 8.0, "fp8_per_channel": 8.0,
    "int8_per_channel_weight_only": 8.0, "mxfp8": 8.25, "mxfp4": 4.25, "nvfp4_per_token": 4.5,
}  # fmt: skip


class Weights(NamedTuple):
    """Bytes of all weights as loaded, and where the figure comes from: tensors, weights_bytes or config."""

    total: int
    origin: str


def stored(request: Model, model: ModelInfo, shape: Shape) -> Weights:
    """Weights of all ranks together, with the type and the online quantisation of ``shape``.

    ``weights_bytes`` of a request are as loaded already; the rest describes the checkpoint.
    """
    total, origin = _stored_bytes(request, model)
    if origin == "weights_bytes" or model.quantization is not None:
        return Weights(total, origin)
    bits = ONLINE_BITS.get(shape.quantization or "")
    if bits is not None:
        kept = unquantised_parameters(model) * model.dtype_bytes
        total = kept + int((total - kept) / model.dtype_bytes * bits / 8)
    if shape.width != model.dtype_bytes:
        total = total * shape.width // model.dtype_bytes
    return Weights(total, origin)


def unquantised_parameters(model: ModelInfo) -> int:
    """Parameters that online quantisation leaves alone: embeddings, the head and norms."""
    embeddings = round_up(model.vocab, 64) * model.hidden * (1 if model.tied else 2)
    return embeddings + (2 * len(model.layers) + 1) * model.hidden


def _stored_bytes(request: Model, model: ModelInfo) -> tuple[int, str]:
    if request.tensors is not None:
        return _from_tensors(request.tensors, model), "tensors"
    if request.weights_bytes is not None:
        return request.weights_bytes, "weights_bytes"
    if model.quantization is not None:
        raise PlanError(
            "plan.weights_unknown",
            "The checkpoint is quantised (%s) and neither its tensors nor their bytes are known." % model.quantization,
            ("Give model.tensors or model.weights_bytes (model_info reads both).",),
        )
    return parameters(model) * model.dtype_bytes, "config"


def _from_tensors(tensors: tuple[tuple[str, str, tuple[int, ...]], ...], model: ModelInfo) -> int:
    total = 0
    for name, dtype, shape in tensors:
        if model.tied and name.endswith("lm_head.weight"):
            continue  # a tied head is the embedding itself, even where the checkpoint stores it twice
        width = TENSOR_BYTES.get(dtype.upper())
        if width is None:
            raise PlanError("plan.unsupported_dtype", "Tensor '%s' has the unknown element type %s." % (name, dtype))
        if dtype.upper() in ("F32", "F64", "F16", "BF16") and model.quantization is None:
            width = model.dtype_bytes  # loaded in the model's own type
        elements = 1
        for size in shape:
            elements *= size
        total += elements * width
    return total


def parameters(model: ModelInfo) -> int:
    """Parameters that vLLM creates for ``model`` (embeddings padded to 64), from its architecture."""
    if model.family in MLA:
        raise PlanError(
            "plan.weights_unknown",
            "The weights of models of type '%s' cannot be derived from their config." % model.family,
            ("Give model.tensors or model.weights_bytes (model_info reads both).",),
        )
    hidden, head_dim = model.hidden, model.head_dim
    vocab = round_up(model.vocab, 64)
    q_width, kv_width = model.heads * head_dim, model.kv_heads * head_dim
    attention = hidden * (q_width + 2 * kv_width) + q_width * hidden
    if model.attention_bias:
        attention += q_width + 2 * kv_width
        if model.family not in ("qwen2", "qwen2_moe"):
            attention += hidden
    if model.family == "gpt_oss":
        attention += model.heads  # attention sinks
    if model.qk_norm:
        attention += 2 * head_dim
    norms = 2 * hidden * (2 if model.family in ("gemma2", "gemma3_text", "glm4") else 1)
    layers = len(model.layers)
    total = layers * (attention + norms) + (layers - model.moe_layers) * 3 * hidden * model.intermediate
    if model.experts:
        expert = 3 * hidden * model.moe_intermediate
        router = hidden * model.experts
        if model.family == "gpt_oss":
            expert += 2 * model.moe_intermediate + hidden
            router += model.experts
        shared = 3 * hidden * model.shared_intermediate
        if model.family == "qwen2_moe":
            shared += hidden  # the gate of the shared expert
        total += model.moe_layers * (model.experts * expert + router + shared)
    return total + vocab * hidden * (1 if model.tied else 2) + hidden


def rank_bytes(weights: Weights, model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """Bytes on one rank. ``weights_bytes`` of a request are a sum over ranks; the rest describes the checkpoint.

    A checkpoint is divided but for the norms and the KV heads that must be repeated, and each rank adds its table of
    rotary angles.
    """
    total, ranks = weights.total, shape.tensor
    if weights.origin == "weights_bytes":
        return total // ranks
    rotary = (model.max_model_len or 0) * model.head_dim * model.dtype_bytes
    if ranks == 1:
        return total + rotary
    if ranks > model.kv_heads and model.family not in MLA:
        total += len(model.layers) * 2 * model.hidden * model.head_dim * (ranks - model.kv_heads) * model.dtype_bytes
    copied = (len(model.layers) * 2 + 1) * model.hidden * model.dtype_bytes
    return (total - copied) // ranks + copied + rotary
