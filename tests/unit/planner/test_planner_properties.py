"""What must hold of every plan: more memory never holds less, longer contexts never serve more, a plan repeats."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from hypothesis import given, settings
from hypothesis import strategies as st

MODELS = Path(__file__).parent / "data" / "models"
GIB = 2**30
NAMES = (
    "Qwen--Qwen3-8B", "Qwen--Qwen3-30B-A3B", "openai--gpt-oss-20b", "synth-gemma3-0", "synth-gptoss-0", "synth-mla-0",
    "Qwen--Qwen3.5-27B", "meta-llama--Meta-Llama-3.1-8B",
)  # fmt: skip
VERSIONS = ("0.8.5.post1", "0.10.2", "0.15.1", "0.19.1", "0.26.0", "0.32.0")
CAPABILITIES = {"NVIDIA H100 80GB HBM3": "9.0", "NVIDIA GeForce RTX 4090": "8.9", "NVIDIA A100-SXM4-80GB": "8.0"}
_CONFIGS = {name: json.loads((MODELS / (name + ".json")).read_text()) for name in NAMES}


def _request(
    name: str,
    card: str,
    memory: int,
    version: str,
    workload: dict[str, Any],
    arguments: dict[str, Any],
    count: int = 1,
    cards: int = 1,
) -> dict[str, Any]:
    """``count`` 0 leaves the number of GPUs, of ``cards``, to the plan."""
    gpus = [
        {"index": index, "name": card, "memory_usable_bytes": memory, "compute_capability": CAPABILITIES[card]}
        for index in range(max(count, cards))
    ]
    model = {"config": _CONFIGS[name], "weights_bytes": 9 * GIB}
    entry = {"name": "a", "model": model, "workload": workload, "engine_args": arguments}
    if count:
        entry["gpus"] = {"count": count}
    return {"vllm_version": version, "gpus": gpus, "deployments": [entry]}


def _tokens(request: dict[str, Any]) -> int:
    answer = plan(request)
    return answer["instances"][0]["kv"]["tokens"] if answer["instances"] else 0


MODEL = st.sampled_from(NAMES)
CARD = st.sampled_from(sorted(CAPABILITIES))
VERSION = st.sampled_from(VERSIONS)
# vLLM's own defaults jump at 70 and 160 GiB; a batch of the user's stays the same.
_PARTS = ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "kv_available_bytes")
BATCH = {"max-num-seqs": 64, "max-num-batched-tokens": 2048}


@settings(max_examples=120, deadline=None)
@given(
    name=MODEL,
    card=CARD,
    version=VERSION,
    memory=st.integers(10 * GIB, 64 * GIB),
    more=st.one_of(st.integers(0, 2**28), st.integers(0, 64 * GIB)),
    length=st.sampled_from((None, 2048, 8192, 32768)),
    concurrency=st.sampled_from((None, 1, 4, 32)),
    pinned=st.booleans(),
)
def test_more_memory_never_holds_fewer_tokens(
    name: str,
    card: str,
    version: str,
    memory: int,
    more: int,
    length: int | None,
    concurrency: int | None,
    pinned: bool,
) -> None:
    workload = {"max_model_len": length, "concurrency": concurrency}
    if not pinned:
        memory, more = min(memory, 60 * GIB), min(more, 8 * GIB)
    arguments = BATCH if pinned else {}
    small, large = (_request(name, card, size, version, workload, arguments) for size in (memory, memory + more))
    assert _tokens(large) >= _tokens(small)


def _held(request: dict[str, Any]) -> tuple[int, int, bool]:
    """Context, tokens, and whether stages hold them."""
    answer = plan(request)
    if not answer["instances"]:
        return 0, 0, True
    instance = answer["instances"][0]
    (length,) = (entry["value"] for entry in instance["decisions"] if entry["setting"] == "max-model-len")
    return length, instance["kv"]["tokens"], instance["settings"].get("pipeline-parallel-size", 1) > 1


@settings(max_examples=120, deadline=None)
@given(
    name=MODEL,
    card=CARD,
    version=VERSION,
    memory=st.integers(6 * GIB, 40 * GIB),
    more=st.one_of(st.integers(0, 2 * GIB), st.integers(0, 20 * GIB)),
    count=st.sampled_from((2, 3, 4, 6)),
    workload=st.fixed_dictionaries(
        {}, optional={"max_model_len": st.sampled_from((2048, 8192)), "concurrency": st.sampled_from((1, 16))}
    ),
)
def test_more_memory_on_several_cards_is_never_less(
    name: str, card: str, version: str, memory: int, more: int, count: int, workload: dict[str, Any]
) -> None:
    """Fewer tokens only where ranks that now hold all that is wanted take the place of stages, which are slower."""
    small, large = (
        _held(_request(name, card, size, version, workload, BATCH, count)) for size in (memory, memory + more)
    )
    assert large[0] >= small[0]
    assert large[1] >= small[1] or (small[2] and not large[2])


def test_replicas_that_just_fit_do_not_displace_stages() -> None:
    held = [
        _held(_request("Qwen--Qwen3-8B", "NVIDIA GeForce RTX 4090", int(size * GIB), "0.17.1", {}, BATCH, 3))
        for size in (9, 11, 13, 15, 17, 19, 22, 30)
    ]
    assert held[0][2]
    assert not held[-1][2]
    assert [entry[0] for entry in held] == sorted(entry[0] for entry in held)
    assert all(length == 40960 for length, _tokens, staged in held if not staged)


@settings(max_examples=120, deadline=None)
@given(
    name=MODEL,
    card=CARD,
    version=VERSION,
    memory=st.integers(12 * GIB, 80 * GIB),
    length=st.integers(16, 40000),
    longer=st.integers(0, 40000),
)
def test_a_longer_context_never_serves_more_users(
    name: str, card: str, version: str, memory: int, length: int, longer: int
) -> None:
    def users(context: int) -> int:
        answer = plan(_request(name, card, memory, version, {"max_model_len": context}, {}))
        return int(answer["instances"][0]["kv"]["max_concurrency"]) if answer["instances"] else 0

    assert users(length + longer) <= users(length)


@settings(max_examples=120, deadline=None)
@given(
    name=MODEL,
    card=CARD,
    version=VERSION,
    memory=st.integers(12 * GIB, 80 * GIB),
    count=st.sampled_from((0, 1, 2, 3, 4)),
    workload=st.fixed_dictionaries(
        {}, optional={"max_model_len": st.integers(16, 40000), "concurrency": st.integers(1, 300)}
    ),
    arguments=st.fixed_dictionaries(
        {},
        optional={
            "gpu-memory-utilization": st.floats(0.3, 0.95),
            "enforce-eager": st.booleans(),
            "kv-cache-dtype": st.sampled_from(("auto", "fp8")),
            "max-num-seqs": st.integers(1, 512),
            "block-size": st.sampled_from((16, 32)),
            "dtype": st.sampled_from(("auto", "bfloat16", "float16")),
        },
    ),
)
def test_a_plan_of_its_own_settings_is_itself(
    name: str, card: str, version: str, memory: int, count: int, workload: dict[str, Any], arguments: dict[str, Any]
) -> None:
    request = _request(name, card, memory, version, workload, arguments, count, 4)
    first = plan(request)
    if not first["instances"]:
        return
    again = copy.deepcopy(request)
    again["deployments"][0]["engine_args"] = first["instances"][0]["settings"]
    second = plan(again)
    assert second["errors"] == []
    for key in ("settings", "memory", "ranks", "kv", "gpu_indices", "fingerprint", "env"):
        assert second["instances"][0][key] == first["instances"][0][key], key


@settings(max_examples=80, deadline=None)
@given(
    name=MODEL,
    card=CARD,
    version=VERSION,
    memory=st.integers(6 * GIB, 80 * GIB),
    count=st.integers(1, 8),
    workload=st.fixed_dictionaries(
        {}, optional={"max_model_len": st.integers(16, 40000), "concurrency": st.integers(1, 64)}
    ),
)
def test_what_is_planned_fits(
    name: str, card: str, version: str, memory: int, count: int, workload: dict[str, Any]
) -> None:
    """Every part within the budget, the budget within the card, and room for one request of the context planned."""
    answer = plan(_request(name, card, memory, version, workload, {}, count))
    for instance in answer["instances"]:
        decided = {decision["setting"]: decision["value"] for decision in instance["decisions"]}
        share = decided["gpu-memory-utilization"]
        assert decided["max-model-len"] == workload.get("max_model_len", decided["max-model-len"])
        assert instance["kv"]["max_concurrency"] >= 1
        for rank in [instance["memory"], *instance["ranks"]]:
            parts = sum(rank[key] for key in _PARTS)
            assert all(rank[key] >= 0 for key in _PARTS)
            assert parts <= share * memory + 1 and parts + rank["headroom_bytes"] <= memory
            assert rank["headroom_bytes"] >= 0


@pytest.mark.parametrize("name", NAMES)
def test_the_same_request_gets_the_same_answer(name: str) -> None:
    request = _request(name, "NVIDIA H100 80GB HBM3", 79 * GIB, "0.32.0", {}, {}, 2)
    before = copy.deepcopy(request)
    assert json.dumps(plan(request), sort_keys=True) == json.dumps(plan(copy.deepcopy(request)), sort_keys=True)
    assert request == before
