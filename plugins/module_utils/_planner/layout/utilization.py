# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The share of each GPU that an engine may use."""

from __future__ import annotations

from math import floor
from typing import Sequence

from .. import releases
from ..errors import PlanError, warning
from ..memory.cards import context_bytes
from ..request import Gpu
from ..settings import Settings
from .task import Task

GIB = 2**30
DISPLAY_BYTES = 2**29  # what a desktop may yet take on a card that drives a display


def largest_share(gpu: Gpu, share: float, outside: int) -> float:
    """Of the whole card: what is free of it, or of that ``share``, less what the engine holds beside its budget."""
    left = gpu.free_bytes * share - context_bytes(gpu) - outside - (DISPLAY_BYTES if gpu.display else 0)
    return left / gpu.usable_bytes


def decide_utilization(
    settings: Settings, task: Task, gpus: Sequence[Gpu], share: float, outside: int
) -> tuple[float, list[str]]:
    """``share`` is the part of what is free that the deployment may have, ``outside`` bytes beside the budget."""
    default = releases.default_utilization(task.version)
    if "gpu-memory-utilization" in settings.user:
        return _given(settings, gpus)
    largest = min(largest_share(gpu, share, outside) for gpu in gpus)
    if share >= 1 and largest >= default:
        return float(settings.decide("gpu-memory-utilization", default, "vLLM's default.", "default")), []
    value = (
        min(default, max(0.01, floor(largest * 100) / 100)) if share >= 1 else max(0.01, floor(largest * 1000) / 1000)
    )
    if share < 1:
        reason = "Its part of a card that it shares with others, so that all of them fit."
    elif any(gpu.display for gpu in gpus):
        reason = "The card drives a display, or others hold part of it: what is free, rounded down."
    else:
        reason = "Others hold part of the card: what is free, rounded down."
    return float(settings.decide("gpu-memory-utilization", value, reason)), []


def _given(settings: Settings, gpus: Sequence[Gpu]) -> tuple[float, list[str]]:
    value = float(settings.take("gpu-memory-utilization"))
    tightest = min(gpus, key=lambda gpu: gpu.free_bytes - gpu.usable_bytes * value)
    wanted = tightest.usable_bytes * value
    if wanted > tightest.free_bytes:
        largest = floor(largest_share(tightest, 1.0, 0) * 100) / 100
        raise PlanError(
            "plan.free_memory",
            "gpu-memory-utilization %s wants %.2f GiB of GPU %d, of which %.2f GiB are free."
            % (value, wanted / GIB, tightest.index, tightest.free_bytes / GIB),
            ("Set gpu-memory-utilization to %.2f or less." % max(0.01, largest), "Free the GPU."),
            int(wanted),
            tightest.free_bytes,
        )
    return value, []


def tight(gpus: Sequence[Gpu], utilization: float) -> list[str]:
    """A warning where the share leaves less than CUDA itself takes on a card that nobody else uses."""
    for gpu in gpus:
        context = context_bytes(gpu)
        left = gpu.free_bytes - gpu.usable_bytes * utilization
        if left < context and gpu.free_bytes >= gpu.usable_bytes - context // 2:
            text = (
                "gpu-memory-utilization %s leaves %.2f GiB of GPU %d; CUDA itself takes about %.2f before vLLM looks."
            )
            return [warning("plan.tight_utilization", text % (utilization, left / GIB, gpu.index, context / GIB))]
    return []
