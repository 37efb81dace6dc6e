# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Weights of a model in bytes, for all ranks together and for one of them."""

from __future__ import annotations

from .errors import PlanError
from .model import MLA, ModelInfo
from .request import Model

TENSOR_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def weights_bytes(request: Model, model: ModelInfo) -> tuple[int, str]:
    """Bytes of all weights as loaded and where the figure comes from (tensors, weights_bytes or config)."""
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


def rank_bytes(total: int, model: ModelInfo, tensor_parallel: int) -> int:
    """Bytes on one rank: everything is divided but the norms and what KV heads must be repeated."""
    if tensor_parallel == 1:
        return total
    copied = len(model.layers) * 2 * model.hidden + model.hidden
    if tensor_parallel > model.kv_heads and model.family not in MLA:
        extra = tensor_parallel - model.kv_heads
        copied_kv = len(model.layers) * 2 * model.hidden * model.head_dim * extra
        total += copied_kv * model.dtype_bytes
    copied_bytes = copied * model.dtype_bytes
    return (total - copied_bytes) // tensor_parallel + copied_bytes
