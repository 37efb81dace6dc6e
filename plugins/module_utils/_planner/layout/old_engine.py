# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Engines that a release before 0.11 starts as its older kind (V0), whose memory is counted in another way."""

from __future__ import annotations

from ..errors import warning
from ..shape import Shape
from .task import Task

_LAST = (0, 11)  # the first release without the older engine
_WIDER = (0, 10, 2)  # the first that serves old cards, states and encoders with the newer one
_POOLS = (0, 9, 2)  # the first that takes float32 and models that embed or classify


def old_engine_reason(task: Task, shape: Shape, pooling: bool) -> str | None:
    """Why the release takes its older engine for this deployment; None where it takes the newer one."""
    version = task.version
    if version >= _LAST:
        return None
    if task.deployment.env.get("VLLM_USE_V1") == "0":
        return "VLLM_USE_V1=0 asks for it"
    if version >= _WIDER:
        return None
    if shape.gpu is not None and shape.gpu.capability is not None and shape.gpu.capability < (8, 0):
        return "the card's compute capability is below 8.0"
    if any(layer.state for layer in task.model.distinct):
        return "the model keeps states"
    if task.model.encoder is not None:
        return "the model has an encoder for what its decoder reads"
    if version < _POOLS and pooling:
        return "the model embeds or classifies"
    if version < _POOLS and shape.width == 4:
        return "the type is float32"
    if version < (0, 9) and shape.pipeline > 1:
        return "the model is cut into stages"
    if version < (0, 9) and task.user.get("speculative-config"):
        return "tokens are guessed ahead"
    return None


def old_engine_warnings(task: Task, shape: Shape, pooling: bool) -> list[str]:
    reason = old_engine_reason(task, shape, pooling)
    if reason is None:
        return []
    text = (
        "vLLM %s starts its older engine (V0) here: %s. The figures are those of the newer one; what is off by more "
        "than the headroom can keep it from starting. vLLM 0.11 or newer has no older engine." % (task.text, reason)
    )
    return [warning("plan.old_engine", text)]
