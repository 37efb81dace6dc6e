"""The four published deployments: each of their faults in arguments is refused, corrected or warned about."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan


def _answer(request: dict[str, Any], release: str, args: dict[str, Any], env: dict[str, str] | None = None) -> Any:
    request = copy.deepcopy(request)
    request["vllm_version"] = release
    request["deployments"][0].update(engine_args=args, env=env or {})
    return plan(request)


def _error(answer: Any) -> tuple[str, str]:
    assert len(answer["errors"]) == 1 and not answer["instances"]
    return answer["errors"][0]["code"], " ".join(answer["errors"][0]["remedies"])


def _codes(answer: Any) -> list[str]:
    assert answer["errors"] == []
    return [warning.split("]")[0].strip("[") for warning in answer["instances"][0]["warnings"]]


S1 = {"gpu-memory-utilization": 0.6, "max-num-seq": 1, "max-model-len": "4K"}


def test_s1_the_beginning_of_a_name_is_completed_and_4k_is_4096(gpu_request: dict[str, Any]) -> None:
    for release in ("0.8.5.post1", "0.33.0"):
        answer = _answer(gpu_request, release, S1)
        assert "plan.corrected_engine_argument" in _codes(answer)
        settings = answer["instances"][0]["settings"]
        assert (settings["max-num-seqs"], settings["max-model-len"]) == (1, 4096)
        assert "max-num-seq" not in settings


@pytest.mark.parametrize("release", ["0.8.5.post1", "0.32.0"])
def test_s1_s3_a_key_among_the_arguments_is_refused_and_not_repeated(gpu_request: dict[str, Any], release: str) -> None:
    answer = _answer(gpu_request, release, {**S1, "api-key": "123456"})
    assert _error(answer) == ("plan.reserved_engine_argument", "Use vllm_api_keys.")
    assert "123456" not in str(answer)


def test_s1_fp8_of_a_bf16_checkpoint_is_refused_from_0_31(gpu_request: dict[str, Any]) -> None:
    args = {**S1, "quantization": "fp8"}
    assert _answer(gpu_request, "0.30.0", args)["errors"] == []
    code, remedies = _error(_answer(gpu_request, "0.31.0", args))
    assert code == "plan.unsupported_quantization" and "fp8_per_tensor" in remedies


def test_s1_a_hub_in_the_environment_is_refused(gpu_request: dict[str, Any]) -> None:
    code, remedies = _error(_answer(gpu_request, "0.8.5.post1", S1, {"VLLM_USE_MODELSCOPE": "True"}))
    assert code == "plan.refused_environment" and "modelscope" in remedies


def test_s3_trust_in_foreign_code_that_nothing_needs_is_warned_about(gpu_request: dict[str, Any]) -> None:
    args = {"trust-remote-code": True, "dtype": "auto", "tensor-parallel-size": 1}
    assert "plan.trust_remote_code" in _codes(_answer(gpu_request, "0.32.0", args))
    assert "trust-remote-code" not in _answer(gpu_request, "0.32.0", {})["instances"][0]["settings"]


@pytest.mark.parametrize("name", ["host", "port", "model", "served-model-name"])
def test_s3_s4_what_the_collection_decides_is_refused(gpu_request: dict[str, Any], name: str) -> None:
    assert _error(_answer(gpu_request, "0.32.0", {name: "x"}))[0] == "plan.reserved_engine_argument"


def test_s4_an_argument_that_is_given_twice_is_told(gpu_request: dict[str, Any]) -> None:
    codes = _codes(_answer(gpu_request, "0.32.0", {"-tp": 1, "tensor-parallel-size": 1}))
    assert codes.count("plan.duplicate_engine_argument") == 1
    code, _remedies = _error(_answer(gpu_request, "0.32.0", {"-tp": 1, "tensor-parallel-size": 2}))
    assert code == "plan.duplicate_engine_argument"


def test_s4_enable_reasoning_is_taken_by_the_release_that_has_it_and_refused_by_latest(
    gpu_request: dict[str, Any],
) -> None:
    args = {"enable-reasoning": True, "reasoning-parser": "deepseek_r1", "enforce-eager": True}
    settings = _answer(gpu_request, "0.8.5.post1", args)["instances"][0]["settings"]
    assert settings["enable-reasoning"] is True and settings["reasoning-parser"] == "deepseek_r1"
    assert "plan.deprecated_engine_argument" in _codes(_answer(gpu_request, "0.9.0", args))
    code, remedies = _error(_answer(gpu_request, "0.33.0", args))
    assert code == "plan.removed_engine_argument" and "reasoning-parser" in remedies


@pytest.mark.parametrize("release", ["0.8.5.post1", "0.33.0"])
def test_s4_enable_kv_cache_never_existed(gpu_request: dict[str, Any], release: str) -> None:
    code, remedies = _error(_answer(gpu_request, release, {"enable-kv-cache": True}))
    assert code == "plan.removed_engine_argument" and "never existed" in remedies


def test_s4_the_qwen3_parser_is_not_in_the_release_that_the_text_names(gpu_request: dict[str, Any]) -> None:
    code, remedies = _error(_answer(gpu_request, "0.8.5.post1", {"reasoning-parser": "qwen3"}))
    assert code == "plan.bad_engine_argument" and "0.9.0 is the first" in remedies
    assert _answer(gpu_request, "0.8.5.post1", {})["instances"][0]["settings"]["reasoning-parser"] == "deepseek_r1"
