# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""What can be said about deployments by the inventory alone, and errors of the plan as problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import Problem
from ._planner.arguments.environment import lint_env
from ._planner.arguments.lint import lint
from ._planner.errors import InvalidRequest, InventoryError, PlanError
from ._planner.inventory.merge import merge_deployments
from ._planner.releases import resolve


def deployment_problems(variables: Mapping[str, Any], port_base: int) -> list[Problem]:
    """The first disagreement of the deployments, or else every deployment's wrong release, argument or variable."""
    try:
        deployments = merge_deployments(variables, port_base=port_base)
    except InventoryError as error:
        return [Problem(error.code, error.asked, error.found, error.remedy)]
    problems = []
    for entry in deployments:
        if entry["state"] == "absent":
            continue
        try:
            version, _warning = resolve(entry["runtime"]["version"])
            lint(entry["engine_args"], version)
            lint_env(entry["env"], version)
        except PlanError as error:
            problems.append(plan_problem(error.as_dict(entry["name"])))
        except InvalidRequest as error:
            asked = "Deployment '%s' is to run vLLM %s" % (entry["name"], entry["runtime"]["version"])
            problems.append(
                Problem(error.code, asked, str(error).rstrip("."), "Set runtime.version to a known release")
            )
    return problems


def plan_problem(error: Mapping[str, Any]) -> Problem:
    """An error of the plan, {code, deployment, message, remedies}, as a problem."""
    remedies = " ".join(str(remedy) for remedy in error["remedies"]) or "Change the deployment."
    asked = "Deployment '%s' is to run" % error["deployment"]
    return Problem(error["code"], asked, error["message"].rstrip("."), remedies.rstrip("."))
