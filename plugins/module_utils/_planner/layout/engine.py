# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""One engine on certain GPUs, computed whole: settings, shape, memory of every rank and the cache of every stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from ..kv import cache as kv_cache
from ..memory.accounting import Memory, Parts, gpu_memory, rank_parts
from ..memory.weights import Weights, rank_bytes, stored
from ..memory.weights_check import movable_bytes
from ..request import Gpu, GpuWish
from ..settings import Settings
from ..shape import Shape
from .attention import decide_attention
from .batch import blocks_in_one_batch, check_block, decide_batch, in_pieces
from .capability import decide_dtype
from .features import Features, decide_features, feature_warnings
from .kv_dtype import block_warnings, decide_block_size, decide_kv_dtype, kv_warnings
from .links import Wiring, decide_wiring
from .measured import corrected, fingerprint, last_start
from .overrides import hybrid_manager, overriding_blocks
from .parallel import Parallel
from .task import Task
from .utilization import check_beside, decide_utilization


@dataclass(frozen=True)
class Variant:
    """How far the plan gives way so that the workload fits: a ``lean`` batch, then ``narrow`` elements of the cache."""

    lean: bool = False
    narrow: bool = False

    @property
    def plain(self) -> bool:
        return not (self.lean or self.narrow)


@dataclass
class Engine:
    """``ranks`` and ``caches`` go by rank and by pipeline stage; ``explicit`` is kv-cache-memory-bytes (None: none)."""

    task: Task
    gpus: Sequence[Gpu]
    parallel: Parallel
    variant: Variant
    settings: Settings
    shape: Shape
    features: Features
    weights: Weights
    parts: list[Parts]
    caches: list[kv_cache.KvLayout]
    ranks: list[Memory]
    utilization: float
    wiring: Wiring
    explicit: int | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return fingerprint(self.task, self.shape, self.gpus, self.weights)

    @property
    def least(self) -> Memory:
        """The rank whose cache is smallest."""
        return min(self.ranks, key=lambda rank: rank.kv_available)

    def available(self, stage: int) -> int:
        """Bytes for the cache on the poorest rank of ``stage``."""
        return min(
            rank.kv_available for position, rank in enumerate(self.ranks) if self.parallel.stage(position) == stage
        )

    def longest(self, limit: int) -> int:
        """Longest context of one request in tokens, at most ``limit``; 0 where none fits."""
        return min(_longest(cache, self.available(stage), limit, self.shape) for stage, cache in enumerate(self.caches))

    def needed(self, length: int, requests: int = 1) -> int:
        """KV bytes of a GPU with which ``requests`` of ``length`` tokens are served at once."""
        return max(_needed(cache, length, requests, self.shape) for cache in self.caches)

    def pool(self, length: int) -> tuple[kv_cache.KvLayout, kv_cache.KvPool]:
        """The cache of the stage that holds least; all stages have as many blocks as that one."""
        pools = [
            (cache, kv_cache.pool(cache, self.available(stage), length, self.shape))
            for stage, cache in enumerate(self.caches)
        ]
        return min(pools, key=lambda entry: entry[1].num_blocks)

    def set_cache(self, size: int, reason: str) -> None:
        """Make the cache ``size`` bytes on each rank, explicitly."""
        self.explicit = int(self.settings.decide("kv-cache-memory-bytes", size, reason))
        self.ranks = _ranks(self.gpus, self.parallel, self.utilization, self.parts, self.shape, self.explicit)


def _needed(cache: kv_cache.KvLayout, length: int, requests: int, shape: Shape) -> int:
    """What the release checks at its start, and what the requests really hold: some releases check too little."""
    one = kv_cache.request_bytes(cache, length, shape)
    return max(kv_cache.needed_bytes(cache, length, shape), one) + (requests - 1) * one


def _longest(cache: kv_cache.KvLayout, available: int, limit: int, shape: Shape) -> int:
    high = kv_cache.longest(cache, available, limit, shape)
    if high < 1 or kv_cache.request_bytes(cache, high, shape) <= available:
        return high
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if kv_cache.request_bytes(cache, middle, shape) <= available:
            low = middle
        else:
            high = middle - 1
    return low


