# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What a host still has to give while its deployments are placed one after the other."""

from __future__ import annotations

from typing import Sequence

from ..errors import PlanError
from ..memory.accounting import CPU_SYSTEM_BYTES
from ..request import Deployment, Gpu, Request
from .links import joined, nvlinked

_BUSY = 0.1  # a card of which others hold more than this part is taken last


class Resources:
    """Mutable during one plan only: the part of each GPU that is given away, and the host memory left (bytes)."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._given: dict[int, float] = {}
        self._owners: dict[int, list[str]] = {}
        self._table = joined(request.links)
        self.refused: set[str] = set()  # names of deployments for which their cards have no room
        self._pins: dict[str, tuple[Gpu, int]] = {}
        self._kept: dict[str, set[str]] = {}
        for entry in request.deployments:
            for uuid in entry.kept_uuids:
                self._kept.setdefault(uuid, set()).add(entry.name)
        memory = request.host.memory_bytes
        self.memory_bytes = None if memory is None else memory - CPU_SYSTEM_BYTES

    @property
    def gpus(self) -> Sequence[Gpu]:
        return self._request.gpus

    def fresh(self) -> Resources:
        """The same host, with nothing given away."""
        return Resources(self._request)

    def pin(self, name: str, gpu: Gpu, need: int) -> None:
        """Let ``name`` have ``need`` bytes of ``gpu``, as if it had named the card."""
        self._pins[name] = gpu, need

    def pinned_bytes(self, name: str) -> int | None:
        return self._pins[name][1] if name in self._pins else None

    def settled(self, deployment: Deployment) -> bool:
        """Whether it is known which GPUs ``deployment`` gets."""
        return deployment.gpus.named or deployment.name in self._pins

    def take_memory(self, size: int) -> None:
        if self.memory_bytes is not None:
            self.memory_bytes -= size

    def free_gpus(self, deployment: Deployment) -> list[Gpu]:
        """GPUs that have room for ``deployment``: first those that it has now, last those that others have now.

        So that a new deployment does not push one that runs to another GPU. Among the rest those come first that
        nobody uses, and of these the ones without a display.
        """
        share = deployment.gpus.share or 1.0

        def rank(gpu: Gpu) -> tuple[int, bool, bool, int]:
            holders = self._kept.get(gpu.uuid or "", ())
            order = 1 if not holders else 0 if deployment.name in holders else 2
            return order, gpu.free_bytes < gpu.usable_bytes * (1 - _BUSY), gpu.display, gpu.index

        room = [gpu for gpu in self._request.gpus if self._given.get(gpu.index, 0.0) + share <= 1.0 + 1e-9]
        return sorted(room, key=rank)

    def choices(self, free: Sequence[Gpu], count: int) -> list[list[Gpu]]:
        """Sets of ``count`` of ``free`` to try, best first: of one make, joined by NVLink where there is a choice."""
        if count == 1:
            return [[gpus[0]] for gpus in _makes(free)]
        out = [self._joined(gpus, count) for gpus in _makes(free) if len(gpus) >= count]
        return out or ([list(free[:count])] if len(free) >= count else [])

    def _joined(self, gpus: list[Gpu], count: int) -> list[Gpu]:
        best, most = gpus[:count], nvlinked(gpus[:count], self._table) if self._table else 0
        if not self._table or len(gpus) == count:
            return best
        for first in gpus:
            near = sorted(
                (gpu for gpu in gpus if gpu is not first), key=lambda gpu: not nvlinked((first, gpu), self._table)
            )
            chosen = [first] + near[: count - 1]
            pairs = nvlinked(chosen, self._table)
            if pairs > most:
                best, most = sorted(chosen, key=gpus.index), pairs
        return best

    def named(self, deployment: Deployment) -> list[Gpu] | None:
        """The GPUs that ``deployment`` names or is pinned to, or None where the choice is left."""
        wish = deployment.gpus
        if deployment.name in self._pins:
            return [self._pins[deployment.name][0]]
        if not wish.named:
            return None
        found: list[Gpu] = []
        for key in wish.uuids or wish.indices:
            match = next((gpu for gpu in self._request.gpus if key in (gpu.uuid, gpu.index)), None)
            if match is None:
                raise PlanError(
                    "plan.gpu_unknown",
                    "Deployment '%s' names GPU %s, which this host does not have." % (deployment.name, key),
                    ("Name one of: %s." % ", ".join(str(gpu.uuid or gpu.index) for gpu in self._request.gpus),),
                )
            if match in found:
                raise PlanError("plan.gpu_taken", "Deployment '%s' names GPU %s twice." % (deployment.name, key))
            found.append(match)
        return found

    def neighbours(self, deployment: Deployment, gpus: Sequence[Gpu]) -> list[str]:
        """Other deployments that name or are pinned to one of ``gpus``, or have a part of it already, by name."""
        found = {name for gpu in gpus for name in self.owners(gpu)}
        for entry in self._request.deployments:
            if self.settled(entry) and entry.name not in self.refused:
                try:
                    named = self.named(entry) or []
                except PlanError:
                    continue
                if any(gpu in gpus for gpu in named):
                    found.add(entry.name)
        return sorted(found - {deployment.name})

    def owners(self, gpu: Gpu) -> list[str]:
        return self._owners.get(gpu.index, [])

    def take_gpus(self, gpus: Sequence[Gpu], name: str, share: float) -> None:
        for gpu in gpus:
            self._given[gpu.index] = self._given.get(gpu.index, 0.0) + share
            self._owners.setdefault(gpu.index, []).append(name)


def _makes(gpus: Sequence[Gpu]) -> list[list[Gpu]]:
    """``gpus`` by make (name and size to the GiB), in the order in which the makes come up."""
    makes: dict[tuple[str, int], list[Gpu]] = {}
    for gpu in gpus:
        busy = int(gpu.free_bytes < gpu.usable_bytes * (1 - _BUSY))
        makes.setdefault((gpu.name, gpu.usable_bytes >> 30 << 1 | busy), []).append(gpu)
    return list(makes.values())
