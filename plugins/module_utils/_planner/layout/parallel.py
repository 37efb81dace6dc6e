# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""How a model is spread over GPUs, and the divisibility rules that vLLM checks at start."""

from __future__ import annotations

from ..errors import PlanError
from ..memory.weights import round_up
from ..model.info import MLA, ModelInfo


def check_tensor_parallel(model: ModelInfo, size: int) -> None:
    """Raise PlanError ``plan.not_divisible`` where ``size`` ranks cannot share the model."""
    if size == 1:
        return
    problems = []
    if model.heads % size:
        problems.append("%d attention heads" % model.heads)
    if round_up(model.vocab, 64) % size:
        problems.append("a padded vocabulary of %d" % round_up(model.vocab, 64))
    if model.family not in MLA and max(size, model.kv_heads) % min(size, model.kv_heads):
        problems.append("%d KV heads" % model.kv_heads)
    if model.experts and model.moe_intermediate % size:
        problems.append("an expert width of %d" % model.moe_intermediate)
    if not problems:
        return
    good = [count for count in (1, 2, 3, 4, 6, 8, 16) if count < size and divides(model, count)]
    raise PlanError(
        "plan.not_divisible",
        "The model cannot be split over %d GPUs: it has %s." % (size, " and ".join(problems)),
        ("Use %s GPUs." % " or ".join(str(count) for count in good),),
    )


def divides(model: ModelInfo, size: int) -> bool:
    try:
        check_tensor_parallel(model, size)
    except PlanError:
        return False
    return True
