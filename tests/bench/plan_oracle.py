# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM's own KV arithmetic, row by row, beside the planner's: blocks, tokens, concurrency, or the refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import PlanError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.kv import cache
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.weights import parameters
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

from tests.bench.plan_rows import DATA, config


@dataclass
class Answer:
    """What vLLM said of one row and what we say. ``why`` names the difference, or our refusal."""

    row: dict[str, Any]
    config: dict[str, Any]
    tokens: int | None
    parameters: int | None
    why: str = ""


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / "kv_oracle.jsonl").read_text().splitlines()]


def answers() -> list[Answer]:
    """All rows; ``why`` is empty where ours is equal."""
    out = []
    for row in rows():
        document = config(row["model"])
        assert document is not None, row["model"]
        for section in (document, document.get("text_config") or {}):
            section.pop("quantization_config", None)
        out.append(_answer(row, document))
    return out


def _answer(row: dict[str, Any], document: dict[str, Any]) -> Answer:
    shape = Shape(
        version=(0, 32, 0),
        tokens=row["max_num_batched_tokens"],
        seqs=256,
        kv_dtype=row["kv_cache_dtype"],
        block_size=16,
        async_scheduling=False,
        kernel_block=32,
    )
    answer = Answer(row, document, None, None)
    try:
        model = read_model(document)
        answer.parameters = parameters(model)
        layout = cache.layout(model, shape)
        needed = cache.needed_bytes(layout, row["max_model_len"], shape)
        pool = cache.pool(layout, row["kv_available_bytes"], row["max_model_len"], shape)
    except PlanError as error:
        answer.why = str(error)
        return answer
    fits = needed <= row["kv_available_bytes"]
    answer.tokens = pool.tokens if fits else 0
    if fits != row["fits"]:
        answer.why = "fits: %s, vLLM: %s" % (fits, row["fits"])
    elif fits and (pool.num_blocks, pool.tokens) != (row["num_blocks"], row["kv_tokens"]):
        answer.why = "%d blocks, %d tokens; vLLM: %d, %d" % (
            pool.num_blocks, pool.tokens, row["num_blocks"], row["kv_tokens"])  # fmt: skip
    return answer
