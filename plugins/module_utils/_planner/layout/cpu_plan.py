# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The plan of one deployment on a CPU host, after what was measured with vLLM 0.32."""

from __future__ import annotations

from typing import Any

from ..errors import PlanError, warning
from ..kv import cache as kv_cache
from ..memory.accounting import CPU_PROCESS_BYTES, GIB, MIB, Memory
from ..memory.activation import cpu_activation_bytes
from ..memory.weights import round_up, stored
from ..settings import Settings
from ..shape import Shape
from .answer import kv_dict
from .batch import Batch, decide_batch_on_cpu, in_pieces
from .features import Features, decide_features, is_pooling
from .kv_dtype import decide_kv_dtype
from .length import UNSTATED, check_asked
from .measured import fingerprint
from .placement import Resources
from .serving import decide_serving
from .task import Task

DEFAULT_LENGTH = 4096
BLOCK_SIZE = 128
MLA_BLOCK_SIZE = 16
KERNEL_BLOCK = 32
_SPREAD = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")


def plan_on_cpu(task: Task, resources: Resources) -> dict[str, Any]:
    """Settings and memory of ``task``. Raises PlanError ``host.memory`` where the host is too small."""
    host_memory = task.request.host.memory_bytes
    if host_memory is None:
        raise PlanError(
            "plan.host_memory_unknown",
            "A deployment on a CPU needs the host's memory, and the request has no host.memory_bytes.",
            ("Give host.memory_bytes (host_info reads it).",),
        )
    for name in _SPREAD:
        if task.user.get(name, 1) != 1:
            raise PlanError(
                "plan.unsupported_parallelism",
                "%s: %s cannot be planned on a CPU." % (name, task.user[name]),
                ("Leave it out.",),
            )
    settings = Settings(task.user)
    warnings = check_asked(task)
    features = decide_features(settings, task, 1)
    chunked = in_pieces(task, features.chunked_prefill, features.pooling)
    length = _length(settings, task, chunked)
    shape = _shape(settings, task, features, decide_batch_on_cpu(settings, task, length, chunked))
    if task.concurrency and shape.seqs < task.concurrency:
        text = "%d requests run at once; of the %d wanted the rest waits." % (shape.seqs, task.concurrency)
        warnings.append(warning("plan.requests_wait", text))
    weights = stored(task.deployment.model, task.model, shape)
    layout = kv_cache.layout(task.model, shape)

    process = CPU_PROCESS_BYTES + cpu_activation_bytes(task.model, shape)
    free = max(0, resources.memory_bytes or 0)
    one = round_up(kv_cache.needed_bytes(layout, length, shape), MIB)
    wanted = round_up(shape.seqs * kv_cache.request_bytes(layout, length, shape) + layout.block_bytes, MIB)
    spare = (free - process - weights.total) // MIB * MIB
    pool_bytes = max(one, min(wanted, spare))
    if "kv-cache-memory-bytes" in task.user:
        pool_bytes = settings.take("kv-cache-memory-bytes")
    if "num-gpu-blocks-override" in task.user:
        pool_bytes = task.user["num-gpu-blocks-override"] * layout.block_bytes
    total = weights.total + process + pool_bytes
    if total > free:
        raise PlanError(
            "host.memory",
            "Deployment '%s' needs %.2f GiB of host memory (weights %.2f, process %.2f, KV cache %.2f), and %.2f GiB "
            "of the host's %.2f GiB are left for it."
            % (task.name, total / GIB, weights.total / GIB, process / GIB, pool_bytes / GIB, free / GIB,
               host_memory / GIB),
            (
                "Give the host more memory.",
                "Choose a smaller model.",
                "Lower workload.max_model_len or workload.concurrency.",
            ),
            total,
            free,
        )  # fmt: skip
    if one > pool_bytes:
        raise _too_small(layout, shape, length, one, pool_bytes)
    many = (
        "%d requests" % shape.seqs if pool_bytes >= wanted else "What the host's memory leaves, at least one request,"
    )
    reason = "%s of %d tokens; without it vLLM would take 92 %% of the host's memory." % (many, length)
    settings.decide("kv-cache-memory-bytes", pool_bytes, reason)
    if not is_pooling(task):
        decide_serving(settings, task.model, task.deployment.model.id, task.version)
    resources.take_memory(total)
    memory = Memory(
        free, free, weights.total, process - CPU_PROCESS_BYTES, CPU_PROCESS_BYTES, 0, pool_bytes, free - total
    )
    return {
        "fingerprint": fingerprint(task, shape, (), weights),
        "settings": settings.finish(),
        "gpu_uuids": [],
        "gpu_indices": [],
        "memory": memory.as_dict(),
        "driver_shows_bytes": None,
        "kv": kv_dict(layout, kv_cache.pool(layout, pool_bytes, length, shape)),
        "ranks": [],
        "env": {},
        "decisions": settings.decisions,
        "warnings": warnings,
    }


def _shape(settings: Settings, task: Task, features: Features, batch: Batch) -> Shape:
    dtype = settings.decide("dtype", task.model.dtype, "The type of the checkpoint; the CPU engine computes in it.")
    reason = "On a CPU the compiler runs for minutes at every start and its work is not kept."
    settings.decide("enforce-eager", True, reason)
    block = MLA_BLOCK_SIZE if task.model.is_mla else BLOCK_SIZE
    block = settings.decide("block-size", block, "vLLM's default on a CPU.", "default")
    return Shape(
        version=task.version,
        tokens=batch.tokens,
        seqs=batch.seqs,
        width=4 if dtype in ("float32", "float") else 2,
        kv_dtype=decide_kv_dtype(settings, task, None, False),
        block_size=block,
        eager=True,
        prefix_caching=features.prefix_caching,
        async_scheduling=False,
        quantization=task.user.get("quantization"),
        speculative_tokens=features.speculative_tokens,
        kernel_block=KERNEL_BLOCK,
        engine_args=task.user,
    )


def _too_small(layout: kv_cache.KvLayout, shape: Shape, length: int, one: int, pool_bytes: int) -> PlanError:
    longest = kv_cache.longest(layout, pool_bytes, length, shape)
    return PlanError(
        "plan.does_not_fit",
        "One request of %d tokens needs %d bytes of KV cache, and kv-cache-memory-bytes is %d; %d tokens fit."
        % (length, one, pool_bytes, longest),
        ("Raise kv-cache-memory-bytes.", "Set workload.max_model_len to %d or less." % max(1, longest)),
        one,
        pool_bytes,
    )


def _length(settings: Settings, task: Task, chunked: bool) -> int:
    limit = task.model.max_model_len or UNSTATED
    if not chunked:
        limit = min(limit, task.user.get("max-num-batched-tokens", limit))
    if settings.user.get("max-model-len") in (-1, "auto"):
        raise PlanError(
            "plan.bad_engine_argument",
            "max-model-len: auto leaves the context to the engine, which a plan cannot answer for.",
            ("Leave max-model-len out; the plan finds the longest context that fits.",),
        )
    if task.deployment.max_model_len is not None:
        length = settings.decide("max-model-len", task.deployment.max_model_len, "workload.max_model_len.", "user")
    else:
        reason = "A chat fits, and a CPU reads a longer prompt for minutes."
        if limit <= DEFAULT_LENGTH:
            reason = "The longest context of the model."
        length = settings.decide("max-model-len", min(DEFAULT_LENGTH, limit), reason)
    return int(length)
