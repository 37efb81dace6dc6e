"""The whole plan against vLLM's own arithmetic: the cache that kv-cache-memory-bytes gives, or the refusal."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

MODELS = Path(__file__).parent / "data" / "models"
ROWS = Path(__file__).resolve().parents[2] / "bench" / "data" / "kv_oracle.jsonl"


@cache
def _config(name: str) -> dict[str, Any]:
    """As vLLM was asked: in bfloat16, whatever the checkpoint is quantised to."""
    config = json.loads((MODELS / (name + ".json")).read_text())
    return {key: value for key, value in config.items() if key != "quantization_config"}


def test_every_given_row_is_planned_as_vllm_answered() -> None:
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()]
    assert len(rows) == 432
    card = {"index": 0, "name": "unlimited", "memory_usable_bytes": 2**48, "compute_capability": "9.0"}
    for row in rows:
        arguments = {
            "kv-cache-memory-bytes": row["kv_available_bytes"],
            "kv-cache-dtype": row["kv_cache_dtype"],
            "max-model-len": row["max_model_len"],
            "max-num-batched-tokens": row["max_num_batched_tokens"],
            "block-size": 16,
            "async-scheduling": False,
        }
        deployment = {"name": "a", "model": {"config": _config(row["model"])}, "engine_args": arguments}
        answer = plan({"vllm_version": "0.32.0", "gpus": [card], "deployments": [deployment]})
        if row["fits"]:
            kv = answer["instances"][0]["kv"]
            found = (kv["num_blocks"], kv["tokens"], kv["max_concurrency"])
            assert found == (row["num_blocks"], row["kv_tokens"], row["max_concurrency"]), row
            continue
        (error,) = answer["errors"]
        assert error["code"] == "plan.does_not_fit", row
        if row.get("estimated_length"):
            assert "Set workload.max_model_len to %d or less." % row["estimated_length"] in error["remedies"], row
