"""Releases before 0.11 start their older engine for some deployments: the plan says so, and only then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

MODELS = Path(__file__).parent / "data" / "models"
GIB = 2**30
QWEN, HYBRID = "Qwen--Qwen3-8B", "nvidia--Nemotron-H-56B-Base-8K"
T4 = {"index": 0, "name": "Tesla T4", "memory_usable_bytes": 24 * GIB, "compute_capability": "7.5"}
A100 = {"index": 0, "name": "NVIDIA A100-SXM4-80GB", "memory_usable_bytes": 79 * GIB, "compute_capability": "8.0"}


def warned(version: str, gpu: dict[str, Any], model: str = QWEN, **more: Any) -> bool:
    entry = {"name": "a", "model": {"config": json.loads((MODELS / (model + ".json")).read_text())}, **more}
    answer = plan({"vllm_version": version, "gpus": [gpu], "deployments": [entry]})
    assert not answer["errors"], answer["errors"]
    return any("[plan.old_engine]" in text for text in answer["instances"][0]["warnings"])


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.8.5.post1", True),
        ("0.9.2", True),
        ("0.10.0", True),
        ("0.10.1.1", True),
        ("0.10.2", False),
        ("0.11.0", False),
    ],
)
def test_cards_before_ampere_get_it(version: str, expected: bool) -> None:
    asked = {"workload": {"max_model_len": 2048}}
    assert warned(version, T4, **asked) is expected
    assert not warned(version, A100, **asked)


@pytest.mark.parametrize(("version", "expected"), [("0.9.2", True), ("0.10.1.1", True), ("0.10.2", False)])
def test_models_with_states_get_it(version: str, expected: bool) -> None:
    assert warned(version, {**A100, "memory_usable_bytes": 190 * GIB}, HYBRID) is expected


@pytest.mark.parametrize(("version", "expected"), [("0.8.5.post1", True), ("0.9.1", True), ("0.9.2", False)])
def test_wide_types_get_it(version: str, expected: bool) -> None:
    assert warned(version, A100, engine_args={"dtype": "float32"}) is expected


def test_who_asks_for_it_gets_it() -> None:
    assert warned("0.10.2", A100, env={"VLLM_USE_V1": "0"})
    assert not warned("0.10.2", A100, env={"VLLM_USE_V1": "1"})
