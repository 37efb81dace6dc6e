# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""How one GPU is split by the release's own accounting, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from ..request import Gpu
from ..shape import Shape

GIB = 2**30
MIB = 2**20
CPU_PROCESS_BYTES = int(1.2 * GIB)  # API server and engine without weights and cache, measured with vLLM 0.32
CPU_SYSTEM_BYTES = 1 * GIB  # left to the operating system and what else the host does


@dataclass(frozen=True)
class Memory:
    """Parts of the memory of rank 0, in bytes; ``budget`` is what the engine may use of ``total``."""

    total: int
    budget: int
    weights: int
    activation: int
    non_torch: int
    graphs: int
    kv_available: int
    headroom: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "weights_bytes": self.weights,
            "activation_peak_bytes": self.activation,
            "non_torch_bytes": self.non_torch,
            "cuda_graph_bytes": self.graphs,
            "kv_available_bytes": self.kv_available,
            "headroom_bytes": self.headroom,
        }


class Parts(NamedTuple):
    """What one rank holds beside its KV cache, in bytes."""

    weights: int
    activation: int
    non_torch: int
    graphs: int


def gpu_memory(gpu: Gpu, utilization: float, parts: Parts, shape: Shape, kv_explicit: int | None = None) -> Memory:
    """Split ``gpu``; ``kv_explicit`` is kv-cache-memory-bytes, which replaces what the accounting leaves."""
    weights, activation, non_torch, graphs = parts
    total, free = gpu.usable_bytes, gpu.free_bytes
    budget = ceil(total * utilization)
    charged = weights + activation + non_torch
    if shape.version >= (0, 20):
        charged += graphs  # estimated and held back before the cache is sized
    if shape.version < (0, 9):
        charged += total - free  # these releases charge other processes and the context to the engine
    kv = budget - charged if kv_explicit is None else kv_explicit
    used = weights + activation + non_torch + graphs + max(0, kv)
    return Memory(total, budget, weights, activation, non_torch, graphs, kv, free - used)
