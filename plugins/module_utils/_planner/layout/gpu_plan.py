# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The plan of one deployment on GPUs: which, how spread, and how far to give way so that the workload fits."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from ..errors import PlanError, warning
from ..request import Gpu
from .answer import kv_dict
from .builds import build_of, check_driver, refusal
from .capability import check_quantization
from .engine import Engine, Variant, build
from .features import check_host_memory, host_bytes
from .kv_dtype import may_narrow
from .layouts import asked_ranks, layouts
from .length import check_asked, check_explicit, decide_length, does_not_fit, fitness, wanted_bytes
from .parallel import Parallel, obstacles
from .placement import Resources
from .quantized import Quantized, read_quantized
from .serving import decide_serving
from .sharing import EXPLICIT_SINCE, settle
from .task import Task

_MOST = 16


def plan_on_gpus(task: Task, resources: Resources, share: float = 1.0, pending: int = 0) -> dict[str, Any]:
    """Settings and memory of ``task``. Raises PlanError where it cannot run on this host.

    ``share`` is the part of what is free of its GPUs; ``pending`` counts deployments that are yet to get one.
    """
    _check_host(task)
    check_asked(task)
    quantized = read_quantized(task.model)
    engine = _search(task, resources, quantized, share, pending)
    if share < 1:
        settle(engine)
    check_explicit(engine)
    length = decide_length(engine)
    if not engine.features.pooling:
        decide_serving(engine.settings, task.model, task.deployment.model.id, task.version)
    moved = host_bytes(engine.features, engine.weights.total // engine.parallel.ranks, engine.parallel.ranks)
    check_host_memory(task, moved, resources.memory_bytes)
    resources.take_memory(moved)
    resources.take_gpus(engine.gpus, task.name, share)
    return _answer(engine, length, quantized)


def _check_host(task: Task) -> None:
    request = task.request
    if not request.gpus:
        reason = request.gpu_reason or "no usable GPU was found"
        remedies = ("Set vllm_device: cpu for this host.",)
        raise PlanError(
            "host.no_gpu",
            "Deployment '%s' wants a GPU and this host has none: %s." % (task.name, reason.rstrip(".")),
            ((request.gpu_remedy,) if request.gpu_remedy else ()) + remedies,
        )


def _search(task: Task, resources: Resources, quantized: Quantized | None, share: float, pending: int) -> Engine:
    """The engine to take. Stages wait for each other: they are for what no other layout holds, or for who asks."""
    errors: list[PlanError] = []
    candidates = list(_candidates(task, resources, quantized, pending, errors))
    asked = "pipeline-parallel-size" in task.user
    for staged in (False, True):
        group = [entry for entry in candidates if (entry[1].pipeline > 1 and not asked) is staged]
        engine = _best(task, group, share, errors)
        if engine is not None:
            return engine
    raise _worst(errors)


def _best(
    task: Task, candidates: Sequence[tuple[list[Gpu], Parallel]], share: float, errors: list[PlanError]
) -> Engine | None:
    """The first engine that holds the whole workload, else the first that holds one request, giving way late."""
    found: dict[tuple[bool, bool], Engine] = {}
    yields = _may_yield(task)
    variants = [Variant(), Variant(lean=True)] if yields else [Variant()]
    for tried in (variants, [Variant(lean=True, narrow=True)]) if yields else (variants,):
        for gpus, parallel in candidates:
            for variant in tried:
                if variant.narrow and not may_narrow(task, gpus[0]):
                    continue
                try:
                    engine = build(task, gpus, parallel, variant, share)
                except PlanError as error:
                    errors.append(error)
                    break
                fits = fitness(engine)
                if fits == 0:
                    return _sized(engine, True)
                if fits == 1:
                    found.setdefault((variant.narrow, variant.lean), engine)
                elif variant.plain:
                    errors.append(_shortage(engine))
    return _sized(found[min(found)], False) if found else None


def _may_yield(task: Task) -> bool:
    """Whether the plan may choose a smaller batch or a narrower cache: only for a context that the workload asks for.

    Whoever sets the context or the memory among the engine arguments has them as they are.
    """
    by_hand = ("max-model-len", "kv-cache-memory-bytes", "gpu-memory-utilization")
    asked = task.deployment.max_model_len is not None and not any(name in task.user for name in by_hand)
    return asked and task.version >= EXPLICIT_SINCE


def _sized(engine: Engine, whole: bool) -> Engine:
    """One that gave way gets a cache of just what was asked for: a little more memory must not mean less cache."""
    if not engine.variant.plain:
        size = min(wanted_bytes(engine, whole), engine.least.kv_available)
        engine.set_cache(size, "Just what the workload asks for; a larger batch or finer cache did not leave as much.")
    return engine


def _shortage(engine: Engine) -> PlanError:
    asked = engine.task.asked_length
    limit = asked or engine.task.model.max_model_len or 2**20
    return does_not_fit(engine, asked or min(limit, 16), engine.longest(limit))


def _worst(errors: Sequence[PlanError]) -> PlanError:
    """The error to tell: another reason than memory first, else the attempt that came nearest."""
    if not errors:
        return PlanError("plan.does_not_fit", "No layout of this host's GPUs holds the model.", ("Use more GPUs.",))
    for error in errors:
        if error.code != "plan.does_not_fit":
            return error
    return min(errors, key=lambda error: (error.needed_bytes or 0) - (error.available_bytes or 0))


def _candidates(
    task: Task, resources: Resources, quantized: Quantized | None, pending: int, errors: list[PlanError]
) -> Iterator[tuple[list[Gpu], Parallel]]:
    """GPUs and layouts to try, fewest first. Raises PlanError where the wish itself cannot be met."""
    own = build_of(task)
    named = resources.named(task.deployment)
    if named is not None:
        for gpu in named:
            refused = refusal(gpu, own)
            if refused is not None:
                raise refused
        _check_cards(task, named, quantized)
        for parallel in layouts(task, quantized, len(named)):
            yield named, parallel
        return
    left = resources.free_gpus(task.deployment)
    free = [gpu for gpu in left if refusal(gpu, own) is None]
    refusals = [refused for refused in (refusal(gpu, own) for gpu in left) if refused is not None]
    count = task.deployment.gpus.count or asked_ranks(task)
    if refusals and len(free) < (count or 1):
        raise refusals[0]
    if count is not None and count > len(free):
        raise PlanError(
            "plan.not_enough_gpus",
            "Deployment '%s' wants %d GPUs, and %d are left on this host." % (task.name, count, len(free)),
            ("Lower gpus.count.", "Move a deployment to another host."),
        )
    if not free:
        raise PlanError(
            "plan.not_enough_gpus",
            "Deployment '%s' wants a GPU, and all of this host's are given to others." % task.name,
            ("Move a deployment to another host.", "Let two share one: gpus.share."),
        )
    for number, shapes in _numbers(task, quantized, count, max(1, len(free) - pending)):
        for gpus in resources.choices(free, number):
            try:
                _check_cards(task, gpus, quantized)
            except PlanError as error:
                errors.append(error)
                continue
            for parallel in shapes:
                yield gpus, parallel


def _check_cards(task: Task, gpus: Sequence[Gpu], quantized: Quantized | None) -> None:
    check_driver(task, gpus)
    check_quantization(task, quantized, gpus)


def _numbers(
    task: Task, quantized: Quantized | None, count: int | None, most: int
) -> Iterator[tuple[int, list[Parallel]]]:
    """Numbers of GPUs with their layouts; where none was said, first those over which every layer divides."""
    if count is not None:
        yield count, layouts(task, quantized, count)
        return
    later = []
    for number in range(1, min(most, _MOST) + 1):
        try:
            shapes = layouts(task, quantized, number)
        except PlanError:
            if number == 1:
                raise
            continue
        # Replicas of a latent cache's attention hold more, where the wish asks for more.
        whole = [shape for shape in shapes if shape.tensor == number or (shape.data == number and task.model.is_mla)]
        if whole and whole[0].tensor == number:
            yield number, whole
        else:
            later.append((number, shapes))
    yield from later


def _answer(engine: Engine, length: int, quantized: Quantized | None) -> dict[str, Any]:
    task = engine.task
    cache, pool = engine.pool(length)
    at_once = pool.max_concurrency * engine.parallel.data
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
    _note_defaults(engine, cache.block_size)
    first = engine.ranks[0]
    kv = kv_dict(cache, pool)
    if engine.parallel.data > 1:
        kv["replicas"] = engine.parallel.data
    out = {
        "fingerprint": engine.digest,
        "settings": engine.settings.finish(),
        "gpu_uuids": [gpu.uuid for gpu in engine.gpus if gpu.uuid],
        "gpu_indices": [gpu.index for gpu in engine.gpus],
        "memory": first.as_dict(),
        "kv": kv,
        "ranks": [rank.as_dict() for rank in engine.ranks[1:] if rank.as_dict() != first.as_dict()],
        "env": engine.wiring.env,
        "decisions": engine.settings.decisions,
        "warnings": engine.warnings,
    }
    return out


def _note_defaults(engine: Engine, block_size: int) -> None:
    reason = "What release, card and layers make of it; %s." % engine.parallel.shown()
    if "block-size" not in engine.settings.values:
        engine.settings.decide("block-size", block_size, reason, "default")
