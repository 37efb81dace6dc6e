# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Which GPUs and parallel layouts to try for a deployment, fewest GPUs first."""

from __future__ import annotations

from typing import Iterator, Sequence

from ..errors import PlanError
from ..request import Gpu
from .builds import build_of, check_driver, refusal
from .capability import check_quantization
from .layouts import asked_ranks, layouts
from .parallel import Parallel
from .placement import Resources
from .quantized import Quantized
from .task import Task

_MOST = 16


def candidates(
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
