# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What a host still has to give while its deployments are placed one after the other."""

from __future__ import annotations

from ..errors import PlanError
from ..memory.accounting import CPU_SYSTEM_BYTES
from ..request import Deployment, Gpu, Request


class Resources:
    """Mutable during one plan only: which GPUs are taken by whom, and the host memory left (bytes)."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._owner: dict[int, str] = {}
        memory = request.host.memory_bytes
        self.memory_bytes = None if memory is None else memory - CPU_SYSTEM_BYTES

    def take_memory(self, size: int) -> None:
        if self.memory_bytes is not None:
            self.memory_bytes -= size

    def free_gpus(self, deployment: Deployment) -> list[Gpu]:
        """GPUs that no deployment has yet: first those that ``deployment`` has now, last those that others have now.

        So that a new deployment does not push one that runs to another GPU.
        """
        kept = {uuid: entry.name for entry in self._request.deployments for uuid in entry.kept_uuids}

        def rank(gpu: Gpu) -> tuple[int, int]:
            holder = kept.get(gpu.uuid or "")
            return (1 if holder is None else 0 if holder == deployment.name else 2), gpu.index

        return sorted((gpu for gpu in self._request.gpus if gpu.index not in self._owner), key=rank)

    def named(self, deployment: Deployment) -> list[Gpu] | None:
        """The GPUs that ``deployment`` names, or None where it leaves the choice."""
        wish = deployment.gpus
        if not wish.uuids and not wish.indices:
            return None
        found = []
        for key in wish.uuids or wish.indices:
            matches = [gpu for gpu in self._request.gpus if key in (gpu.uuid, gpu.index)]
            if not matches:
                raise PlanError(
                    "plan.gpu_unknown",
                    "Deployment '%s' names GPU %s, which this host does not have." % (deployment.name, key),
                    ("Name one of: %s." % ", ".join(str(gpu.uuid or gpu.index) for gpu in self._request.gpus),),
                )
            owner = self._owner.get(matches[0].index)
            if owner is not None:
                raise PlanError(
                    "plan.gpu_taken",
                    "Deployment '%s' names GPU %s, which '%s' has." % (deployment.name, key, owner),
                    ("Give each deployment its own GPU.",),
                )
            if matches[0] in found:
                raise PlanError("plan.gpu_taken", "Deployment '%s' names GPU %s twice." % (deployment.name, key))
            found.append(matches[0])
        return found

    def take_gpus(self, gpus: list[Gpu], name: str) -> None:
        for gpu in gpus:
            self._owner[gpu.index] = name
