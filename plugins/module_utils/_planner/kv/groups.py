# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Tables to groups: which layers share one list of blocks, and how their pages are made equal, as vLLM does it."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import PlanError
from .rules import Rules
from .specs import Spec
from .widths import ceil_div


class Member(NamedTuple):
    """Layers of one group that have pages of one size."""

    spec: Spec
    layers: tuple[int, ...]


class GroupPlan(NamedTuple):
    """One group before it is cut into pipeline stages; ``spec`` speaks for all its members."""

    spec: Spec
    members: tuple[Member, ...]


_FULL_LIKE = frozenset(("full", "mla"))
_WINDOWED = frozenset(("sliding", "chunked"))


def grouped(tables: list[tuple[Spec, list[int]]], rules: Rules, hybrid_manager: bool) -> list[GroupPlan]:
    """Groups of the whole model. Raises PlanError where the release cannot pair their pages."""
    if not tables:
        return []
    if not hybrid_manager or not rules.hybrid_manager:
        tables = promoted(tables)
        if not _uniform(tables) or any(spec.kind == "sliding_mla" for spec, _layers in tables):
            raise PlanError(
                "plan.unsupported_model",
                "Without the hybrid KV cache manager all layers must keep one kind of cache, and this model's do not.",
                ("Leave disable-hybrid-kv-cache-manager out.", "Choose vllm_version 0.9.1 or newer."),
            )
    if len(tables) == 1 or _uniform(tables):
        return [_together(tables)]
    if any(spec.kind == "sliding_mla" for spec, _layers in tables):
        return packed(tables)
    return _equal_groups(unified(tables, rules), rules)


def _uniform(tables: list[tuple[Spec, list[int]]]) -> bool:
    """Whether all layers need the same number of blocks, so that one group holds them."""
    first = tables[0][0]
    if any(spec.block != first.block for spec, _layers in tables):
        return False
    if first.kind in _FULL_LIKE:
        return all(spec.kind in _FULL_LIKE for spec, _layers in tables)
    if first.kind == "state":
        return all(
            spec.kind == "state" and spec[2:4] == first[2:4] and spec.fixed == first.fixed for spec, _l in tables
        )
    return all(spec.kind == first.kind and spec.window == first.window for spec, _layers in tables)


def _together(tables: list[tuple[Spec, list[int]]]) -> GroupPlan:
    return GroupPlan(tables[0][0], tuple(Member(spec, tuple(layers)) for spec, layers in tables))


