# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""vLLM's arithmetic of the KV cache: layers to groups, memory to blocks, blocks to tokens. Exact for what it covers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..model.info import Layer, ModelInfo
from ..shape import Shape

KV_DTYPE_BYTES = {
    "auto": 0, "bfloat16": 2, "float16": 2, "half": 2, "float32": 4,
    "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Layers that share one table of blocks; ``window`` in tokens, 0 for none."""

    kind: str
    layers: int
    window: int


@dataclass(frozen=True)
class KvLayout:
    """``page_bytes``: one block of a layer; ``block_bytes``: of the widest group; ``token_bytes``: of all layers."""

    block_size: int
    page_bytes: int
    block_bytes: int
    token_bytes: int
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class KvPool:
    num_blocks: int
    tokens: int
    max_concurrency: float


def ceil_div(value: int, divisor: int) -> int:
    return -(-value // divisor)


def element_bytes(shape: Shape) -> int:
    """Bytes of one element of the cache."""
    return KV_DTYPE_BYTES[shape.kv_dtype] or shape.width


def in_flight(shape: Shape) -> int:
    """Most tokens that are scheduled at once: an asynchronous scheduler prepares the next batch meanwhile."""
    return shape.tokens * (2 if shape.async_scheduling else 1)


def layer_page_bytes(layer: Layer, block_size: int, width: int, tensor_parallel: int) -> int:
    """Bytes of one block of one layer on one rank; KV heads are repeated when there are more ranks than heads."""
    heads = layer.kv_heads if layer.kind == "mla" else max(1, layer.kv_heads // tensor_parallel)
    return heads * block_size * (layer.head_size + layer.head_size_v) * width


def layout(model: ModelInfo, shape: Shape, stage: int = 0) -> KvLayout:
    """Group the layers of one pipeline stage as vLLM does.

    Sliding layers start from a block that the kernels take whole, whatever the user asked for; pages are then made
    equal by scaling the others. All layers of the planned models have one width, so one block size results.
    """
    layers, block_size, width = model.layers, shape.block_size or 16, element_bytes(shape)
    if any(layer.kind == "sliding" for layer in layers):
        block_size = max(block_size, shape.kernel_block)
    pages = [layer_page_bytes(layer, block_size, width, shape.tensor) for layer in layers]
    kinds: dict[tuple[str, int], int] = {}
    for layer in layers:
        key = (layer.kind, layer.window)
        kinds[key] = kinds.get(key, 0) + 1
    smallest, largest = min(kinds.values()), max(kinds.values())
    # One layer more or less, as a draft model brings, must not halve the groups: then the larger count is the size.
    size = largest if largest < smallest * 1.5 else smallest
    groups = []
    for (kind, window), count in kinds.items():
        parts = ceil_div(count, size)
        groups += [Group(kind, len(range(part, count, parts)), window) for part in range(parts)]
    slots = max(group.layers for group in groups)
    return KvLayout(block_size, max(pages), max(pages) * slots, sum(pages) // block_size, tuple(groups))


def blocks_of_request(group: Group, length: int, block_size: int, in_flight: int) -> int:
    """Most blocks that one request of ``length`` tokens holds in ``group`` while ``in_flight`` tokens are scheduled."""
    if group.kind == "sliding":
        return ceil_div(min(group.window - 1 + in_flight, length), block_size) + 1
    return ceil_div(length, block_size)


def request_blocks(kv: KvLayout, length: int, shape: Shape) -> int:
    scheduled = in_flight(shape)
    return sum(blocks_of_request(group, length, kv.block_size, scheduled) for group in kv.groups)


def request_bytes(kv: KvLayout, length: int, shape: Shape) -> int:
    """KV bytes that one request of ``length`` tokens holds on one rank, padding of the groups included."""
    return request_blocks(kv, length, shape) * kv.block_bytes


def pool(kv: KvLayout, available: int, length: int, shape: Shape) -> KvPool:
    """What ``available`` bytes hold, counted the way the release prints it."""
    blocks = max(0, available) // kv.block_bytes
    share = Fraction(blocks, request_blocks(kv, length, shape))
    if shape.version >= (0, 20):
        tokens = int(share * length)
    elif shape.version >= (0, 11):
        tokens = blocks // len(kv.groups) * kv.block_size
    else:
        tokens = blocks * kv.block_size
    return KvPool(blocks, tokens, float(share))


def needed_bytes(kv: KvLayout, length: int, shape: Shape) -> int:
    """Least KV memory with which the engine starts: one request, and from 0.30 on the null block set apart."""
    return request_bytes(kv, length, shape) + (kv.block_bytes if shape.version >= (0, 30) else 0)


def longest(kv: KvLayout, available: int, limit: int, shape: Shape) -> int:
    """Longest request, at most ``limit`` tokens, that fits ``available`` bytes; 0 where none does."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if needed_bytes(kv, middle, shape) <= available:
            low = middle
        else:
            high = middle - 1
    return low
