# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single figures that published logs print beside the readings of tests/bench: graphs, libraries, widened outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory import cards, encoder, graphs
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.libraries import non_torch_bytes
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.weights import rank_bytes, stored
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import ModelInfo, read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import Gpu, Model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

from tests.bench.plan_rows import config

GIB, MIB = 2**30, 2**20
VISION = "Qwen--Qwen3-VL-4B-Instruct"


def model(name: str) -> ModelInfo:
    document = config(name)
    assert document is not None
    return read_model(document)


def card(name: str, mib: int, capability: tuple[int, int]) -> Gpu:
    total = mib * MIB
    usable = total - cards.reserved_bytes(name, total)
    return Gpu(index=0, name=name, usable_bytes=usable, free_bytes=usable, capability=capability)


L40S = card("NVIDIA L40S", 46068, (8, 9))
SHAPE = Shape(version=(0, 26, 0), tokens=2048, seqs=256, gpu=L40S)


@pytest.mark.parametrize(
    ("name", "changes", "gib"),
    [
        # Every layer cuts the graph, those with a state as well as those with attention.
        ("Qwen/Qwen3.6-27B-FP8", {}, 1.11),
        ("Qwen/Qwen3.6-27B-FP8", {"seqs": 16}, 0.18),
        ("Qwen/Qwen3.5-4B", {"version": (0, 22, 0), "tokens": 8192}, 0.64),
        ("Qwen--Qwen3.5-35B-A3B", {"version": (0, 22, 0)}, 0.79),
        ("Qwen/Qwen2.5-7B-Instruct", {"version": (0, 21, 0)}, 0.62),
    ],
)
def test_graphs_that_the_first_runner_sets_aside(name: str, changes: dict[str, Any], gib: float) -> None:
    said = graphs.estimate_bytes(model(name), replace(SHAPE, **changes))
    assert said / GIB == pytest.approx(gib, abs=0.08)


def test_the_first_runner_takes_flashinfers_workspace_for_graphs() -> None:
    name = "Qwen--Qwen3.5-35B-A3B"
    plain, narrow = (graphs.estimate_bytes(model(name), replace(SHAPE, kv_dtype=kind)) for kind in ("auto", "fp8"))
    assert narrow - plain == 394 * MIB
    assert graphs.estimate_bytes(model(name), replace(SHAPE, kv_dtype="fp8", eager=True)) == 0


def test_the_user_may_name_the_largest_graph() -> None:
    for args in ({"max-cudagraph-capture-size": 64}, {"compilation-config": {"max_cudagraph_capture_size": 64}}):
        assert graphs.largest_size(replace(SHAPE, engine_args=args)) == 64
    assert graphs.largest_size(SHAPE) == 512


@pytest.mark.parametrize(
    ("gpu", "gib"),
    [
        (L40S, 0.145),
        (card("NVIDIA GeForce RTX 5070 Ti", 16303, (12, 0)), 0.085),
        (card("NVIDIA H100 80GB HBM3", 81559, (9, 0)), 0.25),
    ],
)
def test_libraries_by_the_cards_multiprocessors(gpu: Gpu, gib: float) -> None:
    shape = replace(SHAPE, version=(0, 20, 2), gpu=gpu)
    assert non_torch_bytes(model("Qwen--Qwen3.5-35B-A3B"), shape) / GIB == pytest.approx(gib, abs=0.02)


def test_two_cards_without_peer_access_take_less_than_two_with_it() -> None:
    shape = replace(SHAPE, tensor=2, version=(0, 20, 0))
    geforce = replace(shape, gpu=card("NVIDIA GeForce RTX 5090", 32607, (12, 0)))
    info = model("Qwen--Qwen3-8B")
    assert non_torch_bytes(info, geforce) < non_torch_bytes(info, shape)


@pytest.mark.parametrize(
    ("version", "limits", "kept"),
    [
        # 151,250 tokens of the prompt, in four streams of 2560 numbers: "Tried to allocate 2.89 GiB"
        ((0, 11, 2), None, 2.89),
        ((0, 12, 0), None, 2.89),
        ((0, 11, 2), {"video": 0}, 0.0),
        ((0, 13, 0), None, 0.0),
    ],
)
def test_video_outputs_are_widened_in_0_11_and_0_12(
    version: tuple[int, ...], limits: dict[str, int] | None, kept: float
) -> None:
    args = {} if limits is None else {"limit-mm-per-prompt": limits}
    found = encoder.encoding(model(VISION), replace(SHAPE, version=version, engine_args=args))
    own = found.outputs / GIB - kept
    assert 0.22 < own < 0.32  # what the encoder itself answers


def test_one_batch_for_the_inner_layers_outputs_counts_as_weights() -> None:
    """Qwen3-VL keeps three of them, as wide as the text's hidden state."""
    request = Model(config=config(VISION) or {})
    info = model(VISION)
    small, large = (replace(SHAPE, tokens=tokens) for tokens in (2048, 8192))
    weights = [rank_bytes(stored(request, info, shape), info, shape) for shape in (small, large)]
    assert weights[1] - weights[0] == 3 * (8192 - 2048) * 2560 * 2


def test_the_plan_of_the_small_card_says_why_it_will_hold_9852_mib() -> None:
    """S1: nvidia-smi shows more than 0.6 of the card, and the plan says what it is beside the share."""
    name = "NVIDIA GeForce RTX 4070"
    request = {
        "vllm_version": "0.8.5.post1",
        "gpus": [{"index": 0, "name": name, "memory_total_bytes": 12282 * MIB, "compute_capability": "8.9"}],
        "deployments": [
            {
                "name": "a",
                "model": {"id": "Qwen/Qwen3-4B", "config": config("Qwen/Qwen3-4B"), "weights_bytes": int(4.1402 * GIB)},
                "engine_args": {
                    "gpu-memory-utilization": 0.6,
                    "max-model-len": 4096,
                    "max-num-seqs": 1,
                    "quantization": "fp8",
                },
            }
        ],
    }
    answer = plan(request)
    assert not answer["errors"]
    instance = answer["instances"][0]
    assert "driver_shows_bytes" not in instance["memory"]  # its keys are settled
    shown = instance["driver_shows_bytes"]
    assert shown / MIB == pytest.approx(9852, rel=0.03)
    usable = (12282 - 352) * MIB
    assert shown == usable - instance["memory"]["headroom_bytes"]
    reason = next(d["reason"] for d in instance["decisions"] if d["setting"] == "gpu-memory-utilization")
    assert "nvidia-smi will show about %.1f GiB" % (shown / GIB) in reason
    assert "does not limit" in reason and "graphs" in reason
