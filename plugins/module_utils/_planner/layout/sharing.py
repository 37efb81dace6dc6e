# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Several engines on one GPU: which part of it each may have, so that all fit whatever order they start in."""

from __future__ import annotations

from math import floor
from typing import Mapping, Sequence

from ..errors import PlanError, warning
from ..memory.cards import context_bytes
from ..request import Gpu
from .engine import Engine, Variant, build
from .layouts import layouts
from .length import wanted_bytes
from .placement import Resources
from .quantized import read_quantized
from .task import Task
from .utilization import DISPLAY_BYTES

GIB = 2**30
MARGIN_BYTES = 2**28  # between what is predicted and what a neighbour may count on
_STEPS = 900  # shares are rounded down to a thousandth of the card
EXPLICIT_SINCE = (0, 10, 2)  # kv-cache-memory-bytes
_ALONE_BEFORE = (0, 9, 1)  # these releases charge an engine for what others hold of the card


def shares(tasks: Sequence[Task], resources: Resources) -> dict[str, float | PlanError]:
    """The part of what is free of its GPUs that each task may have; the error where its GPUs do not hold it too."""
    out: dict[str, float | PlanError] = {task.name: task.deployment.gpus.share or 1.0 for task in tasks}
    sharers: dict[int, list[Task]] = {}
    cards: dict[int, Gpu] = {}
    for task in tasks:
        try:
            named = resources.named(task.deployment) if task.device == "cuda" else None
        except PlanError:
            continue  # told when it is its turn
        for gpu in named or []:
            cards[gpu.index] = gpu
            sharers.setdefault(gpu.index, []).append(task)
    for index, group in sharers.items():
        if len(group) > 1:
            _divide(cards[index], group, resources, out)
    return out


def _divide(gpu: Gpu, group: list[Task], resources: Resources, out: dict[str, float | PlanError]) -> None:
    """Split ``gpu`` among ``group``: what was said stands, the rest goes by need, first come first served."""
    free = shareable_bytes(gpu)
    said: dict[str, float] = {}
    needs: dict[str, int] = {}
    left = 1.0
    # Those that are here now come first, so that a newcomer is the one that is refused.
    for task in sorted(group, key=lambda task: gpu.uuid not in task.deployment.kept_uuids):
        if isinstance(out[task.name], PlanError):
            continue
        if task.version < _ALONE_BEFORE:
            out[task.name] = _old(task, gpu)
            continue
        share = said_part(task, gpu, free)
        need = 0 if share is not None else _need(task, resources, out)
        if isinstance(out[task.name], PlanError):
            continue
        used = sum(needs.values()) / free + sum(said.values())
        if used + (share if share is not None else need / free) > 1.0 + 1e-9:
            others = [entry.name for entry in group if entry.name in said or entry.name in needs]
            out[task.name] = _taken(task, gpu, others, share, need, free, used)
            continue
        if share is not None:
            said[task.name] = share
        else:
            needs[task.name] = need
    left -= sum(said.values())
    total = sum(needs.values())
    parts = dict(said)
    parts.update({name: floor(left * need / total * 10000) / 10000 for name, need in needs.items()})
    _store(parts, out)


def _store(parts: Mapping[str, float], out: dict[str, float | PlanError]) -> None:
    for name, part in parts.items():
        known = out[name]
        out[name] = min(known, part) if not isinstance(known, PlanError) else known


def shareable_bytes(gpu: Gpu) -> int:
    """What engines may divide among themselves."""
    return max(1, gpu.free_bytes - (DISPLAY_BYTES if gpu.display else 0))


def said_part(task: Task, gpu: Gpu, free: int) -> float | None:
    """The part that inventory or engine arguments give the task, None where they leave it open."""
    if task.deployment.gpus.share is not None:
        return task.deployment.gpus.share
    share = task.user.get("gpu-memory-utilization")
    return None if share is None else (share * gpu.usable_bytes + context_bytes(gpu)) / free


def _need(task: Task, resources: Resources, out: dict[str, float | PlanError]) -> int:
    """Bytes of a GPU that the task's workload takes, its context and a margin included."""
    pinned = resources.pinned_bytes(task.name)
    if pinned is not None:
        return pinned
    gpus = resources.named(task.deployment) or []
    try:
        parallel = layouts(task, read_quantized(task.model), len(gpus))[0]
        engine = build(task, gpus, parallel, Variant(), 1.0)
    except PlanError as error:
        out[task.name] = error
        return 0
    return need_bytes(engine)


def need_bytes(engine: Engine) -> int:
    """Bytes of each of its GPUs with which the engine serves its workload beside others."""
    part = max(engine.parts, key=lambda entry: entry.weights + entry.activation)
    estimate = max(part.graphs, part.estimate or 0)
    fixed = part.weights + part.activation + part.non_torch + estimate + part.uncharged
    cache = wanted_bytes(engine, True) if engine.explicit is None else engine.explicit
    gpu = engine.gpus[0]
    return fixed + cache + context_bytes(gpu) + MARGIN_BYTES + gpu.usable_bytes // _STEPS


def settle(engine: Engine) -> None:
    """Give an engine that shares its GPUs a cache of fixed size, so that it does not matter which starts first."""
    if engine.explicit is not None or "num-gpu-blocks-override" in engine.task.user:
        return
    if engine.task.version < EXPLICIT_SINCE:
        text = "vLLM %s sizes its cache by what is free when it starts: start the engines of a GPU one after another."
        engine.warnings.append(warning("plan.start_order", text % engine.task.text))
        return
    size = engine.least.kv_available - MARGIN_BYTES
    least = wanted_bytes(engine, False)
    size = max(min(least, engine.least.kv_available), size)
    if size > 0:
        engine.set_cache(size, "A fixed size: engines that share a GPU would else take what the others have not yet.")


def _old(task: Task, gpu: Gpu) -> PlanError:
    return PlanError(
        "plan.gpu_taken",
        "Deployment '%s' shares GPU %d, and vLLM %s charges an engine for what others hold."
        % (task.name, gpu.index, task.text),
        ("Use vLLM 0.10.2 or newer.", "Give each deployment its own GPU."),
    )  # fmt: skip


def _taken(
    task: Task, gpu: Gpu, others: Sequence[str], share: float | None, need: int, free: int, used: float
) -> PlanError:
    wanted = need if share is None else int(share * free)
    available = max(0, int((1 - used) * free))
    return PlanError(
        "plan.gpu_taken",
        "Deployment '%s' wants %.2f GiB of GPU %d, of which %s %s %.2f GiB."
        % (task.name, wanted / GIB, gpu.index, " and ".join("'%s'" % name for name in others),
           "leaves" if len(others) == 1 else "leave", available / GIB),
        ("Give each deployment its own GPU.", "Lower workload.max_model_len or workload.concurrency of one of them."),
        wanted,
        available,
    )  # fmt: skip
