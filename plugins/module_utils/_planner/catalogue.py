# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The one table of NVIDIA cards: what the driver says of each, what CUDA can use of it, how many multiprocessors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

GIB = 2**30
MIB = 2**20
CONSUMER, PROFESSIONAL, DATA_CENTRE = "consumer", "professional", "data centre"


@dataclass(frozen=True)
class Card:
    """One product. ``total_bytes`` is what the driver reports, ``usable_bytes`` what CUDA sees of it.

    ``measured`` says whether the latter was read on such a card; else it is estimated from others. ``reserved`` is
    what CUDA does not see, in bytes, of any size of this card; ``bandwidth`` is in bytes a second, ``most`` the number
    of cards that one host has at most (0: a card that is only recognised, whose ``total_bytes`` is 0).
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
    multiprocessors: int
    reserved: int

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


# Key, name as the driver writes it, multiprocessors, MiB that CUDA never sees (the driver's total less
# cudaMemGetInfo's, from published logs: H100 79.65 -> 79.19 GiB, L4 22.49 -> 22.03; else of a like card), MiB in
# total, GiB that CUDA sees (0: not measured), GB/s, NVLink, most in a host.
_Row = tuple[str, str, int, int, int, float, int, bool, int]
_ROWS: dict[tuple[str, tuple[int, int]], tuple[_Row, ...]] = {
    (CONSUMER, (8, 6)): (
        ("RTX 3060 12GB", "GeForce RTX 3060", 28, 380, 12288, 0, 360, False, 8),
        ("RTX 3060 Ti", "GeForce RTX 3060 Ti", 38, 330, 8192, 0, 448, False, 8),
        ("RTX 3070", "GeForce RTX 3070", 46, 330, 8192, 0, 448, False, 8),
        ("RTX 3080 10GB", "GeForce RTX 3080", 68, 400, 10240, 0, 760, False, 8),
        ("RTX 3080 Ti", "GeForce RTX 3080 Ti", 80, 400, 12288, 0, 912, False, 8),
        ("RTX 3090", "GeForce RTX 3090", 82, 451, 24576, 23.56, 936, True, 8),
        ("RTX 3090 Ti", "GeForce RTX 3090 Ti", 84, 451, 24564, 0, 1008, True, 8),
    ),
    (CONSUMER, (8, 9)): (
        ("RTX 4060", "GeForce RTX 4060", 24, 330, 8188, 0, 272, False, 8),
        ("RTX 4060 Ti 16GB", "GeForce RTX 4060 Ti", 34, 330, 16380, 0, 288, False, 8),
        ("RTX 4070", "GeForce RTX 4070", 46, 352, 12282, 11.65, 504, False, 8),
        ("RTX 4070 SUPER", "GeForce RTX 4070 SUPER", 56, 352, 12282, 0, 504, False, 8),
        ("RTX 4070 Ti", "GeForce RTX 4070 Ti", 60, 400, 12282, 0, 504, False, 8),
        ("RTX 4070 Ti SUPER", "GeForce RTX 4070 Ti SUPER", 66, 400, 16376, 0, 672, False, 8),
        ("RTX 4080", "GeForce RTX 4080", 76, 440, 16376, 0, 717, False, 8),
        ("RTX 4080 SUPER", "GeForce RTX 4080 SUPER", 80, 440, 16376, 0, 736, False, 8),
        ("RTX 4090", "GeForce RTX 4090", 128, 481, 24564, 23.52, 1008, False, 8),
        ("RTX 4090 D", "GeForce RTX 4090 D", 114, 481, 24564, 0, 1008, False, 8),
    ),
    (CONSUMER, (12, 0)): (
        ("RTX 5060 Ti 16GB", "GeForce RTX 5060 Ti", 36, 440, 16311, 0, 448, False, 8),
        ("RTX 5070", "GeForce RTX 5070", 48, 400, 12227, 0, 672, False, 8),
        ("RTX 5070 Ti", "GeForce RTX 5070 Ti", 70, 460, 16303, 0, 896, False, 8),
        ("RTX 5080", "GeForce RTX 5080", 84, 460, 16303, 0, 960, False, 8),
        ("RTX 5090", "GeForce RTX 5090", 170, 492, 32607, 31.36, 1792, False, 8),
        ("RTX 5090 D", "GeForce RTX 5090 D", 170, 492, 32607, 0, 1792, False, 8),
    ),
    (PROFESSIONAL, (8, 6)): (
        ("RTX A4000", "RTX A4000", 48, 440, 16376, 0, 448, False, 8),
        ("RTX A5000", "RTX A5000", 64, 470, 24564, 0, 768, True, 8),
        ("RTX A6000", "RTX A6000", 84, 600, 49140, 0, 768, True, 8),
    ),
    (PROFESSIONAL, (8, 9)): (
        ("RTX 4000 Ada", "RTX 4000 Ada Generation", 48, 450, 20475, 0, 360, False, 8),
        ("RTX 5000 Ada", "RTX 5000 Ada Generation", 100, 450, 32760, 0, 576, False, 8),
        ("RTX 6000 Ada", "RTX 6000 Ada Generation", 142, 600, 49140, 0, 960, False, 8),
    ),
    (PROFESSIONAL, (12, 0)): (
        ("RTX PRO 6000", "RTX PRO 6000 Blackwell Server Edition", 188, 635, 97887, 94.97, 1597, False, 8),
    ),
    (PROFESSIONAL, (12, 1)): (("GB10", "GB10", 48, 0, 124519, 121.6, 273, False, 1),),
    (DATA_CENTRE, (7, 0)): (
        ("V100 16GB", "Tesla V100-SXM2-16GB", 80, 440, 16384, 0, 900, True, 8),
        ("V100 32GB", "Tesla V100-SXM2-32GB", 80, 440, 32768, 0, 900, True, 8),
    ),
    (DATA_CENTRE, (7, 5)): (("T4", "Tesla T4", 40, 450, 15360, 14.56, 320, False, 8),),
    (DATA_CENTRE, (8, 6)): (
        ("A10", "A10", 72, 441, 23028, 0, 600, False, 8),
        ("A40", "A40", 84, 600, 46068, 0, 696, True, 8),
    ),
    (DATA_CENTRE, (8, 0)): (
        ("A30", "A30", 56, 460, 24576, 0, 933, True, 8),
        ("A100 40GB", "A100-SXM4-40GB", 108, 522, 40960, 39.49, 1555, True, 8),
        ("A100 80GB", "A100-SXM4-80GB", 108, 768, 81920, 79.25, 2039, True, 8),
        ("A800 80GB", "A800-SXM4-80GB", 108, 768, 81920, 0, 2039, True, 8),
    ),
    (DATA_CENTRE, (8, 9)): (
        ("L4", "L4", 58, 471, 23034, 22.03, 300, False, 8),
        ("L20", "L20", 92, 450, 46068, 0, 864, False, 8),
        ("L40", "L40", 142, 614, 46068, 0, 864, False, 8),
        ("L40S", "L40S", 142, 614, 46068, 44.39, 864, False, 8),
    ),
    (DATA_CENTRE, (9, 0)): (
        ("H100 80GB", "H100 80GB HBM3", 132, 470, 81559, 79.18, 3350, True, 8),
        ("H100 NVL", "H100 NVL", 132, 470, 95830, 0, 3938, True, 8),
        ("H800", "H800", 132, 470, 81559, 0, 3350, True, 8),
        ("H20", "H20", 78, 600, 97871, 0, 4000, True, 8),
        ("H200", "H200", 132, 610, 143771, 139.81, 4800, True, 8),
        ("H200 NVL", "H200 NVL", 132, 610, 143771, 0, 4800, True, 8),
    ),
    (DATA_CENTRE, (10, 0)): (("B200", "B200", 148, 700, 183359, 0, 8000, True, 8),),
    (DATA_CENTRE, (10, 3)): (("B300", "B300 SXM6 AC", 148, 700, 275040, 0, 8000, True, 8),),
}  # fmt: skip
# Recognised, not offered by size: kind, name, capability, multiprocessors, MiB unseen.
_OTHERS: tuple[tuple[str, str, tuple[int, int], int, int], ...] = (
    (CONSUMER, "GeForce RTX 2080 Ti", (7, 5), 68, 350), (CONSUMER, "GeForce RTX 3050", (8, 6), 20, 250),
    (CONSUMER, "GeForce RTX 3050 Ti Laptop GPU", (8, 6), 20, 250), (CONSUMER, "GeForce RTX 3070 Ti", (8, 6), 48, 330),
    (CONSUMER, "GeForce RTX 5060", (12, 0), 30, 330), (PROFESSIONAL, "Quadro RTX 6000", (7, 5), 72, 342),
    (DATA_CENTRE, "A100", (8, 0), 108, 768), (DATA_CENTRE, "A800", (8, 0), 108, 768),
    (DATA_CENTRE, "A100-PCIE-40GB", (8, 0), 108, 522), (DATA_CENTRE, "A10G", (8, 6), 80, 441),
    (DATA_CENTRE, "V100", (7, 0), 80, 440),
    (DATA_CENTRE, "H100", (9, 0), 132, 470), (DATA_CENTRE, "H100 PCIe", (9, 0), 114, 470),
    (DATA_CENTRE, "GH200", (9, 0), 132, 610), (DATA_CENTRE, "GB200", (10, 0), 148, 700),
    (DATA_CENTRE, "B300", (10, 3), 148, 700), (DATA_CENTRE, "GB300", (10, 3), 148, 700),
    (PROFESSIONAL, "RTX PRO 6000 Blackwell", (12, 0), 188, 635),
)  # fmt: skip


def _card(kind: str, capability: tuple[int, int], row: _Row) -> Card:
    key, name, multiprocessors, hidden, mib, seen, gbps, nvlink, most = row
    total = mib * MIB
    full_name = name if name.startswith("Tesla") else "NVIDIA " + name
    usable = int(seen * GIB) if seen else total - min(hidden * MIB, total // 16)
    speed = gbps * 10**9
    hidden *= MIB
    return Card(
        key, full_name, total, usable, bool(seen), capability, kind, nvlink, speed, most, multiprocessors, hidden
    )


CARDS: tuple[Card, ...] = tuple(
    sorted(
        (_card(kind, capability, row) for (kind, capability), rows in _ROWS.items() for row in rows),
        key=lambda card: (card.usable_bytes, card.bandwidth, card.key),
    )
)
KNOWN: tuple[Card, ...] = CARDS + tuple(
    _card(kind, capability, (name, name, multiprocessors, hidden, 0, 0, 0, False, 0))
    for kind, name, capability, multiprocessors, hidden in _OTHERS
)

_MAKER = frozenset(("nvidia", "geforce", "tesla", "rtx", "graphics", "gpu"))
# Words that make another chip of the same number: a name that has one is only known by a row that has it too.
_DISTINCT = frozenset(("ti", "super", "laptop", "ada", "d", "design", "mobile", "quadro", "pro"))


def words(name: str) -> tuple[str, ...]:
    """The words of a card's name that tell it from others."""
    return tuple(word for word in re.split(r"[^a-z0-9]+", name.lower()) if word and word not in _MAKER)


_BY_WORDS = sorted(((words(card.name), card) for card in KNOWN), key=lambda entry: -len(entry[0]))
_FOUND: dict[str, Card | None] = {}


def recognise(name: str) -> Card | None:
    """The card that the driver calls ``name``: the longest known name whose words all stand in it; None: unknown."""
    if name not in _FOUND:
        if len(_FOUND) > 1000:
            _FOUND.clear()
        there = words(name)
        telling = _DISTINCT.intersection(there)
        _FOUND[name] = (
            next((card for own, card in _BY_WORDS if own[0] == there[0] and telling <= set(own) <= set(there)), None)
            if there
            else None
        )
    return _FOUND[name]
