# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The plan of one deployment on GPUs: layout, utilisation, context and batch, each with its reason."""

from __future__ import annotations

from math import floor
from typing import Any, Mapping

from .. import releases
from ..errors import PlanError
from ..kv import cache as kv_cache
from ..memory.accounting import GIB, MIB, Memory, Parts, gpu_memory
from ..memory.activation import activation_bytes
from ..memory.graphs import graph_bytes
from ..memory.libraries import non_torch_bytes
from ..memory.weights import rank_bytes, stored
from ..model.info import ModelInfo
from ..request import Deployment, Gpu, GpuWish, Request
from ..settings import Settings
from ..shape import Shape
from .cpu_plan import check_length, decide_kv_dtype, kv_dict
from .hardware import batch_defaults, check_driver, check_dtype, default_build, refusal
from .parallel import check_tensor_parallel, divides
from .placement import Resources
from .serving import decide_serving

CONTEXT_BYTES = 512 * MIB  # what CUDA itself takes before the engine looks at the card
COUNTS = (1, 2, 4, 8)


def plan_on_gpus(
    request: Request,
    resources: Resources,
    deployment: Deployment,
    model: ModelInfo,
    user: Mapping[str, Any],
    version: Any,
) -> dict[str, Any]:
    """Settings and memory of ``deployment``. Raises PlanError where it cannot run on this host."""
    if not request.gpus:
        reason = request.gpu_reason or "no usable GPU was found"
        remedies = ("Set vllm_device: cpu for this host.",)
        raise PlanError(
            "host.no_gpu",
            "Deployment '%s' wants a GPU and this host has none: %s." % (deployment.name, reason.rstrip(".")),
            ((request.gpu_remedy,) if request.gpu_remedy else ()) + remedies,
        )
    for name in ("pipeline-parallel-size", "data-parallel-size"):
        if user.get(name, 1) != 1:
            raise PlanError(
                "plan.unsupported_parallelism",
                "%s: %s cannot be planned yet." % (name, user[name]),
                ("Use tensor parallelism (gpus.count) instead.",),
            )
    build = deployment.build or default_build(version)
    check_driver(request.driver_version, build)
    error: PlanError | None = None
    for gpus in _candidates(resources, deployment, model, user, build):
        try:
            instance = _on(gpus, deployment, model, user, version)
        except PlanError as failure:
            error = failure
            if failure.code != "plan.does_not_fit":
                break
            continue
        resources.take_gpus(gpus, deployment.name)
        return instance
    if error is None:
        raise RuntimeError("no number of GPUs was tried")
    raise error


def _candidates(
    resources: Resources, deployment: Deployment, model: ModelInfo, user: Mapping[str, Any], build: str | None
) -> list[list[Gpu]]:
    """Sets of GPUs to try, smallest first."""
    named = resources.named(deployment)
    if named is not None:
        for gpu in named:
            refused = refusal(gpu, build)
            if refused is not None:
                raise refused
        check_tensor_parallel(model, len(named))
        return [named]
    left = resources.free_gpus(deployment)
    refusals = [refused for refused in (refusal(gpu, build) for gpu in left) if refused is not None]
    free = [gpu for gpu in left if refusal(gpu, build) is None]
    if refusals and len(free) < (deployment.gpus.count or user.get("tensor-parallel-size") or 1):
        raise refusals[0]
    count = deployment.gpus.count or user.get("tensor-parallel-size")
    if count is not None:
        if count > len(free):
            raise PlanError(
                "plan.not_enough_gpus",
                "Deployment '%s' wants %d GPUs, and %d are left on this host." % (deployment.name, count, len(free)),
                ("Lower gpus.count.", "Move a deployment to another host."),
            )
        check_tensor_parallel(model, count)
        return [free[:count]]
    if not free:
        raise PlanError(
            "plan.not_enough_gpus",
            "Deployment '%s' wants a GPU, and all of this host's are given to others." % deployment.name,
            ("Move a deployment to another host.",),
        )
    return [free[:count] for count in COUNTS if count <= len(free) and divides(model, count)]


