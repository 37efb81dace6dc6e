# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""How a model is spread over GPUs, and the divisibility rules that vLLM checks at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from ..model.info import ModelInfo
from .quantized import Quantized


@dataclass(frozen=True)
class Parallel:
    """Ranks of each kind; ``expert`` spreads whole experts over the ranks in place of slices of each."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: bool = False

    @property
    def ranks(self) -> int:
        return self.tensor * self.pipeline * self.data

    def stage(self, rank: int) -> int:
        """The pipeline stage of ``rank``; replicas follow each other, and in each the ranks of a stage."""
        return rank % (self.tensor * self.pipeline) // self.tensor

    def shown(self) -> str:
        parts = [(self.tensor, "tensor"), (self.pipeline, "pipeline"), (self.data, "data")]
        named = ["%s parallel %d" % (name, size) for size, name in parts if size > 1]
        return ", ".join(named + (["expert parallel"] if self.expert else [])) or "one GPU"


@dataclass(frozen=True)
class Obstacle:
    """Why a layout does not work (or, where not ``fatal``, works badly); ``expert``: expert parallelism removes it."""

    text: str
    expert: bool = False
    fatal: bool = True


def obstacles(
    model: ModelInfo, parallel: Parallel, quantized: Quantized | None, version: tuple[int, ...]
) -> list[Obstacle]:
    """Everything that keeps ``model`` from running as ``parallel``, in the order in which vLLM would meet it."""
    found = list(_plain(model, parallel))
    if quantized is not None:
        found += _grouped(model, parallel, quantized, version)
    return found


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _plain(model: ModelInfo, parallel: Parallel) -> Iterator[Obstacle]:
    size = parallel.tensor
    if parallel.pipeline > len(model.layers):
        yield Obstacle("%d layers for %d pipeline stages" % (len(model.layers), parallel.pipeline))
    if parallel.pipeline > 1 and model.encoder is not None:
        yield Obstacle("an encoder, which cannot be split into pipeline stages")
    if model.heads % size:
        yield Obstacle("%d attention heads" % model.heads)
    if _round_up(model.vocab, 64) % size:
        yield Obstacle("a padded vocabulary of %d" % _round_up(model.vocab, 64))
    if size > 1:
        for heads in sorted({layer.kv_heads for layer in model.layers if layer.kind in ("full", "sliding", "chunked")}):
            if max(size, heads) % max(1, min(size, heads)):
                yield Obstacle("%d KV heads" % heads)
        for width in sorted(_dense_widths(model)):
            if width % size:
                yield Obstacle("a feed-forward width of %d" % width)
    if model.experts and size > model.experts:
        yield Obstacle("%d experts" % model.experts)
    elif model.experts and not parallel.expert:
        ranks = expert_slices(parallel)
        if ranks > model.experts:
            yield Obstacle("%d experts" % model.experts, expert=True)
        elif model.moe_intermediate % ranks:
            yield Obstacle("an expert width of %d" % model.moe_intermediate, expert=True)


def expert_slices(parallel: Parallel) -> int:
    """Into how many slices each expert is cut: replicas of the attention share the experts."""
    return 1 if parallel.expert else parallel.tensor * parallel.data


def _dense_widths(model: ModelInfo) -> set[int]:
    widths = {layer.intermediate for layer in model.layers if layer.mlp == "dense" and layer.intermediate}
    if model.shared_intermediate:
        widths.add(model.shared_intermediate)
    return widths


def _grouped(
    model: ModelInfo, parallel: Parallel, quantized: Quantized, version: tuple[int, ...]
) -> Iterator[Obstacle]:
    """Shards whose quantisation groups or blocks would be cut in two."""
    size, group = parallel.tensor, quantized.group
    block_n, block_k = quantized.block_n, quantized.block_k
    head_v = model.mla.v_head_dim if model.mla is not None else model.head_dim
    attention = model.heads * head_v if quantized.attention else 0
    inputs = dict.fromkeys(_dense_widths(model), "the feed-forward width")
    if attention:
        inputs[attention] = "the attention output"
    if size > 1:
        for width, what in sorted(inputs.items()):
            if width % size:
                continue  # told already
            if group and width > group and (width // size) % group:
                yield Obstacle("%s of %d / %d = %d, cutting a quantisation group of %d"
                               % (what, width, size, width // size, group))  # fmt: skip
            if block_k and (width // size) % block_k:
                yield Obstacle("%s of %d / %d = %d, no multiple of the FP8 block of %d"
                               % (what, width, size, width // size, block_k))  # fmt: skip
        if block_n and quantized.attention and model.mla is None and version < (0, 14):
            keys = max(1, model.kv_heads // size) * model.head_dim
            if keys % block_n:
                yield Obstacle("key heads of %d elements a GPU, no multiple of the FP8 block of %d" % (keys, block_n))
    if model.experts and model.moe_intermediate:
        yield from _expert_groups(model, parallel, quantized, version)


def _expert_groups(
    model: ModelInfo, parallel: Parallel, quantized: Quantized, version: tuple[int, ...]
) -> Iterator[Obstacle]:
    slices = expert_slices(parallel)
    if model.moe_intermediate % slices:
        return  # told already
    width = model.moe_intermediate // slices
    shown = "an expert width of %d / %d = %d" % (model.moe_intermediate, slices, width)
    if quantized.block_n and width % quantized.block_n:
        yield Obstacle("%s, no multiple of the FP8 block of %d" % (shown, quantized.block_n), expert=slices > 1)
    if not quantized.four_bit or not quantized.group:
        return
    group = quantized.group
    if width % max(64, group) == 0:
        return
    # Without the fast kernels the group is halved until it divides, but not below 32.
    while group > 32 and (width % group or model.hidden % group):
        group //= 2
    broken = bool(width % group) or version < (0, 9, 2)
    text = "%s, cutting a quantisation group of %d" % (shown, quantized.group)
    yield Obstacle(text, expert=slices > 1, fatal=broken)
