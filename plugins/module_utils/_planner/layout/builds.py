# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Builds of vLLM for CUDA and what they demand of the driver."""

from __future__ import annotations

from typing import Mapping, Sequence

from ..errors import PlanError, warning
from ..request import Gpu
from .task import Task

# Oldest driver of each build. All of CUDA 12 runs on the driver of 12.0 (NVIDIA's minor-version compatibility).
DRIVERS: Mapping[str, int] = {"cu118": 450, "cu121": 525, "cu124": 525, "cu126": 525, "cu128": 525, "cu129": 525,
                              "cu130": 580}  # fmt: skip
# Oldest compute capability that a build has kernels for.
CAPABILITIES: Mapping[str, tuple[int, int]] = {"cu128": (7, 0), "cu129": (7, 0), "cu130": (7, 5)}
# What a release is built with unless told otherwise: first release, build.
_DEFAULTS = (((0, 20), "cu130"), ((0, 11, 1), "cu129"), ((0, 9), "cu128"), ((0,), "cu124"))
# Branches of the driver to which the compatibility package of CUDA 13 can be added, on other than consumer cards.
_COMPATIBLE_BRANCHES = (535, 550, 570)
_COMPATIBILITY = "VLLM_ENABLE_CUDA_COMPATIBILITY"
# Blackwell came with CUDA 12.8.
_NEWER = {10: "cu128", 12: "cu128"}


def build_of(task: Task) -> str:
    """The build that the deployment gets: the one it names, else the release's own."""
    if task.deployment.build in DRIVERS:
        return str(task.deployment.build)
    return next(build for first, build in _DEFAULTS if task.version >= first)


def is_consumer(gpu: Gpu) -> bool:
    """GeForce and TITAN cards, which NVIDIA leaves out of forward compatibility."""
    name = gpu.name.lower()
    return "geforce" in name or "titan" in name


def check_driver(task: Task, gpus: Sequence[Gpu]) -> list[str]:
    """Refuse a driver that is older than the build needs; one of unknown version is taken as it is. Warnings."""
    build = build_of(task)
    branch = (task.request.driver_version or "").split(".")[0]
    needed = DRIVERS[build]
    if not (branch.isascii() and branch.isdigit()) or int(branch) >= needed:
        return []
    consumer = next((gpu for gpu in gpus if is_consumer(gpu)), None)
    carried = consumer is None and int(branch) in _COMPATIBLE_BRANCHES and build == "cu130"
    if carried and task.deployment.env.get(_COMPATIBILITY) == "1" and task.deployment.provider == "docker":
        return [
            warning(
                "plan.driver_compatibility",
                "Driver %s is carried by CUDA's compatibility package, which %s=1 switches on."
                % (task.request.driver_version, _COMPATIBILITY),
            )
        ]
    remedies = ["Install NVIDIA driver %d or newer and reboot." % needed]
    if build == "cu130" and int(branch) >= DRIVERS["cu129"]:
        remedies.append(
            "Or take a build for CUDA 12 (image tag with -cu129), or release 0.19.1, the last built with it."
        )
    if carried:
        remedies.append("Or run the image with %s=1: these cards may use the compatibility package." % _COMPATIBILITY)
    reason = ""
    if consumer is not None:
        reason = " %s is a consumer card, to which NVIDIA's forward compatibility does not extend." % consumer.name
    raise PlanError(
        "plan.driver_too_old",
        "vLLM %s is built with %s, which needs driver %d or newer, and this host has %s.%s"
        % (task.text, build, needed, task.request.driver_version, reason),
        tuple(remedies),
    )


def refusal(gpu: Gpu, build: str) -> PlanError | None:
    """Why no engine of ``build`` runs on ``gpu``, or None."""
    if gpu.mig:
        return PlanError(
            "plan.mig_unsupported",
            "GPU %d (%s) is divided by MIG, and engines get whole cards only." % (gpu.index, gpu.name),
            ("Switch MIG off: nvidia-smi -i %d -mig 0." % gpu.index, "Name another GPU."),
        )
    if gpu.capability is None:
        return None
    needed = CAPABILITIES.get(build, (7, 0))
    if gpu.capability < needed:
        return PlanError(
            "plan.capability_too_low",
            "GPU %d (%s) has compute capability %d.%d, and vLLM's build %s needs %d.%d."
            % (gpu.index, gpu.name, *gpu.capability, build, *needed),
            ("Use a newer GPU.", "Set vllm_device: cpu for this host."),
        )
    newer = _NEWER.get(gpu.capability[0])
    if newer is not None and build < newer:
        return PlanError(
            "plan.capability_too_high",
            "GPU %d (%s) has compute capability %d.%d, for which %s has no kernels; %s is the first that has."
            % (gpu.index, gpu.name, *gpu.capability, build, newer),
            ("Use vLLM 0.9.0 or newer.",),
        )
    return None
