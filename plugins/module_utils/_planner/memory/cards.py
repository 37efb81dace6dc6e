# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What a card's make says of its memory: multiprocessors, what the driver keeps, what a CUDA context takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..request import Gpu

MIB = 2**20
GIB = 2**30

# (words that all stand in the name, multiprocessors, bytes of the board's memory that CUDA never sees, in MiB). First
# match wins. The second is physics of the chip; the third is the difference between what the driver calls total and
# what cudaMemGetInfo does, read from published logs (memory knowledge: H100 79.65 -> 79.19 GiB, L4 22.49 -> 22.03 ...).
_CARDS: tuple[tuple[tuple[str, ...], int, int], ...] = (
    (("h200",), 132, 610), (("gh200",), 132, 610), (("h100", "pcie"), 114, 470), (("h100", "nvl"), 132, 470),
    (("h100",), 132, 470), (("h800",), 132, 470), (("h20",), 78, 600), (("b200",), 148, 700), (("b300",), 148, 700),
    (("gb200",), 148, 700), (("gb10",), 48, 0), (("a100", "40gb"), 108, 522), (("a100",), 108, 768),
    (("a800",), 108, 768), (("a30",), 56, 460), (("a40",), 84, 600), (("a10g",), 80, 441), (("a10",), 72, 441),
    (("a6000",), 84, 600), (("a5000",), 64, 470), (("a4000",), 48, 440), (("l40s",), 142, 614), (("l40",), 142, 614),
    (("l4",), 58, 471), (("t4",), 40, 450), (("v100",), 80, 440), (("6000", "blackwell"), 188, 635),
    (("6000", "ada"), 142, 600), (("quadro rtx 6000",), 72, 342), (("5090",), 170, 492), (("5080",), 84, 460),
    (("5070 ti",), 70, 460), (("5070",), 48, 400), (("5060 ti",), 36, 440), (("4090",), 128, 481),
    (("4080",), 76, 440), (("4070 ti",), 60, 400), (("4070",), 46, 352), (("4060",), 24, 330), (("3090",), 82, 451),
    (("3080",), 68, 400), (("3070",), 46, 330), (("3060 ti",), 38, 330), (("3060",), 28, 380), (("3050",), 20, 250),
    (("2080 ti",), 68, 350),
)  # fmt: skip
_UNIFIED = ("gb10", "gh200", "orin", "thor")
_CONTEXT_BYTES_PER_SM = int(3.7 * MIB)  # FIT: H100 0.51, A100 0.41, 4090 0.45, 5090 0.50, L4 0.19, PRO 6000 0.56 GiB


def _entry(name: str) -> tuple[tuple[str, ...], int, int] | None:
    lowered = name.lower()
    return next((card for card in _CARDS if all(word in lowered for word in card[0])), None)


def multiprocessors(gpu: Gpu | None) -> int:
    """Streaming multiprocessors of ``gpu``; of one that is not known, as many as its size suggests."""
    if gpu is None:
        return 108
    entry = _entry(gpu.name)
    if entry is not None:
        return entry[1]
    return max(20, min(148, int(gpu.usable_bytes / GIB * 2.5)))


def reserved_bytes(name: str, total: int) -> int:
    """What CUDA does not see of the ``total`` bytes that the driver names, where the driver does not say it itself."""
    entry = _entry(name)
    if entry is not None:
        return min(entry[2] * MIB, total // 16)
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
