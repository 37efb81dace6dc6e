# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Bytes of one layer's share on one rank, in the format that its checkpoint or the command line gives it."""

from __future__ import annotations

from typing import NamedTuple

from ..model.quantization import Scheme

MIB = 2**20


class Part(NamedTuple):
    """One linear layer of a model, or a vector (``outputs`` 1, not quantised), in elements of the whole model.

    ``names``: what checkpoints call it below its layer. ``split`` says which side ranks divide: out, in, or nothing
    where each rank has all. ``units``: outputs come in so many equal heads, of which each rank keeps at least one.
    ``bias`` elements come on top and go with the outputs. ``plain``: never quantised; ``width`` then overrides the
    bytes of an element (0: the model's). ``joined``: vLLM holds it in one tensor with the part before.
    """

    names: tuple[str, ...]
    inputs: int
    outputs: int = 1
    split: str = ""
    units: int = 0
    bias: int = 0
    plain: bool = False
    width: int = 0
    joined: bool = False


class Experts(NamedTuple):
    """The routed experts of one layer: each ``gates`` matrices of inputs x width and one back."""

    names: tuple[str, ...]
    total: int
    inputs: int
    width: int
    gates: int = 2
    bias: bool = False


class Padding(NamedTuple):
    """Multiples to which a kernel pads the hidden size and the width of an expert."""

    inputs: int = 1
    width: int = 1


NO_PADDING = Padding()


def vector(elements: int, split: str = "", width: int = 0) -> Part:
    """Elements that are no matrix: norms, sinks, biases of their own. ``split`` "out" divides them between ranks."""
    return Part((), 1, elements, split, 0, 0, True, width)


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def slack(size: int) -> int:
    """Bytes that the CUDA allocator of PyTorch gives a tensor of ``size`` bytes beyond what it asked for.

    Tensors of 10 MiB and more get blocks of whole 2 MiB; a rest of at most 1 MiB is not split off for others.
    """
    if size < 10 * MIB:
        return 0
    rest = -size % (2 * MIB)
    return rest if rest <= MIB else 0


def packed(inputs: int, outputs: int, scheme: Scheme) -> tuple[int, int]:
    """Bytes of a matrix of a quantised layer: its weights, and its scales, zero points and order."""
    weights = -(-int(inputs * outputs * scheme.bits) // 8)
    group = scheme.group
    if group < 0:
        return weights, scheme.scale
    if scheme.rows:
        return weights, -(-outputs // scheme.rows) * -(-inputs // group) * scheme.scale
    scales = outputs * (1 if group == 0 else -(-inputs // group))
    return weights, scales * scheme.scale + -(-scales * scheme.zeros // 8) + inputs * scheme.order


def part_bytes(part: Part, scheme: Scheme | None, tensor: int, width: int) -> tuple[int, int]:
    """Bytes of ``part`` on one of ``tensor`` ranks: its weights, and what comes on top of them.

    ``width`` are the bytes of an element that is not quantised.
    """
    inputs, outputs, bias = part.inputs, part.outputs, part.bias
    if tensor > 1:
        if part.split == "out":
            units = part.units
            if units:
                share = -(-units // tensor)
                bias = bias * share // units
                outputs = outputs // units * share
            else:
                outputs = -(-outputs // tensor)
                bias = -(-bias // tensor)
        elif part.split == "in":
            inputs = -(-inputs // tensor)
    if scheme is None or part.plain:
        return inputs * outputs * (part.width or width), bias * width
    weights, rest = packed(inputs, outputs, scheme)
    return weights, rest + bias * width


def experts_bytes(
    experts: Experts, scheme: Scheme | None, ranks: int, whole: bool, width: int, padding: Padding = NO_PADDING
) -> tuple[int, int]:
    """Bytes of the experts on the first of ``ranks`` that share them, and the allocator's slack.

    ``whole``: each expert stays on one rank; otherwise each rank has a slice of every one.
    """
    count, inner = experts.total, experts.width
    if whole:
        count = -(-count // ranks)
    else:
        inner = -(-inner // ranks)
    inputs = up(experts.inputs, padding.inputs)
    inner = up(inner, padding.width)
    bias = count * (experts.gates * inner + inputs) * width if experts.bias else 0
    if scheme is None:
        sizes = [count * experts.gates * inputs * inner * width, count * inputs * inner * width]
    else:
        sizes = [count * experts.gates * size for size in packed(inputs, inner, scheme)]
        sizes += [count * size for size in packed(inner, inputs, scheme)]
    return sum(sizes) + bias, sum(slack(size) for size in sizes)
