# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""vLLM's arithmetic of the KV cache: layers to groups, memory to blocks, blocks to tokens. Exact to the block."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.info import ModelInfo
from ..shape import Shape
from .groups import GroupPlan, grouped
from .rules import rules
from .specs import tables
from .widths import KV_DTYPE_BYTES, ceil_div, element_bytes

__all__ = [
    "KV_DTYPE_BYTES",
    "Group",
    "KvLayout",
    "KvPool",
    "blocks_of_request",
    "ceil_div",
    "element_bytes",
    "in_flight",
    "layout",
    "longest",
    "needed_bytes",
    "pool",
    "request_blocks",
    "request_bytes",
    "stage_layers",
]


@dataclass(frozen=True)
class Group:
    """Layers that share one table of blocks; ``window`` in tokens (0: none), ``fixed`` blocks that a request holds
    whatever its length (recurrent states, cross attention), ``block`` tokens."""

    kind: str
    layers: int
    window: int
    block: int = 16
    fixed: int = 0
    page_bytes: int = 0


@dataclass(frozen=True)
class KvLayout:
    """``page_bytes``: one block of a layer; ``block_bytes``: of the widest group; ``token_bytes``: of all layers.

    ``block_size`` is that of attention in tokens; ``state_bytes`` are one request's recurrent states, all on one rank.
    """

    block_size: int
    page_bytes: int
    block_bytes: int
    token_bytes: int
    groups: tuple[Group, ...]
    state_bytes: int = 0


@dataclass(frozen=True)
class KvPool:
    """What a cache holds: blocks (one of them set apart), tokens as the release prints them, and requests."""

    num_blocks: int
    tokens: int
    max_concurrency: float


def in_flight(shape: Shape) -> int:
    """Most tokens that are scheduled and not yet settled: an asynchronous scheduler is one batch ahead."""
    if not rules(shape.version).in_flight:
        return shape.tokens
    ahead = shape.async_scheduling and (shape.pipeline == 1 or shape.version >= (0, 29))
    return shape.tokens * (shape.pipeline + 1 if ahead else shape.pipeline)


def stage_layers(count: int, stages: int, stage: int) -> range:
    """The layers of one pipeline stage: an even share, what is left over goes to the stages before the last."""
    if stages <= 1:
        return range(count)
    sizes = [count // stages] * stages
    left = count % stages
    for back in range(2, left + 2):
        sizes[-back] += 1
    start = sum(sizes[:stage])
    return range(start, start + sizes[stage])


def layout(model: ModelInfo, shape: Shape, stage: int = 0) -> KvLayout:
    """Groups and pages of one rank of pipeline stage ``stage``. Raises PlanError where the release refuses."""
    rule = rules(shape.version)
    found, block = tables(model, shape, rule)
    hybrid = shape.hybrid_manager
    if any(layer.kind == "chunked" for layer in model.distinct):
        hybrid = hybrid and rule.chunk_groups and not shape.speculative_tokens
    plans = grouped(found, rule, hybrid)
    if shape.pipeline > 1:
        own = stage_layers(len(model.layers), shape.pipeline, stage)
        # What a draft adds is on the last stage.
        last = stage == shape.pipeline - 1
        plans = [_projected(plan, own, len(model.layers) if last else None) for plan in plans]
    groups = tuple(_group(plan) for plan in plans)
    widths = [sum(member.spec.page * len(member.layers) for member in plan.members) for plan in plans]
    tokens = sum(member.spec.token_bytes * len(member.layers) for plan in plans for member in plan.members)
    states = sum(
        member.spec.page * len(member.layers) * member.spec.fixed
        for plan in plans
        if plan.spec.kind == "state"
        for member in plan.members
    )
    return KvLayout(
        block_size=block,
        page_bytes=max((group.page_bytes for group in groups), default=0),
        block_bytes=max(widths, default=0),
        token_bytes=tokens,
        groups=groups,
        state_bytes=states,
    )


def _projected(plan: GroupPlan, own: range, drafts_from: int | None) -> GroupPlan:
    def mine(layer: int) -> bool:
        return layer in own or (drafts_from is not None and layer >= drafts_from)

    members = tuple(member._replace(layers=tuple(filter(mine, member.layers))) for member in plan.members)
    return plan._replace(members=members)


def _group(plan: GroupPlan) -> Group:
    spec = plan.spec
    return Group(
        kind="full" if spec.kind == "mla" and all(member.spec.kind == "full" for member in plan.members) else spec.kind,
        layers=sum(len(member.layers) for member in plan.members),
        window=spec.window,
        block=spec.block,
        fixed=spec.fixed,
        page_bytes=max((member.spec.page for member in plan.members), default=0),
    )


def blocks_of_request(group: Group, length: int, scheduled: int) -> int:
    """Most blocks that one request of ``length`` tokens holds in ``group`` while ``scheduled`` tokens are under way."""
    if group.fixed:
        return group.fixed
    if group.kind in ("sliding", "sliding_mla"):
        return ceil_div(min(group.window - 1 + scheduled, length), group.block) + 1
    if group.kind == "chunked":
        return ceil_div(min(group.window + scheduled, length), group.block)
    return ceil_div(length, group.block)


def request_blocks(kv: KvLayout, length: int, shape: Shape) -> int:
    """Blocks that one request of ``length`` tokens holds, of all groups."""
    scheduled = in_flight(shape)
    return sum(blocks_of_request(group, length, scheduled) for group in kv.groups)


def request_bytes(kv: KvLayout, length: int, shape: Shape) -> int:
    """KV bytes that one request of ``length`` tokens holds on one rank, padding of the groups included."""
    return request_blocks(kv, length, shape) * kv.block_bytes


def pool(kv: KvLayout, available: int, length: int, shape: Shape) -> KvPool:
    """What ``available`` bytes hold, counted the way the release prints it. A model without a cache has no tokens."""
    if not kv.block_bytes:
        return KvPool(1 if not kv.groups else 0, 0, 0.0)
    rule = rules(shape.version)
    blocks = max(0, available) // kv.block_bytes
    needed = request_blocks(kv, length, shape)
    concurrency = blocks / needed
    if rule.concurrency_tokens:
        tokens = int(concurrency * length)  # in floating point, as vLLM rounds it
    elif rule.group_tokens:
        tokens = blocks // len(kv.groups) * min(group.block or kv.block_size for group in kv.groups)
    else:
        tokens = blocks * kv.block_size
    return KvPool(blocks, tokens, concurrency)


def needed_bytes(kv: KvLayout, length: int, shape: Shape) -> int:
    """Least KV memory with which the engine starts: one request, and from 0.29 on the null block set apart."""
    rule = rules(shape.version)
    if rule.layer_sum:
        return _sum_over_layers(kv, length, shape)
    spare = kv.block_bytes if rule.null_block else 0
    if rule.every_group or not kv.groups:
        return request_bytes(kv, length, shape) + spare
    return blocks_of_request(kv.groups[0], length, in_flight(shape)) * kv.block_bytes + spare


def _sum_over_layers(kv: KvLayout, length: int, shape: Shape) -> int:
    """Before 0.14 each layer was counted for itself, before groups were made."""
    scheduled, out = in_flight(shape), 0
    for group in kv.groups:
        out += group.layers * group.page_bytes * blocks_of_request(group, length, scheduled)
    return out


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
