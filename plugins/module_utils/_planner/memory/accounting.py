# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Memory parts of one GPU or of a CPU host, in bytes. Constants marked FIT are fitted to published start-up logs."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from ..model.info import ModelInfo
from .weights import round_up

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


def activation_bytes(model: ModelInfo, tokens: int, seqs: int, tensor_parallel: int, width: int, version: Any) -> int:
    """Peak of the profiling run: the larger of the sampler's and one layer's, and the workspace of routed experts."""
    per_logit = 14.2 if version >= (0, 17) else 38.0  # FIT: the older sampler sorts the vocabulary
    sampler = per_logit * seqs * round_up(model.vocab, 64) + tokens * model.hidden * width + 0.095 * GIB
    forward = tokens * width * (3 * model.intermediate / tensor_parallel + 4 * model.hidden)
    experts = 0.0
    if model.experts:
        local = model.moe_intermediate / tensor_parallel
        routed = tokens * model.experts_per_token * width
        experts = routed * (max(local, model.hidden) + max(2 * local, model.hidden))
        forward = tokens * width * (3 * model.shared_intermediate / tensor_parallel + 4 * model.hidden)
    return int(max(sampler, forward) + experts)


def non_torch_bytes(tensor_parallel: int, version: Any) -> int:
    """FIT: libraries' own allocations after the engine's first look at the card."""
    if tensor_parallel == 1:
        return int((0.25 if version >= (0, 18) else 0.13) * GIB)
    return int((2.1 if version >= (0, 18) else 0.55) * GIB)


def graph_sizes(tokens: int, seqs: int, blackwell: bool = False) -> int:
    """How many batch sizes vLLM captures a CUDA graph for."""
    top = min(2 * seqs, 1024 if blackwell else 512, tokens)
    sizes = [size for size in [1, 2, 4] + list(range(8, 256, 8)) + list(range(256, top + 1, 16)) if size <= top]
    return len(set(sizes))


def graph_bytes(model: ModelInfo, sizes: int) -> int:
    """FIT: about 10 MiB a captured size for a model of 36 layers."""
    return int(sizes * 10 * MIB * max(1.0, len(model.layers) / 36.0))


def gpu_memory(
    total: int,
    free: int,
    utilization: float,
    parts: tuple[int, int, int, int],
    kv_explicit: int | None,
    version: Any,
) -> Memory:
    """Split one GPU. ``parts``: weights, activation peak, non-torch and graph bytes. ``total`` is what CUDA reports."""
    weights, activation, non_torch, graphs = parts
    budget = ceil(total * utilization)
    charged = weights + activation + non_torch
    if version >= (0, 20):
        charged += graphs  # estimated and held back before the cache is sized
    if version < (0, 9):
        charged += total - free  # these releases charge other processes and the context to the engine
    kv = budget - charged if kv_explicit is None else kv_explicit
    used = weights + activation + non_torch + graphs + max(0, kv)
    return Memory(total, budget, weights, activation, non_torch, graphs, kv, free - used)


def cpu_activation_bytes(model: ModelInfo, tokens: int, seqs: int, width: int) -> int:
    """Buffers of one batch on a CPU: one layer's and the logits in 4-byte floats with their sorted copy."""
    intermediate = max(model.intermediate, model.experts_per_token * model.moe_intermediate)
    return int(tokens * width * (3 * intermediate + 4 * model.hidden) + 12 * seqs * round_up(model.vocab, 64))
