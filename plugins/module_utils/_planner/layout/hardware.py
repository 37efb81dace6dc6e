# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What follows from the GPU itself: batch defaults by size, element types by compute capability."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..errors import PlanError
from ..memory.accounting import GIB
from ..model.info import ModelInfo
from ..request import Gpu

# Builds of vLLM for CUDA, with what the CUDA they bring demands. Drivers of the data-centre branches 535 and 570 could
# carry a newer CUDA by its compatibility package; nothing installs that, so they are too old here.
DRIVERS: Mapping[str, int] = {"cu130": 580}
CAPABILITIES: Mapping[str, tuple[int, int]] = {"cu130": (7, 5)}


def default_build(version: Any) -> str | None:
    """The build of ``version`` that the collection installs, or None for releases that it has no build of."""
    return "cu130" if version >= (0, 32) else None


def check_driver(driver_version: str | None, build: str | None) -> None:
    """Refuse a driver that is older than ``build`` needs; one of unknown version is taken as it is."""
    needed = DRIVERS.get(build or "")
    branch = (driver_version or "").split(".")[0]
    if needed is not None and branch.isdigit() and int(branch) < needed:
        raise PlanError(
            "plan.driver_too_old",
            "vLLM's build %s needs driver %d or newer, and this host has %s." % (build, needed, driver_version),
            ("Install NVIDIA driver %d or newer and reboot." % needed,),
        )


def refusal(gpu: Gpu, build: str | None) -> PlanError | None:
    """Why no engine of ``build`` runs on ``gpu``, or None."""
    if gpu.mig:
        return PlanError(
            "plan.mig_unsupported",
            "GPU %d (%s) is divided by MIG, and engines get whole cards only." % (gpu.index, gpu.name),
            ("Switch MIG off: nvidia-smi -i %d -mig 0." % gpu.index, "Name another GPU."),
        )
    needed = CAPABILITIES.get(build or "")
    if needed is not None and gpu.capability is not None and gpu.capability < needed:
        return PlanError(
            "plan.capability_too_low",
            "GPU %d (%s) has compute capability %d.%d, and vLLM's build %s needs %d.%d."
            % (gpu.index, gpu.name, *gpu.capability, build, *needed),
            ("Use a newer GPU.", "Set vllm_device: cpu for this host."),
        )
    return None


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
