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

_MEMORY = ("plan.does_not_fit", "host.memory")
_SHARDS = ("plan.not_divisible",)
#: class of vLLM's refusal -> codes of the planner that say the same
CODES = {
    "kv_too_small": _MEMORY,
    "no_kv_memory": _MEMORY,
    "oom_start": _MEMORY,
    "free_memory": ("plan.free_memory",),
    "hybrid_limit": ("plan.batch_too_small",),
    "fp8_block_n": _SHARDS,
    "quant_shard_shape": _SHARDS,
    "heads_not_divisible": _SHARDS,
    "bf16_unsupported": ("plan.unsupported_dtype",),
    "max_len_exceeds_derived": ("plan.context_too_long",),
}


@dataclass
class Outcome:
    """``refused`` and ``missed`` are refusals of vLLM; ``planned`` and ``wrong`` started ones; names with why.

    ``refused`` are those that the planner refuses for vLLM's reason; ``otherwise`` those that it refuses for another;
    ``missed`` those that it plans.
    """

    refused: list[tuple[Row, str]] = field(default_factory=list)
    otherwise: list[tuple[Row, str]] = field(default_factory=list)
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


def by_class(outcome: Outcome) -> list[str]:
    """Of each class of refusal: how many are refused for vLLM's reason, for another, and planned."""
    lines = []
    for name in CODES:
        chosen = [row for row, _why in outcome.refused if row.error == name]
        given = sum(1 for row in chosen if row.arithmetic)
        other = sum(1 for row, _why in outcome.otherwise if row.error == name)
        missed = sum(1 for row in outcome.missed if row.error == name)
        text = "%s: %d refused for the same reason" % (name, len(chosen))
        text += " (%d with the cache that the log names)" % given if given else ""
        lines.append("%s, %d for another, %d planned" % (text, other, missed))
    return lines


def run(figures: Figures) -> Outcome:
    outcome = Outcome()
    for row in refusals():
        if row.left_out:
            outcome.left_out.append(row)
            continue
        code, message = answer(row.request)
        if code and code in CODES[row.error]:
            outcome.refused.append((row, "%s: %s" % (code, message)))
        elif code:
            outcome.otherwise.append((row, "%s: %s" % (code, message)))
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
