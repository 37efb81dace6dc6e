# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden values of the memory of one card: what vLLM charges to the budget by release, and what lies beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import PlanError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory import accounting, activation, cards, graphs
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.libraries import (
    non_torch_bytes,
    unseen_group_bytes,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.runner import second_runner
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.sampler import state_bytes
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import ModelInfo, read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import Gpu
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

from tests.bench.plan_rows import CONFIGS, config

GIB, MIB = 2**30, 2**20


def model(name: str) -> ModelInfo:
    document = config(name)
    assert document is not None
    return read_model(document)


def card(name: str, mib: int, capability: tuple[int, int]) -> Gpu:
    total = mib * MIB
    usable = total - cards.reserved_bytes(name, total)
    return Gpu(index=0, name=name, usable_bytes=usable, free_bytes=usable, capability=capability)


H100 = card("NVIDIA H100 80GB HBM3", 81559, (9, 0))
RTX_4070 = card("NVIDIA GeForce RTX 4070", 12282, (8, 9))
RTX_4090 = card("NVIDIA GeForce RTX 4090", 24564, (8, 9))
L4 = card("NVIDIA L4", 23034, (8, 9))


def shape(**changes: Any) -> Shape:
    return replace(Shape(version=(0, 19, 0), tokens=8192, seqs=1024, gpu=H100), **changes)


@pytest.mark.parametrize(
    ("name", "changes", "gib"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", {}, 1.89),
        ("meta-llama/Llama-3.1-8B-Instruct", {"tensor": 4}, 1.89),
        ("meta-llama/Llama-3.1-8B-Instruct", {"width": 4}, 2.21),
        ("Qwen/Qwen2.5-7B-Instruct", {}, 2.21),
        ("codellama/CodeLlama-7b-hf", {}, 0.77),
        ("google/gemma-2-27b-it", {}, 3.66),
        ("ibm-granite/granite-3.1-2b-instruct", {}, 0.75),
        # routed experts: their workspace stays while the vocabulary is sampled
        ("deepseek-ai/DeepSeek-V2-Lite-Chat", {}, 1.93),
        ("Qwen/Qwen1.5-MoE-A2.7B", {}, 2.47),
        ("openai/gpt-oss-20b", {"tensor": 2}, 2.87),
        # towers: images and what they became stay, too
        ("google/gemma-3-12b-it", {}, 3.94),
        ("google/gemma-3-27b-it", {}, 3.99),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", {}, 2.03),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", {"tensor": 4}, 3.19),
        # before 0.17 the whole vocabulary is sorted
        ("Qwen/Qwen3-0.6B", {"version": (0, 11, 0)}, 5.56),
        ("Qwen/Qwen3-14B", {"version": (0, 15, 0)}, 5.64),
        ("openai/gpt-oss-20b", {"version": (0, 11, 0)}, 7.38),
    ],
)
def test_the_profiling_peak_is_what_logs_printed(name: str, changes: dict[str, Any], gib: float) -> None:
    assert activation.activation_bytes(model(name), shape(**changes)) / GIB == pytest.approx(gib, abs=0.02)


@pytest.mark.parametrize(
    ("name", "changes", "gib"),
    [
        ("mistralai/Mixtral-8x7B-v0.1", {"tensor": 2}, 1.21),
        ("Qwen--Qwen3-30B-A3B", {}, 2.68),
        ("microsoft/phi-4", {}, 1.52),
        ("ibm-granite/granite-3.1-8b-instruct", {}, 0.85),
    ],
)
def test_peaks_that_nothing_was_fitted_to(name: str, changes: dict[str, Any], gib: float) -> None:
    """Measured on an H100 with 0.19.0: constants of llm-d-planner 0.3.3 for architectures that no log here has."""
    assert activation.activation_bytes(model(name), shape(**changes)) / GIB == pytest.approx(gib, abs=0.02)


def test_only_the_last_stage_samples() -> None:
    llama, split = model("meta-llama/Llama-3.1-8B-Instruct"), shape(pipeline=2)
    first, last = (activation.activation_bytes(llama, split, stage) for stage in (0, 1))
    assert first / GIB == pytest.approx(1.10, abs=0.06)
    assert last > 1.8 * GIB
    assert non_torch_bytes(llama, split, 0) / GIB == pytest.approx(0.07, abs=0.02)


