# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The share of each GPU that an engine may use."""

from __future__ import annotations

from math import ceil, floor
from typing import Sequence

from .. import releases
from ..errors import PlanError, warning
from ..memory.accounting import Memory
from ..memory.cards import context_bytes, nvlink
from ..memory.libraries import unseen_group_bytes
from ..request import Gpu
from ..settings import Settings
from ..shape import Shape
from .task import Task

GIB = 2**30
_LOOKS_SINCE = (0, 9, 1)  # the first release that refuses to start where less is free than its share
_UNUSED = 0.98  # of the card's memory is free: nobody uses it
DISPLAY_BYTES = 2**29  # what a desktop may yet take on a card that drives a display


def largest_share(gpu: Gpu, share: float, outside: int) -> float:
    """Of the whole card: what is free of it, or of that ``share``, less what the engine holds beside its budget."""
    left = (gpu.free_bytes - (DISPLAY_BYTES if gpu.display else 0)) * share - context_bytes(gpu) - outside
    return left / gpu.usable_bytes


def decide_utilization(
    settings: Settings, task: Task, gpus: Sequence[Gpu], share: float, outside: int, shape: Shape
) -> float:
    """``share`` is the part of what is free that the deployment may have, ``outside`` bytes beside the budget.

    Raises PlanError ``plan.free_memory`` where the user's share is more than the engine will find free.
    """
    default = releases.default_utilization(task.version)
    if "gpu-memory-utilization" in settings.user:
        return _given(settings, task, gpus, outside, shape)
    largest = min(largest_share(gpu, share, outside) for gpu in gpus)
    if share >= 1 and largest >= default:
        return float(settings.decide("gpu-memory-utilization", default, "vLLM's default.", "default"))
    value = (
        min(default, max(0.01, floor(largest * 100) / 100)) if share >= 1 else max(0.01, floor(largest * 1000) / 1000)
    )
    if share < 1:
        reason = "Its part of a card that it shares with others, so that all of them fit."
    elif any(gpu.display for gpu in gpus):
        reason = "The card drives a display, or others hold part of it: what is free, rounded down."
    elif any(gpu.free_bytes < gpu.usable_bytes * _UNUSED for gpu in gpus):
        reason = "Others hold part of the card: what is free, rounded down."
    else:
        reason = "What CUDA's context, graphs and libraries leave of the card, rounded down."
    return float(settings.decide("gpu-memory-utilization", value, reason))


def _doubtful_bytes(gpu: Gpu, shape: Shape) -> int:
    """What is planned for and no refusal may rest on: the group of ranks was measured with NVLink only."""
    return 0 if nvlink(gpu) else unseen_group_bytes(shape)


def _given(settings: Settings, task: Task, gpus: Sequence[Gpu], outside: int, shape: Shape) -> float:
    value = float(settings.take("gpu-memory-utilization"))
    tightest = min(gpus, key=lambda gpu: gpu.free_bytes - gpu.usable_bytes * value - context_bytes(gpu))
    # The ranks' group is there before the engine looks at what is free, as CUDA's context is.
    before = context_bytes(tightest) + unseen_group_bytes(shape) - _doubtful_bytes(tightest, shape)
    wanted = ceil(tightest.usable_bytes * value)
    if task.version >= _LOOKS_SINCE and wanted > tightest.free_bytes - before:
        raise PlanError(
            "plan.free_memory",
            "gpu-memory-utilization %s wants %.2f GiB of GPU %d, of which %.2f GiB are free; CUDA itself takes about "
            "%.2f of them before vLLM looks."
            % (value, wanted / GIB, tightest.index, tightest.free_bytes / GIB, before / GIB),
            (_lower(tightest, outside), "Free the GPU."),
            wanted + before,
            tightest.free_bytes,
        )
    return value


def _lower(gpu: Gpu, outside: int) -> str:
    largest = floor(largest_share(gpu, 1.0, outside) * 100) / 100
    return "Set gpu-memory-utilization to %.2f or less, or leave it out." % max(0.01, largest)


def check_beside(
    task: Task, gpus: Sequence[Gpu], ranks: Sequence[Memory], shape: Shape, utilization: float, outside: int
) -> list[str]:
    """A share that the user set must leave room for what the engine takes beside it.

    Raises PlanError ``plan.free_memory``; a warning where that is not certain, and of releases that charge the share.
    """
    if "gpu-memory-utilization" not in task.user or "kv-cache-memory-bytes" in task.user:
        return []
    gpu, rank = min(zip(gpus, ranks), key=lambda entry: entry[1].headroom)
    if rank.headroom >= 0 or rank.kv_available < 0:
        return []
    text = (
        "gpu-memory-utilization %s is %.2f GiB of GPU %d, of which %.2f GiB are free; CUDA's context, graphs and "
        "libraries take %.2f more than that leaves."
    ) % (utilization, rank.budget / GIB, gpu.index, gpu.free_bytes / GIB, -rank.headroom / GIB)
    if task.version < _LOOKS_SINCE or rank.headroom + _doubtful_bytes(gpu, shape) >= 0:
        return [warning("plan.tight_utilization", text)]
    raise PlanError(
        "plan.free_memory",
        text,
        (_lower(gpu, outside), "Free the GPU."),
        gpu.free_bytes - rank.headroom,
        gpu.free_bytes,
    )
