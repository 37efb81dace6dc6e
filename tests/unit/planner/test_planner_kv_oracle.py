"""The cache's arithmetic against vLLM's own answers: every row equal, to the block and the token.

`kv_oracle_0_32.jsonl` is made by `tests/tools/kv_oracle.py`; the rows of `tests/bench/data` came from elsewhere.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.kv import cache as kv_cache
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import ModelInfo, read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

DATA = Path(__file__).parent / "data"
GIVEN = DATA.parents[2] / "bench" / "data" / "kv_oracle.jsonl"
RELEASE = (0, 32, 0)
# What vLLM's classes of 0.32 do not answer without a GPU or at all, and why.
UNANSWERED = {
    "MiniMaxAI--MiniMax-M3": "no class for its architecture",
    "sgl-project--DeepSeek-V4-Flash-FP8": "no reader for its config's type",
    "sgl-project--DeepSeek-V4-Pro-FP8": "no reader for its config's type",
    "stepfun-ai--Step-3.7-Flash": "no class for its architecture",
    "stepfun-ai--Step-3.7-Flash-FP8": "no class for its architecture",
}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


MADE = _rows(DATA / "kv_oracle_0_32.jsonl")


@cache
def _info(name: str) -> ModelInfo:
    """The model as vLLM was asked for it: in bfloat16, whatever its checkpoint is quantised to."""
    config = json.loads((DATA / "models" / (name + ".json")).read_text())
    config.pop("quantization_config", None)
    return read_model(config)


def _shape(row: dict[str, Any]) -> Shape:
    ssm = row.get("ssm_dtype", "auto")
    return Shape(
        version=RELEASE,
        tokens=row["max_num_batched_tokens"],
        seqs=256,
        kv_dtype=row["kv_cache_dtype"],
        block_size=row["block_size"],
        tensor=row.get("tensor_parallel", 1),
        pipeline=row.get("pipeline_parallel", 1),
        prefix_caching=row.get("prefix_caching", True),
        hybrid_manager=row.get("hybrid_manager", True),
        async_scheduling=False,
        kernel_block=32,  # the smallest of the CPU's attention kernels, on which the rows were taken
        engine_args={} if ssm == "auto" else {"mamba-ssm-cache-dtype": ssm},
    )


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """Our answer in the row's words."""
    shape, length, memory = _shape(row), row["max_model_len"], row["kv_available_bytes"]
    stages = [kv_cache.layout(_info(row["model"]), shape, stage) for stage in range(shape.pipeline)]
    for kv in stages:
        if kv_cache.needed_bytes(kv, length, shape) > memory:  # vLLM tells of the first stage that is too small
            return {"fits": False, "estimated_length": kv_cache.longest(kv, memory, length, shape)}
    pool = min((kv_cache.pool(kv, memory, length, shape) for kv in stages), key=lambda pool: pool.num_blocks)
    groups = sorted(group.layers for group in stages[0].groups)
    return {
        "fits": True,
        "num_blocks": pool.num_blocks,
        "kv_tokens": pool.tokens,
        "max_concurrency": pool.max_concurrency,
        "groups": groups,
    }


def _wanted(row: dict[str, Any]) -> dict[str, Any]:
    if not row["fits"]:
        told = re.search(r"model length is (\d+)", row.get("error", ""))
        return {"fits": False, "estimated_length": row.get("estimated_length", int(told.group(1)) if told else 0)}
    keys = ("fits", "num_blocks", "kv_tokens", "max_concurrency")
    return {**{key: row[key] for key in keys}, "groups": sorted(count for _kind, count in row["groups"])}


def test_all_432_given_rows_are_met_exactly() -> None:
    rows = _rows(GIVEN)
    assert len(rows) == 432
    assert sum(1 for row in rows if not row["fits"]) == 39
    for row in rows:
        assert _answer(row) == _wanted(row), row


@pytest.mark.parametrize("name", sorted({row["model"] for row in MADE}))
def test_every_made_row_is_met_exactly(name: str) -> None:
    for row in MADE:
        if row["model"] == name:
            assert _answer(row) == _wanted(row), row


def test_every_config_is_asked_or_listed_with_the_reason() -> None:
    names = {path.stem for path in (DATA / "models").glob("*.json")}
    asked = {row["model"] for row in MADE + _rows(GIVEN)}
    same = {name: _plain(name) for name in names}
    answered = {json.dumps(same[name], sort_keys=True) for name in asked}
    missing = {name for name in names if json.dumps(same[name], sort_keys=True) not in answered}
    assert missing == set(UNANSWERED)


def _plain(name: str) -> dict[str, Any]:
    """A config without what vLLM's answer does not depend on: checkpoints that differ in quantisation are one model."""
    config = json.loads((DATA / "models" / (name + ".json")).read_text())
    for key in ("quantization_config", "compression_config", "auto_map", "transformers_version", "_name_or_path"):
        config.pop(key, None)
    return config


def test_the_rows_vary_what_the_arithmetic_depends_on() -> None:
    assert len(MADE) > 300
    assert {row["kv_cache_dtype"] for row in MADE} == {"auto", "fp8"}
    assert {row.get("tensor_parallel", 1) for row in MADE} == {1, 2, 8}
    assert {row.get("pipeline_parallel", 1) for row in MADE} == {1, 2}
    assert {row["block_size"] for row in MADE} == {16, 32, 64, None}
    assert {row.get("hybrid_manager", True) for row in MADE} == {True, False}
    assert {row.get("prefix_caching", True) for row in MADE} == {True, False}
    assert {row["fits"] for row in MADE} == {True, False}
