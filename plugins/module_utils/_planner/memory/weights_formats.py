# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Bytes of one layer's share on one rank, in the format that its checkpoint or the command line gives it."""

from __future__ import annotations

from typing import NamedTuple

from ..model.quantization import Scheme


class Part(NamedTuple):
    """One linear layer of a model, or a vector (``outputs`` 1, not quantised), in elements of the whole model.

    ``names``: what checkpoints call it below its layer. ``split`` says which side ranks divide: out, in, or nothing
    where each rank has all. ``units``: outputs come in so many equal heads, of which each rank keeps at least one.
    ``bias`` elements come on top and go with the outputs. ``plain``: never quantised; ``width`` then overrides the
    bytes of an element (0: the model's).
    """

    names: tuple[str, ...]
    inputs: int
    outputs: int = 1
    split: str = ""
    units: int = 0
    bias: int = 0
    plain: bool = False
    width: int = 0


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


def packed(inputs: int, outputs: int, scheme: Scheme) -> int:
    """Bytes of a matrix of a quantised layer, with its scales, zero points and order."""
    weights = -(-int(inputs * outputs * scheme.bits) // 8)
    group = scheme.group
    if group < 0:
        return weights + scheme.scale
    if scheme.rows:
        return weights + -(-outputs // scheme.rows) * -(-inputs // group) * scheme.scale
    scales = outputs * (1 if group == 0 else -(-inputs // group))
    return weights + scales * scheme.scale + -(-scales * scheme.zeros // 8) + inputs * scheme.order


def part_bytes(part: Part, scheme: Scheme | None, tensor: int, width: int) -> int:
    """Bytes of ``part`` on one of ``tensor`` ranks; ``width`` are the bytes of an element that is not quantised."""
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
        return inputs * outputs * (part.width or width) + bias * width
    return packed(inputs, outputs, scheme) + bias * width


def experts_bytes(
    experts: Experts, scheme: Scheme | None, ranks: int, whole: bool, width: int, padding: Padding = NO_PADDING
) -> int:
    """Bytes of the experts on the first of ``ranks`` that share them; ``whole``: each expert stays on one rank."""
    count, inner = experts.total, experts.width
    if whole:
        count = -(-count // ranks)
    else:
        inner = -(-inner // ranks)
    inputs = up(experts.inputs, padding.inputs)
    inner = up(inner, padding.width)
    bias = (experts.gates * inner + inputs) * width if experts.bias else 0
    if scheme is None:
        return count * ((experts.gates + 1) * inputs * inner * width + bias)
    own = experts.gates * packed(inputs, inner, scheme) + packed(inner, inputs, scheme)
    return count * (own + bias)
