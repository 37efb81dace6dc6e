# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What is answered of an engine that is planned, its warnings included."""

from __future__ import annotations

from typing import Any

from ..errors import warning
from ..kv import cache as kv_cache
from .builds import check_driver
from .engine import Engine
from .old_engine import old_engine_warnings
from .parallel import obstacles
from .quantized import Quantized


def kv_dict(layout: kv_cache.KvLayout, pool: kv_cache.KvPool) -> dict[str, Any]:
    """The ``kv`` part of an instance's answer."""
    return {
        "bytes_per_token": layout.token_bytes,
        "block_size": layout.block_size,
        "groups": [{"kind": group.kind, "layers": group.layers} for group in layout.groups],
        "num_blocks": pool.num_blocks,
        "tokens": pool.tokens,
        "max_concurrency": pool.max_concurrency,
    }


def answer(engine: Engine, length: int, quantized: Quantized | None) -> dict[str, Any]:
    task = engine.task
    cache, pool = engine.pool(length)
    at_once = min(pool.max_concurrency, engine.shape.seqs) * engine.parallel.data
    if task.concurrency and at_once < task.concurrency:
        engine.warnings.append(
            warning(
                "plan.requests_wait",
                "%.1f requests of %d tokens fit at once; of the %d wanted the rest waits when all are that long."
                % (at_once, length, task.concurrency),
            )
        )
    for obstacle in obstacles(task.model, engine.parallel, quantized, task.version):
        text = "The model has %s: slower kernels are used. enable-expert-parallel: true avoids it." % obstacle.text
        engine.warnings.append(warning("plan.slow_kernels", text))
    engine.warnings += check_driver(task, engine.gpus)
    engine.warnings += old_engine_warnings(task, engine.shape, engine.features.pooling)
    _note_defaults(engine, cache.block_size)
    first = engine.ranks[0]
    engine.settings.add_reason("gpu-memory-utilization", first.explained())
    kv = kv_dict(cache, pool)
    if engine.parallel.data > 1:
        kv["replicas"] = engine.parallel.data
    out = {
        "fingerprint": engine.digest,
        "settings": engine.settings.finish(),
        "gpu_uuids": [gpu.uuid for gpu in engine.gpus if gpu.uuid],
        "gpu_indices": [gpu.index for gpu in engine.gpus],
        "memory": first.as_dict(),
        "driver_shows_bytes": first.shown,
        "kv": kv,
        "ranks": [
            {**rank.as_dict(), "driver_shows_bytes": rank.shown, "gpu_index": gpu.index}
            for gpu, rank in zip(engine.gpus[1:], engine.ranks[1:])
            if rank.as_dict() != first.as_dict()
        ],
        "env": engine.wiring.env,
        "decisions": engine.settings.decisions,
        "warnings": engine.warnings,
    }
    return out


def _note_defaults(engine: Engine, block_size: int) -> None:
    reason = "What release, card and layers make of it; %s." % engine.parallel.shown()
    if "block-size" not in engine.settings.values:
        engine.settings.decide("block-size", block_size, reason, "default")