def _on(
    gpus: list[Gpu],
    deployment: Deployment,
    model: ModelInfo,
    user: Mapping[str, Any],
    version: Any,
) -> dict[str, Any]:
    settings = Settings(user)
    size = len(gpus)
    if user.get("tensor-parallel-size", size) != size:
        raise PlanError(
            "plan.conflict",
            "tensor-parallel-size is %s and the deployment has %d GPUs." % (user["tensor-parallel-size"], size),
            ("Leave tensor-parallel-size out.",),
        )
    first = min(gpus, key=lambda gpu: gpu.usable_bytes)
    _decide_dtype(settings, model, gpus)
    dtype = settings.values.get("dtype", model.dtype)
    width = 4 if dtype in ("float32", "float") else 2
    if size > 1:
        reason = "The deployment has %d GPUs." if deployment.gpus != GpuWish() else "The fewest GPUs that hold it: %d."
        settings.decide("tensor-parallel-size", size, reason % size)
    tokens, seqs, eager = _decide_batch(settings, deployment, gpus[0], version)
    utilization = _decide_utilization(settings, gpus, version)
    shape = Shape(
        version=version,
        tokens=tokens,
        seqs=seqs,
        width=width,
        kv_dtype=decide_kv_dtype(settings),
        block_size=settings.decide("block-size", 16, "vLLM's default.", "default"),
        tensor=size,
        eager=eager,
        async_scheduling=bool(user.get("async-scheduling", version >= (0, 14))),
        quantization=user.get("quantization"),
        gpu=first,
        engine_args=user,
    )
    parts = Parts(
        rank_bytes(stored(deployment.model, model, shape), model, shape),
        activation_bytes(model, shape),
        non_torch_bytes(model, shape),
        graph_bytes(model, shape),
    )
    layout = kv_cache.layout(model, shape)
    explicit = user.get("kv-cache-memory-bytes")
    if explicit is not None:
        settings.take("kv-cache-memory-bytes")
    ranks = [gpu_memory(gpu, utilization, parts, shape, explicit) for gpu in gpus]
    least = min(ranks, key=lambda rank: rank.kv_available)
    length, warnings = _decide_length(settings, deployment, model, layout, least, shape)
    decide_serving(settings, model, deployment.model.id)
    pool = kv_cache.pool(layout, least.kv_available, length, shape)
    if deployment.concurrency and pool.max_concurrency < deployment.concurrency:
        warnings.append(
            "%.1f requests of %d tokens fit at once; of the %d wanted the rest waits when all are that long."
            % (pool.max_concurrency, length, deployment.concurrency)
        )
    return {
        "settings": settings.finish(),
        "gpu_uuids": [gpu.uuid for gpu in gpus if gpu.uuid],
        "gpu_indices": [gpu.index for gpu in gpus],
        "memory": ranks[0].as_dict(),
        "kv": kv_dict(layout, pool),
        "ranks": [rank.as_dict() for rank in ranks[1:] if rank != ranks[0]],
        "decisions": settings.decisions,
        "warnings": warnings,
    }


def _decide_dtype(settings: Settings, model: ModelInfo, gpus: list[Gpu]) -> None:
    asked = settings.user.get("dtype", "auto")
    if asked == "auto":
        oldest = min((gpu.capability or (8, 0)) for gpu in gpus)
        if model.dtype == "bfloat16" and oldest < (8, 0):
            settings.decide("dtype", "float16", "A GPU of compute capability %d.%d has no bfloat16." % oldest)
        else:
            settings.decide("dtype", "auto", "The type of the checkpoint (%s)." % model.dtype, "default")
    else:
        settings.take("dtype")
    if settings.values.get("dtype") == "auto":
        settings.values["dtype"] = model.dtype
    check_dtype(settings.values.get("dtype", model.dtype), gpus)


def _decide_batch(settings: Settings, deployment: Deployment, gpu: Gpu, version: Any) -> tuple[int, int, bool]:
    default_tokens, default_seqs = batch_defaults(gpu, version)
    if deployment.concurrency:
        seqs = settings.decide("max-num-seqs", deployment.concurrency, "workload.concurrency.", "user")
    else:
        seqs = settings.decide("max-num-seqs", default_seqs, "vLLM's default on a %s." % gpu.name, "default")
    tokens = settings.decide("max-num-batched-tokens", default_tokens, "vLLM's default on a %s." % gpu.name, "default")
    eager = settings.decide("enforce-eager", False, "CUDA graphs make decoding faster.", "default")
    return tokens, seqs, bool(eager)


