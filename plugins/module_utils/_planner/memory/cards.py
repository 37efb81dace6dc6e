# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What a card's make says of its memory: multiprocessors, what the driver keeps, what a CUDA context takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..catalogue import recognise

if TYPE_CHECKING:
    from ..request import Gpu

MIB = 2**20
GIB = 2**30

_UNIFIED = ("gb10", "gh200", "orin", "thor")
_CONTEXT_BYTES_PER_SM = int(3.7 * MIB)  # FIT: H100 0.51, A100 0.41, 4090 0.45, 5090 0.50, L4 0.19, PRO 6000 0.56 GiB


def multiprocessors(gpu: Gpu | None) -> int:
    """Streaming multiprocessors of ``gpu``; of one that is not known, as many as its size suggests."""
    if gpu is None:
        return 108
    card = recognise(gpu.name)
    if card is not None:
        return card.multiprocessors
    return max(20, min(148, int(gpu.usable_bytes / GIB * 2.5)))


def reserved_bytes(name: str, total: int) -> int:
    """What CUDA does not see of the ``total`` bytes that the driver names, where the driver does not say it itself."""
    card = recognise(name)
    if card is not None:
        return min(card.reserved, total // 16)
    return min(450 * MIB, total // 32)


def unified(gpu: Gpu | None) -> bool:
    """Whether the card shares the host's memory, so that free memory is what the host has left."""
    return gpu is not None and any(word in gpu.name.lower() for word in _UNIFIED)


def context_bytes(gpu: Gpu | None) -> int:
    """What CUDA's context and the first library handles take before an engine looks at the card."""
    return multiprocessors(gpu) * _CONTEXT_BYTES_PER_SM


def nvlink(gpu: Gpu | None) -> bool:
    """Whether cards of this make come joined by NVLink switches (data-centre boards that are not PCIe cards)."""
    if gpu is None:
        return False
    name = gpu.name.lower()
    return any(word in name for word in ("h100", "h200", "h800", "h20", "b200", "b300", "a100-sxm", "a800")) and (
        "pcie" not in name
    )


def peer_access(gpu: Gpu | None) -> bool:
    """Whether cards of this make may read each other's memory over PCIe: the driver allows GeForce cards none."""
    return gpu is None or "geforce" not in gpu.name.lower()
