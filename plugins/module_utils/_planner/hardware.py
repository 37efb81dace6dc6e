# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What follows from the GPU itself: batch defaults by size, element types by compute capability."""

from __future__ import annotations

from typing import Any, Sequence

from .errors import PlanError
from .memory import GIB
from .model import ModelInfo
from .request import Gpu


def batch_defaults(gpu: Gpu, version: Any) -> tuple[int, int]:
    """vLLM's ``max-num-batched-tokens`` and ``max-num-seqs`` for an API server on ``gpu``."""
    size = gpu.usable_bytes
    if version >= (0, 28) and size >= 160 * GIB:
        return 16384, 1024
    a100 = "a100" in gpu.name.lower() and version >= (0, 9)
    if size >= 70 * GIB and not a100 and gpu.capability != (12, 1):
        return 8192, 1024
    return 2048, 256


def check_dtype(dtype: str, gpus: Sequence[Gpu]) -> None:
    for gpu in gpus:
        if dtype == "bfloat16" and gpu.capability is not None and gpu.capability < (8, 0):
            raise PlanError(
                "plan.unsupported_dtype",
                "GPU %d (%s) has compute capability %d.%d, and bfloat16 needs 8.0."
                % (gpu.index, gpu.name, *gpu.capability),
                ("Set dtype: float16, or leave it out.",),
            )


def check_quantization(model: ModelInfo, asked: str | None, version: Any) -> None:
    """Refuse what the engine would refuse when it reads ``quantization`` beside the model's config."""
    if asked == "fp8" and model.quantization is None and version >= (0, 31):
        raise PlanError(
            "plan.unsupported_quantization",
            "quantization: fp8 on a checkpoint that is not quantised is refused by vLLM from 0.31 on.",
            ("Set quantization: fp8_per_tensor.",),
        )