def test_more_tokens_and_requests_never_take_less() -> None:
    for name in ("Qwen/Qwen3-8B", "Qwen/Qwen1.5-MoE-A2.7B", "Qwen--Qwen3.5-27B"):
        info, before = model(name), 0
        for tokens, seqs in ((512, 8), (2048, 8), (2048, 256), (8192, 256), (8192, 1024), (32768, 1024)):
            peak = activation.activation_bytes(info, shape(tokens=tokens, seqs=seqs))
            assert peak >= before
            before = peak


@pytest.mark.parametrize(
    ("name", "version", "second"),
    [
        ("Qwen/Qwen3-8B", (0, 20, 2), False),
        ("Qwen/Qwen3-8B", (0, 22, 0), True),
        ("Qwen/Qwen3-8B-AWQ", (0, 23, 0), False),
        ("Qwen/Qwen3-8B-AWQ", (0, 26, 0), True),
        ("Qwen/Qwen1.5-MoE-A2.7B", (0, 24, 0), True),
        ("Qwen--Qwen3-30B-A3B", (0, 28, 0), False),
        ("Qwen--Qwen3.5-27B", (0, 28, 0), False),
        ("Qwen--Qwen3.5-27B", (0, 29, 0), True),
        ("Qwen--Qwen3-30B-A3B", (0, 33, 0), True),
    ],
)
def test_which_runner_a_release_takes(name: str, version: tuple[int, ...], second: bool) -> None:
    assert second_runner(model(name), shape(version=version)) is second


def test_the_second_runner_keeps_counts_and_the_budget_sees_them_from_0_27_on() -> None:
    qwen, small = model("Qwen/Qwen3-8B"), shape(seqs=256, gpu=L4)
    counts = 256 * (151936 * 4 + 4748 * 4)
    assert state_bytes(qwen, replace(small, version=(0, 26, 0))) == counts
    old = non_torch_bytes(qwen, replace(small, version=(0, 26, 0)))
    assert 0 <= non_torch_bytes(qwen, replace(small, version=(0, 27, 0))) - old - counts < 0.2 * GIB
    assert accounting.rank_parts(0, qwen, replace(small, version=(0, 26, 0))).uncharged == counts


def left(version: tuple[int, ...], free: int, **changes: Any) -> int:
    """Bytes of KV cache on a 4090 of which ``free`` bytes are free."""
    engine = shape(version=version, tokens=2048, seqs=256, gpu=RTX_4090, **changes)
    parts = accounting.rank_parts(16 * GIB, model("Qwen--Qwen3-30B-A3B"), engine)
    return accounting.gpu_memory(replace(RTX_4090, free_bytes=free), 0.9, parts, engine).kv_available


@pytest.mark.parametrize(("version", "charged"), [((0, 8, 5), True), ((0, 9, 0, 1), True), ((0, 9, 1), False),
                                                  ((0, 26, 0), False), ((0, 33, 0), False)])  # fmt: skip
def test_other_processes_are_charged_until_0_9_0(version: tuple[int, ...], charged: bool) -> None:
    alone, beside = left(version, RTX_4090.usable_bytes), left(version, RTX_4090.usable_bytes - 2 * GIB)
    assert alone - beside == (2 * GIB if charged else 0)


@pytest.mark.parametrize(
    ("name", "version", "aside"),
    [
        ("Qwen--Qwen3-30B-A3B", (0, 19, 1), False),
        ("Qwen--Qwen3-30B-A3B", (0, 20, 0), True),
        ("Qwen/Qwen3-8B", (0, 20, 0), True),
        ("Qwen/Qwen3-8B", (0, 25, 0), False),  # the second runner did not estimate graphs yet
        ("Qwen/Qwen3-8B", (0, 28, 0), False),
        ("Qwen/Qwen3-8B", (0, 29, 0), True),
    ],
)
def test_graphs_are_set_aside_from_0_20_on(name: str, version: tuple[int, ...], aside: bool) -> None:
    info, engine = model(name), shape(version=version)
    assert (graphs.estimate_bytes(info, engine) > 0) is aside
    assert graphs.graph_bytes(info, engine) > 0
    assert graphs.estimate_bytes(info, replace(engine, eager=True)) == 0
    with_graphs, eager = (
        accounting.gpu_memory(H100, 0.9, accounting.rank_parts(0, info, one), one)
        for one in (engine, replace(engine, eager=True))
    )
    assert eager.kv_available - with_graphs.kv_available == graphs.estimate_bytes(info, engine)


