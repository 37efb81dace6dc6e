# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""NVIDIA cards that a model may be sized for: what their driver says of them, and what CUDA can use of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..memory.cards import reserved_bytes

GIB = 2**30
MIB = 2**20
CONSUMER, PROFESSIONAL, DATA_CENTRE = "consumer", "professional", "data centre"


@dataclass(frozen=True)
class Card:
    """One product. ``total_bytes`` is what the driver reports, ``usable_bytes`` what CUDA sees of it.

    ``measured`` says whether the latter was read on such a card; else it is estimated from others. ``bandwidth`` is
    in bytes a second, ``most`` the number of cards that one host has at most.
    """

    key: str
    name: str
    total_bytes: int
    usable_bytes: int
    measured: bool
    capability: tuple[int, int]
    kind: str
    nvlink: bool
    bandwidth: int
    most: int

    def facts(self, index: int, display_bytes: int = 0) -> dict[str, Any]:
        """The card as an entry of a request's ``gpus``; ``display_bytes`` are held by a display or by others."""
        facts: dict[str, Any] = {
            "index": index,
            "name": self.name,
            "memory_total_bytes": self.total_bytes,
            "memory_usable_bytes": self.usable_bytes,
            "memory_free_bytes": max(0, self.usable_bytes - display_bytes),
            "compute_capability": "%d.%d" % self.capability,
        }
        if display_bytes:
            facts["display"] = True
        return facts


def _card(
    key: str,
    name: str,
    mib: int,
    seen: float,
    capability: tuple[int, int],
    kind: str,
    gbps: int,
    nvlink: bool,
    most: int,
) -> Card:
    total = mib * MIB
    full_name = name if name.startswith(("Tesla", "NVIDIA")) else "NVIDIA " + name
    usable = int(seen * GIB) if seen else total - reserved_bytes(full_name, total)
    return Card(key, full_name, total, usable, bool(seen), capability, kind, nvlink, gbps * 10**9, most)


