# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""plan(request): for each deployment its settings, memory and reasons, or the error that says why not."""

from __future__ import annotations

from typing import Any

from . import releases
from .arguments.lint import lint
from .errors import PlanError
from .layout.cpu_plan import plan_on_cpu
from .layout.gpu_plan import plan_on_gpus
from .layout.hardware import check_quantization
from .layout.placement import Resources
from .model.info import read_model
from .request import Request, parse_request

SCHEMA = 1


def plan(raw: Any) -> dict[str, Any]:
    """Answer a request. Raises InvalidRequest; whatever cannot be planned stands in the answer's ``errors``."""
    return answer(parse_request(raw))


def answer(request: Request) -> dict[str, Any]:
    resources = Resources(request)
    instances: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    warnings: list[str] = []
    if request.gpus and request.gpu_reason:
        warnings.append("Provisional, for the cards that the PCI bus names: %s." % request.gpu_reason.rstrip("."))
    # Deployments that name their GPUs are placed first, so that those that only count do not take them.
    order = sorted(
        range(len(request.deployments)),
        key=lambda i: (not (request.deployments[i].gpus.uuids or request.deployments[i].gpus.indices), i),
    )
    placed: dict[int, dict[str, Any]] = {}
    for position in order:
        deployment = request.deployments[position]
        try:
            text = deployment.vllm_version or request.vllm_version
            version, warning = releases.resolve(text)
            if warning and warning not in warnings:
                warnings.append(warning)
            user, remarks = lint(deployment.engine_args, version)
            model = read_model(deployment.model.config)
            check_quantization(model, user.get("quantization"), version)
            device = deployment.device or request.device
            planner = plan_on_cpu if device == "cpu" else plan_on_gpus
            instance = planner(request, resources, deployment, model, user, version)
            instance["name"] = deployment.name
            instance["device"] = device
            instance["vllm_version"] = text
            instance["warnings"] = remarks + instance["warnings"]
            placed[position] = instance
        except PlanError as error:
            errors.append(error.as_dict(deployment.name))
    instances = [placed[position] for position in sorted(placed)]
    return {"schema": SCHEMA, "instances": instances, "warnings": warnings, "errors": errors}
