# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Builds of vLLM for CUDA and what they demand of the driver."""

from __future__ import annotations

from typing import Mapping, Sequence

from .. import releases
from ..errors import PlanError, warning
from ..request import Gpu
from .task import Task

# Oldest compute capability that a build has kernels for; builds for older CUDA go back to 7.0 too.
CAPABILITIES: Mapping[str, tuple[int, int]] = {"cu130": (7, 5)}
_COMPATIBILITY = "VLLM_ENABLE_CUDA_COMPATIBILITY"
_BLACKWELL = (12, 8)  # the CUDA with which it came


def build_of(task: Task) -> releases.CudaBuild:
    """The build that the deployment gets: the one it names, where the release has it, else the release's own."""
    builds = releases.cuda_builds(task.version)
    return next((build for build in builds if build.name == task.deployment.build), builds[0])


def is_consumer(gpu: Gpu) -> bool:
    """GeForce and TITAN cards, which NVIDIA leaves out of forward compatibility."""
    name = gpu.name.lower()
    return "geforce" in name or "titan" in name


def check_driver(task: Task, gpus: Sequence[Gpu]) -> list[str]:
    """Refuse a driver that is older than the build needs; one of unknown version is taken as it is. Warnings."""
    build, driver = build_of(task), task.request.driver_version or ""
    digits = driver.split(".")[0]
    if not (digits.isascii() and digits.isdigit()) or int(digits) >= build.driver:
        return []
    branch = int(digits)
    consumer = next((gpu for gpu in gpus if is_consumer(gpu)), None)
    carried = consumer is None and branch in build.compat_drivers
    if carried and task.deployment.env.get(_COMPATIBILITY) == "1" and task.deployment.provider == "docker":
        text = "Driver %s is carried by CUDA's compatibility package, which %s=1 switches on." % (
            driver,
            _COMPATIBILITY,
        )
        return [warning("plan.driver_compatibility", text)]
    remedies = ["Install NVIDIA driver %d or newer and reboot." % build.driver]
    others = releases.builds_for_driver(task.version, branch)
    if others:
        remedies.append(
            "Or take build %s of vLLM %s (image tag with -%s)." % (others[0].name, task.text, others[0].name)
        )
    newest = releases.newest_for_driver(branch)
    if newest is not None and newest.version < task.version:
        remedies.append("Or use vLLM %s, the newest whose own build runs on driver %d." % (newest.name, branch))
    if carried:
        remedies.append("Or run the image with %s=1: these cards may use the compatibility package." % _COMPATIBILITY)
    reason = ""
    if consumer is not None:
        reason = " %s is a consumer card, to which NVIDIA's forward compatibility does not extend." % consumer.name
    raise PlanError(
        "plan.driver_too_old",
        "vLLM %s is built with %s, which needs driver %d or newer, and this host has %s.%s"
        % (task.text, build.name, build.driver, driver, reason),
        tuple(remedies),
    )


def refusal(gpu: Gpu, build: releases.CudaBuild) -> PlanError | None:
    """Why no engine of ``build`` runs on ``gpu``, or None."""
    if gpu.mig:
        return PlanError(
            "plan.mig_unsupported",
            "GPU %d (%s) is divided by MIG, and engines get whole cards only." % (gpu.index, gpu.name),
            ("Switch MIG off: nvidia-smi -i %d -mig 0." % gpu.index, "Name another GPU."),
        )
    if gpu.capability is None:
        return None
    needed = CAPABILITIES.get(build.name, (7, 0))
    if gpu.capability < needed:
        return PlanError(
            "plan.capability_too_low",
            "GPU %d (%s) has compute capability %d.%d, and vLLM's build %s needs %d.%d."
            % (gpu.index, gpu.name, *gpu.capability, build.name, *needed),
            ("Use a newer GPU.", "Set vllm_device: cpu for this host."),
        )
    if gpu.capability >= (10, 0) and build.cuda < _BLACKWELL:
        return PlanError(
            "plan.capability_too_high",
            "GPU %d (%s) has compute capability %d.%d, for which %s has no kernels; CUDA 12.8 is the first that has."
            % (gpu.index, gpu.name, *gpu.capability, build.name),
            ("Use vLLM 0.9.0 or newer.",),
        )
    return None
