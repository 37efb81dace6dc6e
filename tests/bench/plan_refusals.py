# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the planner refuses what vLLM refused, and plans what vLLM started. The whole planner, not its parts."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

from tests.bench.plan_figures import Figures
from tests.bench.plan_rows import DATA, Row, refusals


@dataclass
class Outcome:
    """``refused`` and ``missed`` are refusals of vLLM; ``planned`` and ``wrong`` started ones; names with why."""

    refused: list[tuple[Row, str]] = field(default_factory=list)
    missed: list[Row] = field(default_factory=list)
    left_out: list[Row] = field(default_factory=list)
    planned: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)


def answer(request: dict[str, Any]) -> tuple[str, str]:
    """The first error's code and message; empty where the request is planned."""
    try:
        given = plan(copy.deepcopy(request))
    except InvalidRequest as error:
        return error.code, str(error)
    if given["errors"]:
        return given["errors"][0]["code"], given["errors"][0]["message"]
    return "", ""


def run(figures: Figures) -> Outcome:
    outcome = Outcome()
    for row in refusals():
        if row.left_out:
            outcome.left_out.append(row)
            continue
        code, message = answer(row.request)
        if code:
            outcome.refused.append((row, "%s: %s" % (code, message)))
        else:
            outcome.missed.append(row)
    started = [(prediction.row.name, prediction.row.request) for prediction in figures.predictions
               if prediction.row.number not in NOT_STARTED]  # fmt: skip
    for line in (DATA / "plan_cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        started.append((case["id"], case["request"]))
    for name, request in started:
        code, message = answer(request)
        if code:
            outcome.wrong.append((name, "%s: %s" % (code, message)))
        else:
            outcome.planned += 1
    return outcome


#: readings of engines that then refused to start
NOT_STARTED = frozenset((2,))
