# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""How the kernels of a card change what a checkpoint's format takes once it is loaded, and online formats."""

from __future__ import annotations

from ..model.quantization import FP8, FP8_CHANNEL, INT8_CHANNEL, MXFP4, MXFP8, NVFP4, Scheme
from ..shape import Shape
from .weights_formats import NO_PADDING, Padding

# What vLLM makes of a plain checkpoint's linear layers and experts while it loads.
ONLINE = {
    "fp8": FP8, "fp8_per_tensor": FP8, "fp8_per_block": Scheme("fp8_block", 8, 128, 4, 128),
    "fp8_per_channel": FP8_CHANNEL, "int8_per_channel_weight_only": INT8_CHANNEL, "experts_int8": INT8_CHANNEL,
    "mxfp8": MXFP8, "mxfp4": MXFP4, "nvfp4_per_token": NVFP4, "bitsandbytes": Scheme("nf4", 4, 64, 4),
}  # fmt: skip


def online(shape: Shape) -> Scheme | None:
    """The format that ``--quantization`` gives a plain checkpoint, None for none."""
    return ONLINE.get((shape.quantization or "").replace("-", "_"))


def _capability(shape: Shape) -> tuple[int, int] | None:
    return shape.gpu.capability if shape.gpu is not None else None


def as_loaded(scheme: Scheme | None, shape: Shape) -> Scheme | None:
    """``scheme`` as the card holds it.

    Cards below 8.9 have no FP8 units: Marlin keeps one 16-bit scale for each output, where the checkpoint has one for
    a tile of them.
    """
    capability = _capability(shape)
    if scheme is None or capability is None or capability >= (8, 9):
        return scheme
    if scheme.name == "fp8_block":
        return Scheme("fp8_block_marlin", 8, scheme.group, 2)
    if scheme.name in ("fp8", "fp8_channel"):
        return Scheme("fp8_marlin", 8, 0, 2)
    return scheme


def repacked(scheme: Scheme | None) -> bool:
    """Whether loading lays a layer out anew: it then takes over memory that was given back, without slack."""
    return scheme is not None and (scheme.name.startswith(("int", "mxfp4", "nf4")) or scheme.name.endswith("marlin"))


def padding(scheme: Scheme | None, shape: Shape) -> Padding:
    """Multiples to which MXFP4 experts are padded: Hopper's Triton layout widens one side, Marlin and TRT-LLM both."""
    capability = _capability(shape)
    if scheme is None or scheme.name != "mxfp4":
        return NO_PADDING
    if capability is None:
        return Padding(32, 32)  # whole groups
    if capability[0] == 9:
        return Padding(256, 1)
    return Padding(256, 128)
