# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""plan(request): for each deployment its settings, memory and reasons, or the error that says why not."""

from __future__ import annotations

from typing import Any

from .errors import PlanError, warning
from .layout.cpu_plan import plan_on_cpu
from .layout.gpu_plan import plan_on_gpus
from .layout.packing import may_help, pack, packable, together
from .layout.placement import Resources
from .layout.sharing import shares
from .layout.task import Task, prepare
from .request import Request, parse_request

SCHEMA = 1
_Placed = dict[int, dict[str, Any]]
_Failed = list[tuple[str, PlanError]]


def plan(raw: Any) -> dict[str, Any]:
    """Answer a request. Raises InvalidRequest; whatever cannot be planned stands in the answer's ``errors``."""
    return answer(parse_request(raw))


def answer(request: Request) -> dict[str, Any]:
    """The same for a request that is read already."""
    errors: list[dict[str, Any]] = []
    warnings: list[str] = []
    if request.gpus and request.gpu_reason:
        text = "Provisional, for the cards that the PCI bus names: %s." % request.gpu_reason.rstrip(".")
        warnings.append(warning("plan.provisional", text))
    tasks: dict[int, Task] = {}
    for position, deployment in enumerate(request.deployments):
        try:
            tasks[position], remark = prepare(request, deployment)
        except PlanError as error:
            errors.append(error.as_dict(deployment.name))
            continue
        if remark and remark not in warnings:
            warnings.append(remark)
    packed = together(tasks.values())
    placed, failed = _place(request, tasks, packed)
    if not packed and may_help(list(tasks.values()), [error for _name, error in failed]):
        others = _place(request, tasks, True)
        # Where packing helps nobody, its errors are told only of those that it is for: they have the numbers.
        names = {name for name, error in failed if error.code == "plan.not_enough_gpus"}
        crowded = all(packable(task) for task in tasks.values() if task.name in names) and bool(names)
        if (len(others[1]), True) <= (len(failed), crowded):
            placed, failed = others
    errors += [error.as_dict(name) for name, error in failed]
    instances = [placed[position] for position in sorted(placed)]
    return {"schema": SCHEMA, "instances": instances, "warnings": warnings, "errors": errors}


def _place(request: Request, tasks: dict[int, Task], packed: bool) -> tuple[_Placed, _Failed]:
    """Instances by position and errors by name; ``packed``: deployments that ask for no card of their own share."""
    resources = Resources(request)
    refused = pack(list(tasks.values()), resources) if packed else {}
    # Deployments that name their GPUs are placed first, so that those that only count do not take them.
    order = sorted(tasks, key=lambda position: (not resources.settled(tasks[position].deployment), position))
    parts = {**shares([tasks[position] for position in order], resources), **refused}
    resources.refused.update(name for name, part in parts.items() if isinstance(part, PlanError))
    placed: _Placed = {}
    failed: _Failed = []
    for done, position in enumerate(order):
        task = tasks[position]
        share = parts[task.name]
        try:
            if isinstance(share, PlanError):
                raise share
            if task.device == "cpu":
                instance = plan_on_cpu(task, resources)
            else:
                instance = plan_on_gpus(task, resources, share, _pending(tasks, order[done + 1 :]))
        except PlanError as error:
            failed.append((task.name, error))
            continue
        placed[position] = {
            **instance,
            "name": task.name,
            "device": task.device,
            "vllm_version": task.text,
            "warnings": list(task.remarks) + instance["warnings"],
        }
    return placed, failed


def _pending(tasks: dict[int, Task], rest: list[int]) -> int:
    """GPUs that deployments which are placed later need at the least."""
    waiting = [tasks[position].deployment for position in rest if tasks[position].device == "cuda"]
    return sum(entry.gpus.count or 1 for entry in waiting if entry.gpus.share is None)