def promoted(tables: list[tuple[Spec, list[int]]]) -> list[tuple[Spec, list[int]]]:
    """Without the hybrid manager windows are kept like full attention, if there is any beside them."""
    if _uniform(tables) or not any(spec.kind in _FULL_LIKE for spec, _layers in tables):
        return tables
    block = next(spec.block for spec, _layers in tables if spec.kind in _FULL_LIKE)
    out: dict[Spec, list[int]] = {}
    for spec, layers in tables:
        if spec.kind in _WINDOWED:
            spec = spec._replace(kind="full", block=block, page=spec.page * block // spec.block, window=0)
        out.setdefault(spec, []).extend(layers)
    return [(spec, sorted(layers)) for spec, layers in out.items()]


def unified(tables: list[tuple[Spec, list[int]]], rules: Rules) -> list[tuple[Spec, list[int]]]:
    """Equal pages: larger blocks where the sizes divide, padding where they do not."""
    largest = max(spec.page for spec, _layers in tables)
    out = []
    for spec, layers in tables:
        if spec.page == largest:
            pass
        elif not rules.scale_blocks:
            raise _cannot("pages of %d and %d bytes" % (spec.page, largest))
        elif spec.kind == "state":
            spec = spec._replace(page=largest)
        elif largest % spec.page == 0:
            spec = spec._replace(block=spec.block * (largest // spec.page), page=largest)
        elif rules.pad_pages and spec.kind != "mla":
            spec = spec._replace(page=largest)
        else:
            raise _cannot("pages of %d and %d bytes, neither of which divides the other," % (spec.page, largest))
        out.append((spec, layers))
    return out


def _cannot(what: str) -> PlanError:
    return PlanError(
        "plan.unsupported_model",
        "This release cannot keep %s in one KV cache." % what,
        ("Choose a newer vllm_version, another kv-cache-dtype or another tensor-parallel-size.",),
    )


def _equal_groups(tables: list[tuple[Spec, list[int]]], rules: Rules) -> list[GroupPlan]:
    """Groups of equally many layers: as many as the rarest kind has, the last of each kind padded."""
    kinds: dict[tuple[object, ...], tuple[Spec, list[int]]] = {}
    for spec, layers in tables:
        key = (spec.kind, spec.block, spec.page, spec.window, spec.merge, spec.fixed)
        if key in kinds:
            kinds[key][1].extend(layers)
        else:
            kinds[key] = (spec, list(layers))
    counts = [len(layers) for _spec, layers in kinds.values()]
    smallest, most = min(counts), max(counts)
    # One layer more or less, as a draft model brings, must not halve the groups: then the larger count is the size.
    size = most if most < smallest * rules.larger_group else smallest
    out = []
    for spec, layers in kinds.values():
        layers.sort()
        parts = ceil_div(len(layers), size)
        out += [GroupPlan(spec, (Member(spec, tuple(layers[part::parts])),)) for part in range(parts)]
    return out


def packed(tables: list[tuple[Spec, list[int]]]) -> list[GroupPlan]:
    """Pages of different sizes side by side in a block (DeepSeek V4): what repeats one pattern is split alike."""
    buckets: list[list[tuple[Spec, list[int]]]] = []
    for entry in tables:
        for bucket in buckets:
            if _uniform([*bucket, entry]):
                bucket.append(entry)
                break
        else:
            buckets.append([entry])
    sizes = [_by_page(bucket) for bucket in buckets]
    balanced = [len({len(layers) for layers in pages.values()}) == 1 for pages in sizes]
    repeats = [max(len(layers) for layers in pages.values()) for pages in sizes]
    floor = max((repeats[i] for i, pages in enumerate(sizes) if balanced[i] and len(pages) > 1), default=0)
    per_group = _least_padding([repeats[i] for i in range(len(sizes)) if balanced[i]], floor) if floor else 0

    def parts(i: int) -> int:
        return ceil_div(repeats[i], per_group) if balanced[i] and per_group else 1

    def stateful(i: int) -> bool:
        return buckets[i][0][0].kind == "state" or (not per_group and buckets[i][0][0].kind.startswith("sliding"))

    anchor = 0
    for i, pages in enumerate(sizes):
        count = sum(len(layers) for layers in pages.values()) if stateful(i) else parts(i)
        anchor = max(anchor, sum(ceil_div(len(layers), count) * page for page, layers in pages.items()))
    out = []
    for i, bucket in enumerate(buckets):
        count = parts(i)
        if stateful(i):
            fitting = max(1, anchor // bucket[0][0].page)
            count = max(count, ceil_div(sum(len(layers) for _spec, layers in bucket), fitting))
        if count == 1:
            out.append(_together(bucket))
            continue
        # Layers of a pattern stay together: the n-th of each page size.
        for part in range(count):
            shortest = min(len(layers) for layers in sizes[i].values())
            members = []
            for page, layers in sizes[i].items():
                spec = next(spec for spec, _layers in bucket if spec.page == page)
                members.append(Member(spec, tuple(layers[:shortest][part::count])))
            out.append(GroupPlan(bucket[0][0], tuple(members)))
    return out


def _by_page(bucket: list[tuple[Spec, list[int]]]) -> dict[int, list[int]]:
    pages: dict[int, list[int]] = {}
    for spec, layers in bucket:
        pages.setdefault(spec.page, []).extend(layers)
    return pages


def _least_padding(values: list[int], floor: int) -> int:
    """The size from ``floor`` up to which all ``values`` are rounded up with the least waste; the larger of equals."""
    best, waste = floor, None
    for size in range(max(1, floor), max(values) + 1):
        lost = sum(-value % size for value in values)
        if waste is None or lost <= waste:
            best, waste = size, lost
    return best
