# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The plan of one deployment on a CPU host, after what was measured with vLLM 0.32."""

from __future__ import annotations

from typing import Any, Mapping

from ..errors import PlanError
from ..kv import cache as kv_cache
from ..memory.accounting import CPU_PROCESS_BYTES, GIB, MIB, Memory
from ..memory.activation import cpu_activation_bytes
from ..memory.weights import round_up, stored
from ..model.info import ModelInfo
from ..request import Deployment, Request
from ..settings import Settings
from ..shape import Shape
from .placement import Resources
from .serving import decide_serving

DEFAULT_LENGTH = 4096
DEFAULT_SEQS = 4
BATCHED_TOKENS = 2048
BLOCK_SIZE = 128
MLA_BLOCK_SIZE = 16
KERNEL_BLOCK = 32


def plan_on_cpu(
    request: Request,
    resources: Resources,
    deployment: Deployment,
    model: ModelInfo,
    user: Mapping[str, Any],
    version: Any,
) -> dict[str, Any]:
    """Settings and memory of ``deployment``. Raises PlanError ``host.memory`` where the host is too small."""
    if request.host.memory_bytes is None:
        raise PlanError(
            "plan.host_memory_unknown",
            "A deployment on a CPU needs the host's memory, and the request has no host.memory_bytes.",
            ("Give host.memory_bytes (host_info reads it).",),
        )
    for name in ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"):
        if user.get(name, 1) != 1:
            raise PlanError(
                "plan.unsupported_parallelism",
                "%s: %s cannot be planned on a CPU." % (name, user[name]),
                ("Leave it out.",),
            )
    settings = Settings(user)
    dtype = settings.decide("dtype", model.dtype, "The type of the checkpoint; the CPU engine computes in it.")
    width = 4 if dtype in ("float32", "float") else 2
    settings.decide(
        "enforce-eager", True, "On a CPU the compiler runs for minutes at every start and its work is not kept."
    )
    seqs = settings.decide(
        "max-num-seqs",
        deployment.concurrency or DEFAULT_SEQS,
        "workload.concurrency."
        if deployment.concurrency
        else "A CPU answers few requests at once without slowing all of them.",
        "user" if deployment.concurrency else "computed",
    )
    tokens = settings.decide("max-num-batched-tokens", BATCHED_TOKENS, "vLLM's default on a CPU.", "default")
    tokens = max(tokens, 1)
    mla = model.layers[0].kind == "mla"
    block = settings.decide("block-size", MLA_BLOCK_SIZE if mla else BLOCK_SIZE, "vLLM's default on a CPU.", "default")
    shape = Shape(
        version=version,
        tokens=tokens,
        seqs=seqs,
        width=width,
        kv_dtype=decide_kv_dtype(settings),
        block_size=block,
        eager=True,
        async_scheduling=False,
        quantization=user.get("quantization"),
        kernel_block=KERNEL_BLOCK,
        engine_args=user,
    )
    weights = stored(deployment.model, model, shape).total
    layout = kv_cache.layout(model, shape)
    length = _length(settings, deployment, model)

    process = CPU_PROCESS_BYTES + cpu_activation_bytes(model, shape)
    free = max(0, resources.memory_bytes or 0)
    one = round_up(kv_cache.needed_bytes(layout, length, shape), MIB)
    wanted = round_up(seqs * kv_cache.request_bytes(layout, length, shape) + layout.block_bytes, MIB)
    spare = (free - process - weights) // MIB * MIB
    if "kv-cache-memory-bytes" in user:
        pool_bytes = settings.take("kv-cache-memory-bytes")
        wanted_total = weights + process + pool_bytes
    else:
        pool_bytes = max(one, min(wanted, spare))
        wanted_total = weights + process + pool_bytes
    if wanted_total > free:
        raise PlanError(
            "host.memory",
            "Deployment '%s' needs %.2f GiB of host memory (weights %.2f, process %.2f, KV cache %.2f), and %.2f GiB "
            "of the host's %.2f GiB are left for it."
            % (deployment.name, wanted_total / GIB, weights / GIB, process / GIB, pool_bytes / GIB, free / GIB,
               request.host.memory_bytes / GIB),
            (
                "Give the host more memory.",
                "Choose a smaller model.",
                "Lower workload.max_model_len or workload.concurrency.",
            ),
            wanted_total,
            free,
        )  # fmt: skip
    if one > pool_bytes:
        longest = kv_cache.longest(layout, pool_bytes, length, shape)
        raise PlanError(
            "plan.does_not_fit",
            "One request of %d tokens needs %d bytes of KV cache, and kv-cache-memory-bytes is %d; %d tokens fit."
            % (length, one, pool_bytes, longest),
            ("Raise kv-cache-memory-bytes.", "Set workload.max_model_len to %d or less." % max(1, longest)),
            one,
            pool_bytes,
        )
    settings.decide(
        "kv-cache-memory-bytes",
        pool_bytes,
        "%s of %d tokens; without it vLLM would take 92 %% of the host's memory."
        % (
            "%d requests" % seqs if pool_bytes >= wanted else "What the host's memory leaves, at least one request,",
            length,
        ),
    )
    decide_serving(settings, model, deployment.model.id)
    resources.take_memory(wanted_total)
    memory = Memory(
        free, free, weights, process - CPU_PROCESS_BYTES, CPU_PROCESS_BYTES, 0, pool_bytes, free - wanted_total
    )
    pool = kv_cache.pool(layout, pool_bytes, length, shape)
    return {
        "settings": settings.finish(),
        "gpu_uuids": [],
        "gpu_indices": [],
        "memory": memory.as_dict(),
        "kv": kv_dict(layout, pool),
        "ranks": [],
        "decisions": settings.decisions,
        "warnings": [],
    }


def decide_kv_dtype(settings: Settings) -> str:
    """The type of the KV cache's elements."""
    name = settings.decide("kv-cache-dtype", "auto", "The model's own type keeps its accuracy.", "default")
    if name not in kv_cache.KV_DTYPE_BYTES:
        raise PlanError(
            "plan.unsupported_kv_cache_dtype",
            "kv-cache-dtype %s cannot be planned yet." % name,
            ("Choose one of %s." % ", ".join(sorted(kv_cache.KV_DTYPE_BYTES)),),
        )
    return str(name)


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


def _length(settings: Settings, deployment: Deployment, model: ModelInfo) -> int:
    limit = model.max_model_len
    if "max-model-len" in settings.user and settings.user["max-model-len"] in (-1, "auto"):
        raise PlanError(
            "plan.bad_engine_argument",
            "max-model-len: auto leaves the context to the engine, which a plan cannot answer for.",
            ("Leave max-model-len out; the plan finds the longest context that fits.",),
        )
    if deployment.max_model_len is not None:
        length = settings.decide("max-model-len", deployment.max_model_len, "workload.max_model_len.", "user")
    else:
        length = settings.decide(
            "max-model-len",
            min(DEFAULT_LENGTH, limit or DEFAULT_LENGTH),
            "A chat fits, and a CPU reads a longer prompt for minutes."
            if (limit or DEFAULT_LENGTH) > DEFAULT_LENGTH
            else "The longest context of the model.",
        )
    check_length(length, limit)
    return int(length)


def check_length(length: int, limit: int | None) -> None:
    if limit is not None and length > limit:
        raise PlanError(
            "plan.context_too_long",
            "A context of %d tokens was asked for, and the model's config allows %d." % (length, limit),
            ("Set workload.max_model_len to %d or less." % limit,),
        )