# key, name as the driver writes it, MiB in total, GiB that CUDA sees (0: not measured), GB/s, NVLink, most in a host
_ROWS: dict[tuple[str, tuple[int, int]], tuple[tuple[str, str, int, float, int, bool, int], ...]] = {
    (CONSUMER, (8, 6)): (
        ("RTX 3060 12GB", "GeForce RTX 3060", 12288, 0, 360, False, 8),
        ("RTX 3060 Ti", "GeForce RTX 3060 Ti", 8192, 0, 448, False, 8),
        ("RTX 3070", "GeForce RTX 3070", 8192, 0, 448, False, 8),
        ("RTX 3080 10GB", "GeForce RTX 3080", 10240, 0, 760, False, 8),
        ("RTX 3080 Ti", "GeForce RTX 3080 Ti", 12288, 0, 912, False, 8),
        ("RTX 3090", "GeForce RTX 3090", 24576, 23.56, 936, True, 8),
        ("RTX 3090 Ti", "GeForce RTX 3090 Ti", 24564, 0, 1008, True, 8),
    ),
    (CONSUMER, (8, 9)): (
        ("RTX 4060", "GeForce RTX 4060", 8188, 0, 272, False, 8),
        ("RTX 4060 Ti 16GB", "GeForce RTX 4060 Ti", 16380, 0, 288, False, 8),
        ("RTX 4070", "GeForce RTX 4070", 12282, 11.65, 504, False, 8),
        ("RTX 4070 SUPER", "GeForce RTX 4070 SUPER", 12282, 0, 504, False, 8),
        ("RTX 4070 Ti", "GeForce RTX 4070 Ti", 12282, 0, 504, False, 8),
        ("RTX 4070 Ti SUPER", "GeForce RTX 4070 Ti SUPER", 16376, 0, 672, False, 8),
        ("RTX 4080", "GeForce RTX 4080", 16376, 0, 717, False, 8),
        ("RTX 4080 SUPER", "GeForce RTX 4080 SUPER", 16376, 0, 736, False, 8),
        ("RTX 4090", "GeForce RTX 4090", 24564, 23.52, 1008, False, 8),
        ("RTX 4090 D", "GeForce RTX 4090 D", 24564, 0, 1008, False, 8),
    ),
    (CONSUMER, (12, 0)): (
        ("RTX 5060 Ti 16GB", "GeForce RTX 5060 Ti", 16311, 0, 448, False, 8),
        ("RTX 5070", "GeForce RTX 5070", 12227, 0, 672, False, 8),
        ("RTX 5070 Ti", "GeForce RTX 5070 Ti", 16303, 0, 896, False, 8),
        ("RTX 5080", "GeForce RTX 5080", 16303, 0, 960, False, 8),
        ("RTX 5090", "GeForce RTX 5090", 32607, 31.36, 1792, False, 8),
        ("RTX 5090 D", "GeForce RTX 5090 D", 32607, 0, 1792, False, 8),
    ),
    (PROFESSIONAL, (8, 6)): (
        ("RTX A4000", "RTX A4000", 16376, 0, 448, False, 8),
        ("RTX A5000", "RTX A5000", 24564, 0, 768, True, 8),
        ("RTX A6000", "RTX A6000", 49140, 0, 768, True, 8),
    ),
    (PROFESSIONAL, (8, 9)): (
        ("RTX 4000 Ada", "RTX 4000 Ada Generation", 20475, 0, 360, False, 8),
        ("RTX 5000 Ada", "RTX 5000 Ada Generation", 32760, 0, 576, False, 8),
        ("RTX 6000 Ada", "RTX 6000 Ada Generation", 49140, 0, 960, False, 8),
    ),
    (PROFESSIONAL, (12, 0)): (
        ("RTX PRO 6000", "RTX PRO 6000 Blackwell Server Edition", 97887, 94.97, 1597, False, 8),
    ),
    (PROFESSIONAL, (12, 1)): (("GB10", "GB10", 124519, 121.6, 273, False, 1),),
    (DATA_CENTRE, (7, 0)): (
        ("V100 16GB", "Tesla V100-SXM2-16GB", 16384, 0, 900, True, 8),
        ("V100 32GB", "Tesla V100-SXM2-32GB", 32768, 0, 900, True, 8),
    ),
    (DATA_CENTRE, (7, 5)): (("T4", "Tesla T4", 15360, 14.56, 320, False, 8),),
    (DATA_CENTRE, (8, 6)): (
        ("A10", "A10", 23028, 0, 600, False, 8),
        ("A40", "A40", 46068, 0, 696, True, 8),
    ),
    (DATA_CENTRE, (8, 0)): (
        ("A30", "A30", 24576, 0, 933, True, 8),
        ("A100 40GB", "A100-SXM4-40GB", 40960, 39.49, 1555, True, 8),
        ("A100 80GB", "A100-SXM4-80GB", 81920, 79.25, 2039, True, 8),
        ("A800 80GB", "A800-SXM4-80GB", 81920, 0, 2039, True, 8),
    ),
    (DATA_CENTRE, (8, 9)): (
        ("L4", "L4", 23034, 22.03, 300, False, 8),
        ("L20", "L20", 46068, 0, 864, False, 8),
        ("L40", "L40", 46068, 0, 864, False, 8),
        ("L40S", "L40S", 46068, 44.39, 864, False, 8),
    ),
    (DATA_CENTRE, (9, 0)): (
        ("H100 80GB", "H100 80GB HBM3", 81559, 79.18, 3350, True, 8),
        ("H100 NVL", "H100 NVL", 95830, 0, 3938, True, 8),
        ("H800", "H800", 81559, 0, 3350, True, 8),
        ("H20", "H20", 97871, 0, 4000, True, 8),
        ("H200", "H200", 143771, 139.81, 4800, True, 8),
        ("H200 NVL", "H200 NVL", 143771, 0, 4800, True, 8),
    ),
    (DATA_CENTRE, (10, 0)): (("B200", "B200", 183359, 0, 8000, True, 8),),
    (DATA_CENTRE, (10, 3)): (("B300", "B300 SXM6 AC", 275040, 0, 8000, True, 8),),
}  # fmt: skip

CARDS: tuple[Card, ...] = tuple(
    sorted(
        (
            _card(key, name, mib, seen, capability, kind, gbps, nvlink, most)
            for (kind, capability), rows in _ROWS.items()
            for key, name, mib, seen, gbps, nvlink, most in rows
        ),
        key=lambda card: (card.usable_bytes, card.bandwidth, card.key),
    )
)


def _bare(text: str) -> str:
    return re.sub(r"nvidia|geforce|tesla|rtx|[^a-z0-9]", "", text.lower())


def find(text: str) -> Card | None:
    """The card whose key or name ``text`` is, spaces, case and the maker's words aside; None where there is none."""
    wanted = _bare(text)
    return next((card for card in CARDS if wanted in (_bare(card.key), _bare(card.name))), None)


def matching(text: str) -> tuple[Card, ...]:
    """All cards with ``text`` in their name; the very card alone where ``text`` names one."""
    exact = find(text)
    if exact is not None:
        return (exact,)
    return tuple(card for card in CARDS if _bare(text) in _bare(card.key + " " + card.name)) if _bare(text) else ()
