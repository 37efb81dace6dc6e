"""Requests for the planner's tests."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"
GIB = 2**30


@pytest.fixture(scope="session")
def configs() -> dict[str, dict[str, Any]]:
    """config.json of some models by name."""
    return json.loads((DATA / "configs.json").read_text())


@pytest.fixture(scope="session")
def oracle() -> list[dict[str, Any]]:
    """What vLLM itself answered."""
    return [json.loads(line) for line in (DATA / "kv_oracle_sample.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def start_logs() -> list[dict[str, Any]]:
    """Requests with what the engine's log said."""
    return json.loads((DATA / "start_logs.json").read_text())


@pytest.fixture
def cpu_request(configs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A valid request for one deployment on a CPU host."""
    config = copy.deepcopy(configs["Qwen--Qwen3-4B"])
    return {
        "vllm_version": "0.32.0",
        "gpus": [],
        "host": {"memory_bytes": 24 * GIB, "cpus": 2},
        "runtime": {"device": "cpu"},
        "deployments": [{"name": "a", "model": {"id": "Qwen/Qwen3-4B", "config": config}}],
    }


@pytest.fixture
def gpu_request(configs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A valid request for one deployment on a card of 24 GB."""
    config = copy.deepcopy(configs["Qwen--Qwen3-4B"])
    return {
        "vllm_version": "0.32.0",
        "driver_version": "580.95.05",
        "gpus": [
            {
                "index": 0,
                "name": "NVIDIA GeForce RTX 4090",
                "uuid": "GPU-0",
                "memory_total_bytes": 25757220864,
                "memory_reserved_bytes": 497000000,
                "memory_free_bytes": 25200000000,
                "compute_capability": "8.9",
            }
        ],
        "deployments": [{"name": "a", "model": {"id": "Qwen/Qwen3-4B", "config": config}}],
    }
