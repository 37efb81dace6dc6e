# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The plan of one deployment on GPUs: which, how spread, and how far to give way so that the workload fits."""

from __future__ import annotations

from typing import Any, Sequence

from ..errors import PlanError
from ..request import Gpu
from .answer import answer
from .candidates import candidates
from .engine import Engine, Variant, build
from .features import check_host_memory, host_bytes
from .kv_dtype import may_narrow
from .length import (
    check_asked,
    check_explicit,
    decide_length,
    does_not_fit,
    fitness,
    holds_all,
    wanted_bytes,
    worth,
)
from .parallel import Parallel
from .placement import Resources
from .quantized import Quantized, read_quantized
from .serving import decide_serving
from .sharing import EXPLICIT_SINCE, settle
from .task import Task


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
        _tell_neighbours(engine, resources)
    check_explicit(engine)
    length = decide_length(engine)
    if not engine.features.pooling:
        decide_serving(engine.settings, task.model, task.deployment.model.id, task.version)
    moved = host_bytes(engine.features, engine.weights.total // engine.parallel.ranks, engine.parallel.ranks)
    check_host_memory(task, moved, resources.memory_bytes)
    resources.take_memory(moved)
    resources.take_gpus(engine.gpus, task.name, share)
    return answer(engine, length, quantized)


def _tell_neighbours(engine: Engine, resources: Resources) -> None:
    names = resources.neighbours(engine.task.deployment, engine.gpus)
    if names:
        shown = " and ".join("'%s'" % name for name in names)
        for decision in engine.settings.decisions:
            if decision["setting"] == "gpu-memory-utilization":
                decision["reason"] += " It shares GPU %d with %s." % (engine.gpus[0].index, shown)


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
    tried = list(candidates(task, resources, quantized, pending, errors))
    asked = "pipeline-parallel-size" in task.user
    found: list[Engine] = []
    for staged in (False, True):
        group = [entry for entry in tried if (entry[1].pipeline > 1 and not asked) is staged]
        # A host whose cards hold a little more must not get less: what only just fits does not displace stages.
        if found and len(found[0].gpus) > 1:
            group = [entry for entry in group if len(entry[0]) == len(found[0].gpus)]
        elif found:
            break
        engine = _best(task, group, share, errors)
        if engine is not None and holds_all(engine):
            return engine
        found += [] if engine is None else [engine]
    if found:
        return max(found, key=worth)
    raise _worst(errors)


def _best(
    task: Task, tried: Sequence[tuple[list[Gpu], Parallel]], share: float, errors: list[PlanError]
) -> Engine | None:
    """The first engine that holds the whole workload, else the first that holds one request, giving way late."""
    found: dict[tuple[bool, bool], Engine] = {}
    # A smaller batch or a narrower cache, sized by what was asked for, needs an explicit size.
    yields = task.open and task.version >= EXPLICIT_SINCE
    variants = [Variant(), Variant(lean=True)] if yields else [Variant()]
    for step in (variants, [Variant(lean=True, narrow=True)]) if yields else (variants,):
        for gpus, parallel in tried:
            for variant in step:
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
    """The error to tell: the attempt that came nearest; where none came to that, the first reason."""
    short = [error for error in errors if error.code == "plan.does_not_fit"]
    if short:
        return min(short, key=lambda error: (error.needed_bytes or 0) - (error.available_bytes or 0))
    if errors:
        return errors[0]
    return PlanError("plan.does_not_fit", "No layout of this host's GPUs holds the model.", ("Use more GPUs.",))
