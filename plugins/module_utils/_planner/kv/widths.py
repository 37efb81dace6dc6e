# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Bytes of what is cached: one token of an attention layer, one state of a recurrent one; on one rank."""

from __future__ import annotations

from ..errors import PlanError
from ..model.layers import Cache, Layer, State
from ..shape import Shape

KV_DTYPE_BYTES = {
    "auto": 0, "bfloat16": 2, "float16": 2, "half": 2, "float32": 4,
    "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1, "fp8_ds_mla": 1, "nvfp4_ds_mla": 1,
    "int8_per_token_head": 1, "fp8_per_token_head": 1, "int4_per_token_head": 1, "nvfp4": 1, "nvfp4_4over6": 1,
}  # fmt: skip
_SCALED = frozenset(("int8_per_token_head", "fp8_per_token_head", "int4_per_token_head"))
# Sparse latent attention packs what it keeps of a token: values, rotary part and scales.
_PACKED_LATENT = {"fp8_ds_mla": 656, "nvfp4_ds_mla": 352}
_SSM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_FLOAT32 = 4


def ceil_div(value: int, divisor: int) -> int:
    return -(-value // divisor)


def element_bytes(shape: Shape) -> int:
    """Bytes of one element of the cache."""
    try:
        return KV_DTYPE_BYTES[shape.kv_dtype] or shape.width
    except KeyError:
        raise PlanError(
            "plan.unsupported_kv_cache_dtype",
            "kv-cache-dtype %s cannot be planned." % shape.kv_dtype,
            ("Choose one of %s." % ", ".join(sorted(KV_DTYPE_BYTES)),),
        ) from None


def local_heads(kv_heads: int, tensor: int) -> int:
    """KV heads on one rank; they are repeated when there are more ranks than heads."""
    return max(1, kv_heads // tensor)


def attention_bytes(layer: Layer, shape: Shape, sparse: bool = False) -> int:
    """Bytes of one token in one attention layer; ``sparse``: a latent one that picks its tokens by an indexer."""
    if layer.kind == "mla":
        packed = _PACKED_LATENT.get(latent_dtype(shape) if sparse else shape.kv_dtype)
        return packed or layer.head_size * element_bytes(shape)
    heads, dtype = local_heads(layer.kv_heads, shape.tensor), shape.kv_dtype
    key, value, width = layer.head_size, layer.head_size_v, element_bytes(shape)
    if dtype.startswith("nvfp4"):
        key, value = key // 2 + key // 16, value // 2 + value // 16
    elif dtype == "int4_per_token_head":
        key, value = key // 2, value // 2
    scales = 2 * _FLOAT32 if dtype in _SCALED else 0
    return heads * ((key + value) * width + scales)


def latent_dtype(shape: Shape) -> str:
    """The KV type that sparse latent attention ends up with: its fp8 has a form of its own on most cards."""
    if shape.kv_dtype in _PACKED_LATENT or shape.gpu is None:
        return shape.kv_dtype
    capability = shape.gpu.capability or (0, 0)
    if capability >= (12, 0) and shape.kv_dtype in ("auto", "fp8", "fp8_e4m3"):
        return "fp8_ds_mla"
    # Data-centre Blackwell reads plain fp8 since FlashInfer comes first for it.
    if (capability < (10, 0) or shape.version < (0, 19)) and shape.kv_dtype.startswith("fp8"):
        return "fp8_ds_mla"
    return shape.kv_dtype


def cache_bytes(cache: Cache, shape: Shape) -> int:
    """Bytes of one entry of a side cache; cross attention is split over ranks, latents and indexers are not."""
    if cache.entry_bytes:
        return cache.entry_bytes
    width = cache.element or element_bytes(shape)
    heads = local_heads(cache.heads, shape.tensor) if cache.kind == "cross" else 1
    return heads * (cache.size + cache.size_v) * width


def state_bytes(state: State, shape: Shape) -> int:
    """Bytes of one state of one recurrent layer on one rank."""
    ranks, extra = shape.tensor, shape.speculative_tokens if state.speculative else 0
    channels = state.conv
    if state.groups:
        groups = state.groups if state.groups % ranks == 0 else ranks
        channels += 2 * groups * state.group_size
    convolution = ceil_div(channels, ranks) * (state.conv_length + extra) * shape.width
    return convolution + ceil_div(state.heads, ranks) * state.rows * state.columns * ssm_bytes(state, shape)


def ssm_bytes(state: State, shape: Shape) -> int:
    """Bytes of one element of the recurrent state."""
    name = shape.engine_args.get("mamba-ssm-cache-dtype")
    if not isinstance(name, str) or name == "auto":
        name = state.ssm_dtype
        if state.kind == "mamba2" and shape.version < (0, 13):
            name = "auto"  # before, nobody read what the config says
        elif name == "release":
            name = "float32" if shape.version >= (0, 20) else "float16"
    return _SSM_BYTES.get(name, shape.width)