def test_the_estimate_of_the_one_log_that_prints_its_parts() -> None:
    """0.84 GiB: 260 MiB, and 6 MiB for each of 50 more graphs of both kinds; 0.18 and 0.19 print it, and ignore it."""
    found = graphs.estimate_bytes(model("meta-llama/Llama-3.1-8B-Instruct"), shape(version=(0, 20, 0)))
    assert found / GIB == pytest.approx(0.84, abs=0.01)


@pytest.mark.parametrize(
    ("version", "seqs", "count"),
    [((0, 8, 5), 1, 67), ((0, 11, 0), 256, 67), ((0, 11, 0), 32, 11), ((0, 19, 0), 256, 51), ((0, 19, 0), 1, 2)],
)
def test_captured_sizes(version: tuple[int, ...], seqs: int, count: int) -> None:
    assert graphs.graph_sizes(shape(version=version, seqs=seqs)) == count


def test_blackwell_data_centre_cards_capture_up_to_1024() -> None:
    b200 = card("NVIDIA B200", 188733, (10, 0))
    assert graphs.largest_size(shape(gpu=b200)) == 1024


def test_an_explicit_cache_replaces_what_is_left_and_nothing_else() -> None:
    engine = shape()
    parts = accounting.rank_parts(16 * GIB, model("Qwen/Qwen3-8B"), engine)
    for utilization in (0.3, 0.9):
        memory = accounting.gpu_memory(H100, utilization, parts, engine, 5 * GIB)
        assert memory.kv_available == 5 * GIB
        assert memory.headroom == accounting.gpu_memory(H100, 0.5, parts, engine, 5 * GIB).headroom


def test_memory_for_decoded_images_comes_off_the_cache() -> None:
    engine = shape(engine_args={"mm-ipc-gpu-memory-gb": 2})
    parts = accounting.rank_parts(16 * GIB, model("Qwen/Qwen3-8B"), engine)
    plain = accounting.gpu_memory(H100, 0.9, parts, shape())
    assert plain.kv_available - accounting.gpu_memory(H100, 0.9, parts, engine).kv_available == 2 * GIB


@pytest.mark.parametrize(
    ("name", "mib", "gib"),
    [
        ("NVIDIA L4", 23034, 22.03),
        ("NVIDIA A100-SXM4-80GB", 81920, 79.25),
        ("NVIDIA A100-SXM4-40GB", 40960, 39.49),
        ("NVIDIA H100 80GB HBM3", 81559, 79.19),
        ("NVIDIA GeForce RTX 4090", 24564, 23.52),
        ("NVIDIA GeForce RTX 3090", 24576, 23.56),
        ("NVIDIA GeForce RTX 5090", 32607, 31.36),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, 94.97),
        ("NVIDIA H200", 143771, 139.81),
        ("Tesla T4", 15360, 14.56),
        ("NVIDIA L40S", 46068, 44.39),
    ],
)
def test_what_cuda_sees_of_what_the_driver_shows(name: str, mib: int, gib: float) -> None:
    total = mib * MIB
    assert (total - cards.reserved_bytes(name, total)) / GIB == pytest.approx(gib, abs=0.03)


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("NVIDIA H100 80GB HBM3", 0.51),
        ("NVIDIA A100-SXM4-80GB", 0.41),
        ("NVIDIA GeForce RTX 4090", 0.45),
        ("NVIDIA L4", 0.19),
    ],
)
def test_the_context_beside_the_budget(name: str, gib: float) -> None:
    assert cards.context_bytes(card(name, 81920, (8, 0))) / GIB == pytest.approx(gib, abs=0.04)


def test_why_the_small_card_held_9852_mib_at_a_utilisation_of_0_6() -> None:
    """S1: the budget is 0.6 of the card; graphs and what quantising left with the allocator lie beside it."""
    engine = shape(version=(0, 8, 5), tokens=2048, seqs=1, gpu=RTX_4070, quantization="fp8")
    parts = accounting.rank_parts(int(4.1402 * GIB), model("Qwen/Qwen3-4B"), engine)
    memory = accounting.gpu_memory(RTX_4070, 0.6, parts, engine)
    assert memory.budget / MIB == pytest.approx(7158, abs=60)
    inside = memory.context + memory.weights + memory.activation + memory.non_torch + memory.kv_available
    assert inside == pytest.approx(memory.budget, abs=MIB)
    beside = memory.graphs + parts.uncharged
    assert memory.shown == memory.budget + beside
    assert memory.shown / MIB == pytest.approx(9852, rel=0.02)


