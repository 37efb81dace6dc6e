"""Plans for GPUs and CPUs: memory, settings, reasons, refusals."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.table import render
from hypothesis import given
from hypothesis import strategies as st

GIB = 2**30


def _one(request: dict[str, Any]) -> dict[str, Any]:
    answer = plan(request)
    assert answer["errors"] == []
    (instance,) = answer["instances"]
    return instance


def _error(request: dict[str, Any]) -> dict[str, Any]:
    answer = plan(request)
    assert answer["instances"] == []
    (error,) = answer["errors"]
    return error


def test_a_cpu_host_gets_the_measured_recipe(cpu_request: dict[str, Any]) -> None:
    instance = _one(cpu_request)
    assert instance["settings"] == {
        "dtype": "bfloat16",
        "enable-auto-tool-choice": True,
        "enforce-eager": True,
        "kv-cache-memory-bytes": 2434793472,
        "max-model-len": 4096,
        "max-num-seqs": 4,
        "reasoning-parser": "qwen3",
        "tool-call-parser": "hermes",
    }
    assert instance["kv"]["block_size"] == 128
    assert instance["kv"]["max_concurrency"] >= 4
    assert instance["gpu_uuids"] == []
    assert instance["memory"]["cuda_graph_bytes"] == 0


def test_every_setting_has_a_decision_with_a_reason(cpu_request: dict[str, Any], gpu_request: dict[str, Any]) -> None:
    for request in (cpu_request, gpu_request):
        request["deployments"][0]["engine_args"] = {"max_num_seqs": 8, "seed": 1}
        instance = _one(request)
        decided = {entry["setting"]: entry for entry in instance["decisions"]}
        assert len(decided) == len(instance["decisions"])
        for setting, value in instance["settings"].items():
            assert decided[setting]["value"] == value
            assert decided[setting]["source"] != "default"
        for entry in instance["decisions"]:
            assert entry["reason"].endswith(".")
            assert (entry["source"] == "default") == (entry["setting"] not in instance["settings"])
        assert {decided[name]["source"] for name in ("max-num-seqs", "seed")} == {"user"}


def test_a_small_cpu_host_is_refused_with_the_numbers(cpu_request: dict[str, Any]) -> None:
    cpu_request["host"]["memory_bytes"] = 8 * GIB
    error = _error(cpu_request)
    assert error["code"] == "host.memory"
    assert error["needed_bytes"] > error["available_bytes"] == 7 * GIB
    assert error["remedies"]


def test_cpu_cache_shrinks_before_the_host_is_refused(cpu_request: dict[str, Any]) -> None:
    cpu_request["host"]["memory_bytes"] = 12 * GIB
    instance = _one(cpu_request)
    assert 604 * 2**20 <= instance["settings"]["kv-cache-memory-bytes"] < 2434793472
    assert instance["kv"]["max_concurrency"] >= 1


def test_two_deployments_share_the_memory_of_a_cpu_host(cpu_request: dict[str, Any]) -> None:
    other = copy.deepcopy(cpu_request["deployments"][0])
    other["name"] = "b"
    cpu_request["deployments"].append(other)
    cpu_request["host"]["memory_bytes"] = 15 * GIB
    answer = plan(cpu_request)
    assert [entry["name"] for entry in answer["instances"]] == ["a"]
    assert [(entry["deployment"], entry["code"]) for entry in answer["errors"]] == [("b", "host.memory")]


def test_workload_wins_on_a_cpu_and_engine_args_win_over_it(cpu_request: dict[str, Any]) -> None:
    deployment = cpu_request["deployments"][0]
    deployment["workload"] = {"max_model_len": 2048, "concurrency": 2}
    assert _one(cpu_request)["settings"]["max-model-len"] == 2048
    assert _one(cpu_request)["settings"]["max-num-seqs"] == 2
    deployment["engine_args"] = {"max-model-len": "4k", "kv-cache-memory-bytes": "1G"}
    settings = _one(cpu_request)["settings"]
    assert (settings["max-model-len"], settings["kv-cache-memory-bytes"]) == (4000, 2**30)


def test_a_cache_too_small_for_one_request_is_refused(cpu_request: dict[str, Any]) -> None:
    cpu_request["deployments"][0]["engine_args"] = {"kv-cache-memory-bytes": "64M"}
    error = _error(cpu_request)
    assert error["code"] == "plan.does_not_fit"
    # 64 MiB hold three blocks of 128 tokens, of which vLLM keeps one for itself.
    assert "Set workload.max_model_len to 256 or less." in error["remedies"]


def test_a_host_without_gpu_says_why(gpu_request: dict[str, Any]) -> None:
    gpu_request["gpus"] = []
    gpu_request["gpu_reason"] = "the kernel module is not loaded"
    gpu_request["gpu_remedy"] = "Load it with modprobe nvidia"
    error = _error(gpu_request)
    assert error["code"] == "host.no_gpu"
    assert "the kernel module is not loaded" in error["message"]
    assert error["remedies"][0] == "Load it with modprobe nvidia"


def test_start_logs_of_text_models_are_met(start_logs: list[dict[str, Any]]) -> None:
    for case in start_logs:
        instance = _one(case["request"])
        memory, observed = instance["memory"], case["observed"]
        assert memory["weights_bytes"] / GIB == pytest.approx(observed["weights_gib"], rel=0.01), case["id"]
        assert memory["activation_peak_bytes"] / GIB == pytest.approx(observed["activation_peak_gib"], abs=0.05)
        assert memory["non_torch_bytes"] / GIB == pytest.approx(observed["non_torch_gib"], abs=0.05)
        if "kv_tokens" in observed:
            assert instance["kv"]["tokens"] == pytest.approx(observed["kv_tokens"], rel=0.01)


def test_weights_from_the_config_alone(gpu_request: dict[str, Any]) -> None:
    weights = _one(gpu_request)["memory"]["weights_bytes"] / GIB
    assert weights == pytest.approx(7.552, rel=0.01)
    gpu_request["deployments"][0]["engine_args"] = {"quantization": "fp8_per_tensor"}
    weights = _one(gpu_request)["memory"]["weights_bytes"] / GIB
    assert weights == pytest.approx(4.14, rel=0.015)


def test_tensor_headers_are_exact(gpu_request: dict[str, Any]) -> None:
    config = gpu_request["deployments"][0]["model"]["config"]
    gpu_request["deployments"][0]["model"]["tensors"] = {
        "__metadata__": {"format": "pt"},
        "model.embed_tokens.weight": {"dtype": "BF16", "shape": [1000, 10]},
        "lm_head.weight": {"dtype": "BF16", "shape": [1000, 10]},
        "model.norm.weight": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]},
    }
    rotary = config["max_position_embeddings"] * config["head_dim"] * 2
    padded = 1024 * 10  # to a multiple of 64 rows
    assert _one(gpu_request)["memory"]["weights_bytes"] == 2 * padded + 2 * 10 + rotary


def test_what_does_not_fit_is_refused_with_the_longest_that_does(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["workload"] = {"max_model_len": 40960}
    gpu_request["deployments"][0]["engine_args"] = {"gpu-memory-utilization": 0.5}
    error = _error(gpu_request)
    assert error["code"] == "plan.does_not_fit"
    assert error["needed_bytes"] > error["available_bytes"]
    remedy = error["remedies"][0]
    longest = int(remedy.split(" to ")[1].split()[0])
    gpu_request["deployments"][0]["workload"]["max_model_len"] = longest
    _one(gpu_request)
    gpu_request["deployments"][0]["workload"]["max_model_len"] = longest + 1
    assert _error(gpu_request)["code"] == "plan.does_not_fit"


def test_a_context_beyond_the_model_is_refused(gpu_request: dict[str, Any], cpu_request: dict[str, Any]) -> None:
    for request in (gpu_request, cpu_request):
        request["deployments"][0]["workload"] = {"max_model_len": 40961}
        assert _error(request)["code"] == "plan.context_too_long"


def test_a_context_left_open_is_cut_to_what_fits(gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["engine_args"] = {"gpu-memory-utilization": 0.5}
    instance = _one(gpu_request)
    assert instance["settings"]["max-model-len"] % 1024 == 0
    assert instance["warnings"]


def test_the_fewest_gpus_that_hold_the_model(configs: dict[str, Any], gpu_request: dict[str, Any]) -> None:
    card = gpu_request["gpus"][0]
    gpu_request["gpus"] = [dict(card, index=i, uuid="GPU-%d" % i) for i in range(8)]
    gpu_request["deployments"][0]["model"]["config"] = configs["meta-llama--Meta-Llama-3.1-8B"]
    assert _one(gpu_request)["gpu_uuids"] == ["GPU-0"]
    gpu_request["deployments"][0]["model"]["config"] = configs["meta-llama--Meta-Llama-3.1-70B"]
    instance = _one(gpu_request)
    assert instance["settings"]["tensor-parallel-size"] == 8
    assert len(instance["gpu_uuids"]) == 8


def test_deployments_get_different_gpus(gpu_request: dict[str, Any]) -> None:
    card = gpu_request["gpus"][0]
    gpu_request["gpus"] = [dict(card, index=i, uuid="GPU-%d" % i) for i in range(2)]
    model = gpu_request["deployments"][0]["model"]
    gpu_request["deployments"] = [
        {"name": "a", "model": model},
        {"name": "b", "model": model, "gpus": {"uuids": ["GPU-0"]}},
        {"name": "c", "model": model, "gpus": {"share": 1.0}},
    ]
    answer = plan(gpu_request)
    assert {entry["name"]: entry["gpu_uuids"] for entry in answer["instances"]} == {"a": ["GPU-1"], "b": ["GPU-0"]}
    assert [(entry["deployment"], entry["code"]) for entry in answer["errors"]] == [("c", "plan.not_enough_gpus")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"gpus": {"indices": [7]}}, "plan.gpu_unknown"),
        ({"gpus": {"count": 2}}, "plan.not_enough_gpus"),
        ({"engine_args": {"tensor-parallel-size": 3}}, "plan.not_enough_gpus"),
        ({"engine_args": {"pipeline-parallel-size": 2}}, "plan.not_enough_gpus"),
        ({"engine_args": {"decode-context-parallel-size": 2}}, "plan.unsupported_parallelism"),
        ({"engine_args": {"enable-expert-parallel": True}}, "plan.unsupported_parallelism"),
        ({"engine_args": {"quantization": "fp8"}}, "plan.unsupported_quantization"),
        ({"engine_args": {"kv-cache-dtype": "nvfp4"}}, "plan.unsupported_kv_cache_dtype"),
        ({"engine_args": {"gpu-memory-utilization": 0.999}}, "plan.free_memory"),
    ],
)
def test_refusals_by_code(gpu_request: dict[str, Any], change: dict[str, Any], code: str) -> None:
    gpu_request["deployments"][0].update(change)
    assert _error(gpu_request)["code"] == code


def test_five_gpus_cannot_share_thirty_two_heads(gpu_request: dict[str, Any]) -> None:
    card = gpu_request["gpus"][0]
    gpu_request["gpus"] = [dict(card, index=i, uuid="GPU-%d" % i) for i in range(5)]
    gpu_request["deployments"][0]["gpus"] = {"count": 5}
    gpu_request["deployments"][0]["engine_args"] = {"tensor-parallel-size": 5}
    error = _error(gpu_request)
    assert error["code"] == "plan.not_divisible"
    assert "32 attention heads" in error["message"]


def test_unknown_models_are_refused_by_name(configs: dict[str, Any], gpu_request: dict[str, Any]) -> None:
    # The config holds Infinity, which Python writes into JSON; it is no reason to call the request invalid.
    config = dict(configs["nvidia--Nemotron-H-56B-Base-8K"], model_type="rwkv")
    gpu_request["deployments"][0]["model"]["config"] = config
    error = _error(gpu_request)
    assert error["code"] == "plan.unsupported_model"
    assert "rwkv" in error["message"]
    assert "vLLM does not run it" in error["message"]


def test_a_turing_card_computes_in_float16(gpu_request: dict[str, Any]) -> None:
    gpu_request["gpus"][0]["compute_capability"] = "7.5"
    assert _one(gpu_request)["settings"]["dtype"] == "float16"
    gpu_request["deployments"][0]["engine_args"] = {"dtype": "bfloat16"}
    assert _error(gpu_request)["code"] == "plan.unsupported_dtype"


def test_what_others_hold_of_a_card_lowers_the_share(gpu_request: dict[str, Any]) -> None:
    gpu_request["gpus"][0]["memory_free_bytes"] = 20 * 10**9
    assert _one(gpu_request)["settings"]["gpu-memory-utilization"] == 0.77
    # An engine of ours gives its memory back: a second plan while it runs is the same as the first.
    gpu_request["gpus"][0]["memory_free_bytes"] = 10**9
    gpu_request["gpus"][0]["processes"] = [
        {"pid": 7, "kind": "compute", "memory_bytes": 19 * 10**9, "unit": "vllm@a.service"},
        {"pid": 8, "kind": "graphics", "memory_bytes": 5 * 10**9, "unit": None},
    ]
    assert _one(gpu_request)["settings"]["gpu-memory-utilization"] == 0.77


def test_memory_of_an_engine_that_stays_is_not_given_back(gpu_request: dict[str, Any]) -> None:
    card = gpu_request["gpus"][0]
    card["memory_free_bytes"] = 10**9
    card["processes"] = [{"pid": 7, "kind": "compute", "memory_bytes": 19 * 10**9, "unit": "vllm@old.service"}]
    assert _error(gpu_request)["code"] == "plan.does_not_fit"
    # The same engine is removed in this very run.
    gpu_request["units"] = ["vllm@a.service", "vllm@old.service"]
    assert _one(gpu_request)["settings"]["gpu-memory-utilization"] == 0.77


def test_an_own_process_of_unknown_size_counts_as_gone(gpu_request: dict[str, Any]) -> None:
    card = gpu_request["gpus"][0]
    card["memory_free_bytes"] = 10**9
    card["processes"] = [{"pid": 7, "kind": "compute", "memory_bytes": None, "unit": "vllm@a.service"}]
    assert "gpu-memory-utilization" not in _one(gpu_request)["settings"]
    card["processes"].append({"pid": 8, "kind": "graphics", "memory_bytes": 5 * 10**9, "unit": None})
    assert _one(gpu_request)["settings"]["gpu-memory-utilization"] < 0.8
    card["processes"] = [{"pid": 7, "kind": "compute", "memory_bytes": None, "unit": None}]
    assert _error(gpu_request)["code"] == "plan.does_not_fit"


def test_a_driver_that_the_build_cannot_use_is_refused(gpu_request: dict[str, Any]) -> None:
    for driver in ("535.183.01", "570.195.03", "579"):
        gpu_request["driver_version"] = driver
        error = _error(gpu_request)
        assert error["code"] == "plan.driver_too_old"
        assert driver in error["message"]
        assert "580" in error["message"]
    for good in ("580.65.06", "590.1", None):
        gpu_request["driver_version"] = good
        assert _one(gpu_request)["gpu_indices"] == [0]
    # An older release has other builds.
    gpu_request.update(driver_version="535.183.01", vllm_version="0.10.2")
    assert _one(gpu_request)["gpu_indices"] == [0]


def test_cards_that_no_engine_runs_on_are_passed_over_and_refused_where_none_is_left(
    gpu_request: dict[str, Any],
) -> None:
    volta = {**gpu_request["gpus"][0], "name": "Tesla V100", "compute_capability": "7.0"}
    divided = {**gpu_request["gpus"][0], "index": 1, "uuid": "GPU-1", "name": "A100", "mig": True}
    whole = {**gpu_request["gpus"][0], "index": 2, "uuid": "GPU-2", "mig": False}
    gpu_request["gpus"] = [volta]
    error = _error(gpu_request)
    assert error["code"] == "plan.capability_too_low"
    assert "Tesla V100" in error["message"]
    gpu_request["gpus"] = [divided]
    error = _error(gpu_request)
    assert error["code"] == "plan.mig_unsupported"
    assert "GPU 1 (A100)" in error["message"]
    gpu_request["gpus"] = [volta, divided, whole]
    assert _one(gpu_request)["gpu_indices"] == [2]
    gpu_request["deployments"][0]["gpus"] = {"count": 2}
    assert _error(gpu_request)["code"] == "plan.capability_too_low"
    gpu_request["deployments"][0]["gpus"] = {"uuids": ["GPU-1"]}
    assert _error(gpu_request)["code"] == "plan.mig_unsupported"


def test_a_new_deployment_leaves_the_card_to_the_one_that_has_it(gpu_request: dict[str, Any]) -> None:
    gpu_request["gpus"].append({**gpu_request["gpus"][0], "index": 1, "uuid": "GPU-1"})
    running = {**gpu_request["deployments"][0], "name": "z", "placement": {"uuids": ["GPU-0"]}}
    gpu_request["deployments"].append(running)
    placed = {entry["name"]: entry["gpu_uuids"] for entry in plan(gpu_request)["instances"]}
    assert placed == {"a": ["GPU-1"], "z": ["GPU-0"]}


def test_defaults_follow_card_and_release(gpu_request: dict[str, Any]) -> None:
    def default(setting: str) -> Any:
        decisions = _one(gpu_request)["decisions"]
        return next(entry["value"] for entry in decisions if entry["setting"] == setting)

    assert (default("max-num-seqs"), default("max-num-batched-tokens")) == (256, 2048)
    assert default("gpu-memory-utilization") == 0.92
    gpu_request["vllm_version"] = "0.19.1"
    assert default("gpu-memory-utilization") == 0.9
    gpu_request["gpus"][0].update(
        name="NVIDIA H100 80GB HBM3", memory_total_bytes=85 * 10**9, memory_free_bytes=84 * 10**9
    )
    assert (default("max-num-seqs"), default("max-num-batched-tokens")) == (1024, 8192)
    gpu_request["gpus"][0]["name"] = "NVIDIA A100-SXM4-80GB"
    assert (default("max-num-seqs"), default("max-num-batched-tokens")) == (256, 2048)


def test_an_unknown_release_is_planned_as_the_nearest_lower_one(cpu_request: dict[str, Any]) -> None:
    for text, nearest in (("0.20.7", "0.20.2"), ("1.0.0", "0.33.0"), ("0.19.x", "0.19.1")):
        cpu_request["vllm_version"] = text
        answer = plan(cpu_request)
        assert answer["errors"] == []
        (warning,) = answer["warnings"]
        assert "vLLM %s is not known; planned as %s, the nearest lower release." % (text, nearest) in warning
    cpu_request["vllm_version"] = "0.8.5.post1"
    assert plan(cpu_request)["warnings"] == []


@given(memory=st.integers(9 * GIB, 200 * GIB), more=st.integers(0, 64 * GIB))
def test_more_gpu_memory_never_gives_fewer_tokens(configs: dict[str, Any], memory: int, more: int) -> None:
    def tokens(size: int) -> int:
        card = {"index": 0, "name": "GPU", "memory_usable_bytes": size, "compute_capability": "9.0"}
        deployment = {
            "name": "a",
            "model": {"config": configs["Qwen--Qwen3-4B"]},
            "workload": {"max_model_len": 2048},
            "engine_args": {"max-num-seqs": 64, "max-num-batched-tokens": 2048},
        }
        answer = plan({"vllm_version": "0.32.0", "gpus": [card], "deployments": [deployment]})
        return answer["instances"][0]["kv"]["tokens"] if answer["instances"] else 0

    assert tokens(memory + more) >= tokens(memory)


def test_a_plan_of_its_own_settings_is_itself(cpu_request: dict[str, Any], gpu_request: dict[str, Any]) -> None:
    for request in (cpu_request, gpu_request):
        first = _one(request)
        request["deployments"][0]["engine_args"] = first["settings"]
        second = _one(request)
        for key in ("settings", "memory", "kv", "gpu_uuids"):
            assert second[key] == first[key]


def test_the_table_tells_settings_memory_and_errors(cpu_request: dict[str, Any]) -> None:
    text = render(plan(cpu_request))
    assert "kv-cache-memory-bytes" in text
    assert "2.27 GiB" in text
    cpu_request["host"]["memory_bytes"] = GIB
    text = render(plan(cpu_request))
    assert "[host.memory]" in text
    assert all(len(line) <= 120 for line in text.splitlines())
