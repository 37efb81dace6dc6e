# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""How the GPUs of an engine reach each other, and what NCCL and vLLM's own all-reduce make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence

from ..errors import warning
from ..request import Gpu, Link
from ..settings import Settings

_OWN_SIZES = (2, 4, 6, 8, 16)


@dataclass
class Wiring:
    env: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def joined(links: Sequence[Link]) -> dict[tuple[int, int], Link]:
    """Links by both orders of their ends."""
    out = {}
    for link in links:
        out[(link.a, link.b)] = out[(link.b, link.a)] = link
    return out


def nvlinked(gpus: Sequence[Gpu], table: dict[tuple[int, int], Link]) -> int:
    """Pairs of ``gpus`` that NVLink joins."""
    pairs = 0
    for position, gpu in enumerate(gpus):
        for other in gpus[position + 1 :]:
            link = table.get((gpu.index, other.index))
            pairs += link is not None and link.kind.lower().startswith("nv")
    return pairs


def decide_wiring(settings: Settings, gpus: Sequence[Gpu], links: Sequence[Link], tensor: int) -> Wiring:
    """Settings, environment and warnings for ``gpus`` that work on one layer together; nothing for a single one."""
    wiring = Wiring()
    if tensor < 2:
        return wiring
    table = joined(links)
    pairs = [table.get((gpu.index, other.index)) for position, gpu in enumerate(gpus) for other in gpus[position + 1 :]]
    known = [link for link in pairs if link is not None]
    blocked = [link for link in known if link.p2p is False]
    if blocked and len(blocked) == len(pairs):
        settings.decide(
            "disable-custom-all-reduce",
            True,
            "The GPUs cannot reach each other's memory; vLLM would find out by trial.",
        )
        wiring.env["NCCL_P2P_DISABLE"] = "1"
        wiring.warnings.append(
            warning(
                "plan.no_peer_access",
                "The GPUs cannot reach each other's memory: NCCL goes through the host's, which costs speed.",
            )
        )
    elif blocked:
        wiring.warnings.append(
            warning(
                "plan.no_peer_access",
                "GPUs %d and %d cannot reach each other's memory: NCCL goes through the host's there."
                % (blocked[0].a, blocked[0].b),
            )
        )
    elif tensor not in _OWN_SIZES:
        text = "vLLM has no all-reduce of its own for %d GPUs and leaves it to NCCL." % tensor
        settings.decide("disable-custom-all-reduce", True, text)
    elif tensor > 2 and known and nvlinked(gpus, table) < len(pairs):
        reason = "vLLM itself leaves the sums to NCCL: more than two GPUs that NVLink does not join."
        settings.decide("disable-custom-all-reduce", False, reason, "default")
    return wiring