def test_why_eight_cards_held_22_5_gb_each() -> None:
    """S4: not what the model needs but 0.9 of each card; the rest of the budget became KV cache."""
    engine = shape(version=(0, 8, 5), tokens=2048, seqs=256, gpu=RTX_4090, tensor=8, expert=True, eager=True)
    parts = accounting.rank_parts(15 * GIB, model("Qwen--Qwen3-235B-A22B"), engine)
    memory = accounting.gpu_memory(RTX_4090, 0.9, parts, engine)
    assert memory.shown / 1e9 == pytest.approx(22.5, abs=0.5)
    fuller = accounting.gpu_memory(
        RTX_4090, 0.9, accounting.rank_parts(16 * GIB, model("Qwen--Qwen3-235B-A22B"), engine), engine
    )
    assert fuller.shown == pytest.approx(memory.shown, abs=MIB)


@pytest.mark.parametrize(
    ("version", "tensor", "gib"),
    [((0, 10, 2), 2, 1.38), ((0, 10, 2), 4, 1.84), ((0, 11, 0), 2, 0.55), ((0, 19, 0), 2, 2.07), ((0, 19, 0), 4, 2.13)],
)
def test_what_ranks_take_of_each_card_by_release(version: tuple[int, ...], tensor: int, gib: float) -> None:
    """Until 0.10.2 the ranks' group is made after the engine's first look at the card, from 0.11 on before it."""
    engine = shape(version=version, tensor=tensor)
    assert non_torch_bytes(model("meta-llama/Llama-3.1-8B-Instruct"), engine) / GIB == pytest.approx(gib, abs=0.05)
    assert (unseen_group_bytes(engine) > 0.5 * GIB) is (version >= (0, 11))


def test_a_card_that_shares_the_hosts_memory_counts_the_process() -> None:
    gb10 = card("NVIDIA GB10", 124610, (12, 1))
    assert cards.unified(gb10) and not cards.unified(H100)
    small = model("Qwen/Qwen3-0.6B")
    assert non_torch_bytes(small, shape(gpu=gb10)) > non_torch_bytes(small, shape()) + GIB


def test_adapters_take_their_slots() -> None:
    llama = model("meta-llama/Llama-3.1-8B-Instruct")
    lora = shape(engine_args={"enable-lora": True, "max-loras": 4, "max-lora-rank": 32})
    one = accounting.rank_parts(0, llama, lora).weights
    # in and out of the seven projections of 32 layers, 32 wide, 2 bytes, 4 adapters
    each = 3 * 4096 + 4096 + 2 * 1024 + 2 * 4096 + 3 * (4096 + 14336)
    assert one == 32 * each * 32 * 2 * 4
    assert accounting.rank_parts(0, llama, shape()).weights == 0


def test_images_that_are_switched_off_take_nothing() -> None:
    gemma = model("google/gemma-3-12b-it")
    off = shape(engine_args={"limit-mm-per-prompt": {"image": 0}})
    assert activation.activation_bytes(gemma, shape()) - activation.activation_bytes(gemma, off) > 0.15 * GIB
    qwen = model("Qwen--Qwen3-VL-2B-Instruct")
    sizes = []
    for limits in ({"video": 0}, {"image": 0}, {"image": 0, "video": 0}):
        engine = shape(seqs=8, tokens=2048, engine_args={"limit-mm-per-prompt": limits})
        sizes.append(activation.activation_bytes(qwen, engine))
    assert sizes[0] == sizes[1] > sizes[2] + GIB


def test_every_known_configuration_has_a_memory() -> None:
    """On the oldest and the newest accounting, on one rank and on eight: whole numbers, none below zero."""
    known = 0
    for path in sorted(CONFIGS.glob("*.json")):
        try:
            info = model(path.stem)
        except PlanError:
            continue
        known += 1
        for version in ((0, 8, 5), (0, 19, 0), (0, 28, 0), (0, 33, 0)):
            for tensor in (1, 8):
                engine = shape(version=version, tensor=tensor)
                parts = accounting.rank_parts(GIB, info, engine)
                assert all(isinstance(part, int) and part >= 0 for part in parts), path.name
                assert 0.01 * GIB < parts.activation < 16 * GIB, path.name
    assert known >= 75
