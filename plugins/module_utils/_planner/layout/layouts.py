# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Which parallel layouts a deployment may have on so many GPUs, best first."""

from __future__ import annotations

from typing import Iterator

from ..errors import PlanError
from .parallel import Obstacle, Parallel, obstacles
from .quantized import Quantized
from .task import Task

_MOST = 16
_REPLICAS_SINCE = (0, 9)  # the first release that serves several replicas behind one address
_SIZES = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")


def asked_ranks(task: Task) -> int | None:
    """GPUs that the engine arguments ask for, None where they do not say."""
    sizes = [task.user.get(name) for name in _SIZES]
    if all(size is None for size in sizes):
        return None
    product = 1
    for size in sizes:
        product *= size or 1
    return product


def layouts(task: Task, quantized: Quantized | None, count: int) -> list[Parallel]:
    """Layouts on ``count`` GPUs, best first. Raises PlanError ``plan.not_divisible`` or ``plan.conflict``."""
    out: list[Parallel] = []
    reasons: list[Obstacle] = []
    for shape in _shapes(task, count):
        found = obstacles(task.model, shape, quantized, task.version)
        if found and _may_spread(task, shape):
            spread = Parallel(shape.tensor, shape.pipeline, shape.data, True)
            if all(entry.expert for entry in found):
                shape, found = spread, obstacles(task.model, spread, quantized, task.version)
        if not any(entry.fatal for entry in found):
            out.append(shape)
        elif not reasons:
            reasons = found
    if not out:
        raise refused(task, quantized, count, reasons)
    return out


def _may_spread(task: Task, shape: Parallel) -> bool:
    """Whether the plan may switch expert parallelism on: not where the user laid the ranks out."""
    return bool(
        task.model.experts and not shape.expert and shape.tensor * shape.data > 1
        and "enable-expert-parallel" not in task.user and "tensor-parallel-size" not in task.user
    )  # fmt: skip


def _shapes(task: Task, count: int) -> Iterator[Parallel]:
    expert = bool(task.user.get("enable-expert-parallel", False))
    tensor, pipeline, data = (task.user.get(name) for name in _SIZES)
    if tensor or pipeline or data:
        rest = (pipeline or 1) * (data or 1)
        if tensor is None and count % rest == 0:
            tensor = count // rest
        shape = Parallel(tensor or 1, pipeline or 1, data or 1, expert)
        if shape.ranks != count:
            raise PlanError(
                "plan.conflict",
                "%s is %s and the deployment has %d GPUs."
                % ("tensor-parallel-size" if shape.ranks == shape.tensor else "tensor x pipeline x data parallel size",
                   shape.ranks, count),
                ("Leave tensor-parallel-size out.",),
            )  # fmt: skip
        yield shape
        return
    yield Parallel(tensor=count, expert=expert)
    if task.model.is_mla and task.model.experts and count > 1 and task.version >= _REPLICAS_SINCE:
        # Every rank of a latent cache holds all of it: replicas of the attention hold so many times the tokens.
        yield Parallel(data=count, expert=task.user.get("enable-expert-parallel", True) is not False)
    for size in range(count // 2, 0, -1):
        if count % size == 0:
            spread = bool(task.model.experts) and task.user.get("enable-expert-parallel", True) is not False
            if (not task.model.is_mla or size > 1) and task.version >= _REPLICAS_SINCE:
                yield Parallel(size, 1, count // size, spread)
            yield Parallel(size, count // size, 1, expert)


def refused(task: Task, quantized: Quantized | None, count: int, reasons: list[Obstacle]) -> PlanError:
    """The error for ``reasons``, with what would work."""
    texts = [entry.text for entry in reasons if entry.fatal]
    remedies = []
    if reasons and all(entry.expert for entry in reasons) and "enable-expert-parallel" not in task.user:
        remedies.append("Set enable-expert-parallel: true, which leaves experts whole.")
    good = [size for size in range(1, min(count, _MOST + 1)) if _divides(task, quantized, size)]
    if good:
        remedies.append("Use %s %s." % (" or ".join(str(size) for size in good), "GPU" if good == [1] else "GPUs"))
        if "tensor-parallel-size" in task.user:
            remedies.append("Leave tensor-parallel-size out; the plan finds a layout that divides.")
    return PlanError(
        "plan.not_divisible",
        "The model cannot be split over %d GPUs: it has %s." % (count, " and ".join(texts)),
        tuple(remedies),
    )


def _divides(task: Task, quantized: Quantized | None, size: int) -> bool:
    shape = Parallel(tensor=size, expert=bool(task.user.get("enable-expert-parallel", False)) and size > 1)
    return not any(entry.fatal for entry in obstacles(task.model, shape, quantized, task.version))
