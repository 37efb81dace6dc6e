# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""How one GPU is split by the release's own accounting, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from ..model.info import ModelInfo
from ..request import Gpu
from ..shape import Shape
from .activation import activation_bytes
from .adapters import adapter_bytes
from .cards import context_bytes
from .graphs import estimate_bytes, graph_bytes
from .libraries import allocator_bytes, non_torch_bytes, unseen_group_bytes
from .sampler import state_bytes
from .workspaces import attention_workspace_bytes

GIB = 2**30
MIB = 2**20
CPU_PROCESS_BYTES = int(1.2 * GIB)  # API server and engine without weights and cache, measured with vLLM 0.32
CPU_SYSTEM_BYTES = 1 * GIB  # left to the operating system and what else the host does


@dataclass(frozen=True)
class Memory:
    """Parts of the memory of one rank, in bytes; ``budget`` is what the engine may use of ``total``.

    ``graphs`` is what capturing really takes, ``reserved`` what vLLM set aside for it before it sized the cache;
    ``context`` lies outside the budget. ``headroom`` is what the card has left when everything runs.
    """

    total: int
    budget: int
    weights: int
    activation: int
    non_torch: int
    graphs: int
    kv_available: int
    headroom: int
    reserved: int = 0
    context: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "weights_bytes": self.weights,
            "activation_peak_bytes": self.activation,
            "non_torch_bytes": self.non_torch,
            "cuda_graph_bytes": self.graphs,
            "kv_available_bytes": self.kv_available,
            "headroom_bytes": self.headroom,
        }

    @property
    def shown(self) -> int:
        """What nvidia-smi shows for the card once the engine serves: everything but what is left."""
        return self.total - self.headroom

    def explained(self) -> str:
        """What nvidia-smi will show, and why that is more than the share of the card that the engine was given."""
        beside = self.shown - self.budget
        if beside < MIB:
            return "nvidia-smi will show about %.1f GiB in use." % (self.shown / GIB)
        return (
            "nvidia-smi will show about %.1f GiB in use: the %.1f GiB of this share, and %.1f GiB that it does not "
            "limit (CUDA's context, graphs, libraries, what loading leaves behind, others)."
        ) % (self.shown / GIB, self.budget / GIB, beside / GIB)


class Parts(NamedTuple):
    """What one rank holds beside its KV cache, in bytes; ``estimate`` is set aside for graphs, ``uncharged`` unseen."""

    weights: int
    activation: int
    non_torch: int
    graphs: int
    estimate: int | None = None
    uncharged: int = 0


def rank_parts(weights: int, model: ModelInfo, shape: Shape, stage: int = 0) -> Parts:
    """All parts of one rank of pipeline stage ``stage``, whose weights are ``weights`` bytes."""
    state = state_bytes(model, shape) if shape.version < (0, 27) and stage == shape.pipeline - 1 else 0
    return Parts(
        weights + adapter_bytes(model, shape, stage),
        activation_bytes(model, shape, stage),
        non_torch_bytes(model, shape, stage),
        graph_bytes(model, shape, stage),
        estimate_bytes(model, shape, stage),
        state + attention_workspace_bytes(shape) + allocator_bytes(model, shape, weights) + unseen_group_bytes(shape),
    )


def gpu_memory(gpu: Gpu, utilization: float, parts: Parts, shape: Shape, kv_explicit: int | None = None) -> Memory:
    """Split ``gpu`` as ``shape.version`` does; ``kv_explicit`` is kv-cache-memory-bytes, which replaces the result.

    Until 0.9.0 the engine is charged for all that is in use on the card, its own context and other processes included.
    From 0.9.1 on only for what changed since it first looked; the context lies outside the budget, and so do graphs
    until 0.20, which sets an estimate of them aside.
    """
    total, context = gpu.usable_bytes, context_bytes(gpu)
    before = max(total - gpu.free_bytes, 0)
    budget = ceil(total * utilization)
    charged = parts.weights + parts.activation + parts.non_torch
    estimate = parts.estimate if parts.estimate is not None else (parts.graphs if shape.version >= (0, 20) else 0)
    if shape.version < (0, 9, 1):
        charged += before + context
    else:
        charged += estimate
    kv = (budget - charged if kv_explicit is None else kv_explicit) - mm_ipc_bytes(shape)
    used = before + context + parts.weights + parts.activation + parts.non_torch + parts.uncharged + max(0, kv)
    headroom = total - used - parts.graphs
    return Memory(
        total, budget, parts.weights, parts.activation, parts.non_torch, parts.graphs, kv, headroom, estimate, context
    )


def mm_ipc_bytes(shape: Shape) -> int:
    """GPU memory set aside for handing images between processes: asked for by name, nothing otherwise."""
    gib = shape.engine_args.get("mm-ipc-gpu-memory-gb")
    return int(gib * GIB) if isinstance(gib, (int, float)) and not isinstance(gib, bool) and gib > 0 else 0