def build(
    task: Task, gpus: Sequence[Gpu], parallel: Parallel, variant: Variant, share: float, least_tokens: int = 0
) -> Engine:
    """Compute the engine of ``task`` on ``gpus``, of whose free memory it may have ``share``. Raises PlanError.

    ``least_tokens`` is what a batch must hold at the least, where the block size turned out to be larger.
    """
    settings = Settings(task.user)
    smallest = min(gpus, key=lambda gpu: gpu.usable_bytes)
    width = decide_dtype(settings, task, gpus)
    _decide_parallel(settings, task, parallel)
    features = decide_features(settings, task, parallel.pipeline)
    pieces = in_pieces(task, features.chunked_prefill, features.pooling)
    batch = decide_batch(settings, task, gpus[0], parallel.data, pieces, variant.lean, least_tokens)
    wiring = decide_wiring(settings, gpus, task.request.links, parallel.tensor)
    block_size = decide_block_size(settings)
    shape = Shape(
        version=task.version,
        tokens=batch.tokens,
        seqs=batch.seqs,
        width=width,
        kv_dtype=decide_kv_dtype(settings, task, smallest, variant.narrow),
        block_size=block_size,
        # What vLLM makes of a block size that was asked for is known from kernels that take 32 tokens at the least.
        kernel_block=16 if block_size is None or task.model.is_mla else 32,
        tensor=parallel.tensor,
        pipeline=parallel.pipeline,
        data=parallel.data,
        expert=parallel.expert,
        eager=batch.eager,
        prefix_caching=features.prefix_caching,
        async_scheduling=features.async_scheduling,
        hybrid_manager=hybrid_manager(task.user, task.version),
        quantization=task.user.get("quantization"),
        speculative_tokens=features.speculative_tokens,
        gpu=smallest,
        engine_args=task.user,
    )
    decide_attention(settings, task, smallest, shape)
    caches = [kv_cache.layout(task.model, shape, stage) for stage in range(parallel.pipeline)]
    block = max(cache.block_size for cache in caches)
    if block > shape.tokens and blocks_in_one_batch(task, features.prefix_caching):
        check_block(task, block)
        return build(task, gpus, parallel, variant, share, block)
    weights = stored(task.deployment.model, task.model, shape)
    parts = _parts(task, gpus, shape, parallel, weights, features)
    # Graphs that the release does not set aside, and what it does not see, come on top of the budget.
    outside = max(part.uncharged + max(0, part.graphs - (part.estimate or 0)) for part in parts)
    utilization = decide_utilization(settings, task, gpus, share, outside, shape)
    explicit = task.user.get("kv-cache-memory-bytes")
    if explicit is not None:
        settings.take("kv-cache-memory-bytes")
    ranks = _ranks(gpus, parallel, utilization, parts, shape, explicit)
    blocks = overriding_blocks(task.user, caches, ranks)
    if blocks is not None:
        ranks = _ranks(gpus, parallel, utilization, parts, shape, blocks)
    engine = Engine(
        task=task,
        gpus=gpus,
        parallel=parallel,
        variant=variant,
        settings=settings,
        shape=shape,
        features=features,
        weights=weights,
        parts=parts,
        caches=caches,
        ranks=ranks,
        utilization=utilization,
        wiring=wiring,
        explicit=explicit,
    )
    engine.warnings += check_beside(task, gpus, engine.ranks, shape, utilization, outside)
    engine.warnings += wiring.warnings + feature_warnings(task, features)
    engine.warnings += block_warnings(task, smallest) + kv_warnings(shape.kv_dtype, smallest, variant.narrow)
    return engine


def _decide_parallel(settings: Settings, task: Task, parallel: Parallel) -> None:
    told = task.deployment.gpus != GpuWish() or any(
        name in task.user for name in ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
    )
    count = parallel.ranks
    because = "The deployment has %d GPUs." % count if told else "The fewest GPUs that hold it: %d." % count
    if parallel.tensor > 1:
        settings.decide("tensor-parallel-size", parallel.tensor, because)
    if parallel.pipeline > 1:
        reason = "%s The model does not divide over all of them; each stage has some of its layers." % because
        settings.decide("pipeline-parallel-size", parallel.pipeline, reason)
    if parallel.data > 1:
        if task.model.is_mla:
            reason = "%s Each rank holds a latent cache whole: replicas of the attention hold more tokens." % because
        else:
            reason = "%s So many replicas share the requests." % because
        settings.decide("data-parallel-size", parallel.data, reason)
    if parallel.expert:
        reason = "Experts stay whole, each on one GPU: slices would cut quantisation groups, or be slower."
        settings.decide("enable-expert-parallel", True, reason)


def _parts(
    task: Task, gpus: Sequence[Gpu], shape: Shape, parallel: Parallel, weights: Weights, features: Features
) -> list[Parts]:
    """Parts of one rank of each stage."""
    out = []
    for stage in range(parallel.pipeline):
        held = rank_bytes(weights, task.model, shape, stage)
        if features.offload:
            held -= min(movable_bytes(held, task.model, shape, stage), features.offload)
        out.append(rank_parts(held, task.model, shape, stage))
    if any(entry.deployment == task.name for entry in task.request.measured):
        measured = last_start(task, fingerprint(task, shape, gpus, weights))
        if measured is not None:
            out[0] = corrected(out[0], measured)
    return out


def _ranks(
    gpus: Sequence[Gpu], parallel: Parallel, utilization: float, parts: Sequence[Parts], shape: Shape, explicit: Any
) -> list[Memory]:
    return [
        gpu_memory(gpu, utilization, parts[parallel.stage(position)], shape, explicit)
        for position, gpu in enumerate(gpus)
    ]