def _decide_utilization(settings: Settings, gpus: list[Gpu], version: Any) -> float:
    """The share of each GPU that the engine may use; lowered where others hold part of the card."""
    default = releases.default_utilization(version)
    largest = min((gpu.free_bytes - CONTEXT_BYTES) / gpu.usable_bytes for gpu in gpus)
    if "gpu-memory-utilization" in settings.user:
        value = settings.take("gpu-memory-utilization")
        tightest = min(gpus, key=lambda gpu: gpu.free_bytes - gpu.usable_bytes * value)
        if tightest.usable_bytes * value > tightest.free_bytes and "kv-cache-memory-bytes" not in settings.user:
            raise PlanError(
                "plan.free_memory",
                "gpu-memory-utilization %s wants %.2f GiB of GPU %d, of which %.2f GiB are free."
                % (value, tightest.usable_bytes * value / GIB, tightest.index, tightest.free_bytes / GIB),
                ("Set gpu-memory-utilization to %.2f or less." % (floor(largest * 100) / 100), "Free the GPU."),
                int(tightest.usable_bytes * value),
                tightest.free_bytes,
            )
        return float(value)
    if largest >= default:
        return float(settings.decide("gpu-memory-utilization", default, "vLLM's default.", "default"))
    value = max(0.01, floor(largest * 100) / 100)
    return float(
        settings.decide("gpu-memory-utilization", value, "Others hold part of the card: what is free, rounded down.")
    )


def _decide_length(
    settings: Settings,
    deployment: Deployment,
    model: ModelInfo,
    layout: kv_cache.KvLayout,
    least: Memory,
    shape: Shape,
) -> tuple[int, list[str]]:
    limit = model.max_model_len
    explicit = settings.user.get("max-model-len", deployment.max_model_len)
    automatic = explicit is None or explicit in (-1, "auto")
    ceiling = limit or 2**20
    wanted = ceiling if automatic else explicit
    check_length(wanted, limit)
    fits = kv_cache.longest(layout, least.kv_available, wanted, shape)
    needed = kv_cache.needed_bytes(layout, min(wanted, 16) if automatic else wanted, shape)
    if fits < (1 if automatic else wanted):
        total = least.budget - least.kv_available + needed
        raise PlanError(
            "plan.does_not_fit",
            "Deployment '%s' needs %.2f GiB of a GPU (weights %.2f, activation %.2f, KV cache %.2f for one request of "
            "%d tokens) and may use %.2f GiB; %s."
            % (deployment.name, total / GIB, least.weights / GIB, least.activation / GIB, needed / GIB, wanted,
               least.budget / GIB, "%d tokens fit" % fits if fits else "no context fits"),
            _remedies(fits),
            total,
            least.budget,
        )  # fmt: skip
    if not automatic:
        if "max-model-len" in settings.user:
            settings.take("max-model-len")
        else:
            settings.decide("max-model-len", wanted, "workload.max_model_len.", "user")
        return wanted, []
    if fits >= ceiling:
        reason = "The longest context of the model; it fits."
        length, warnings = ceiling, []
    else:
        length = max(layout.block_size, fits // 1024 * 1024 or fits // layout.block_size * layout.block_size)
        reason = "The model's %d tokens do not fit; this is what one request can have." % ceiling
        warnings = ["The context is %d tokens, not the model's %d: the memory holds no more." % (length, ceiling)]
    settings.values["max-model-len"] = length
    settings.decisions.append({"setting": "max-model-len", "value": length, "source": "computed", "reason": reason})
    return length, warnings


def _remedies(fits: int) -> tuple[str, ...]:
    out = ["Use a GPU with more memory.", "Use more GPUs (gpus.count).", "Choose a smaller or quantised model."]
    if fits:
        out.insert(0, "Set workload.max_model_len to %d or less." % fits)
    return tuple(out)
