"""Releases: the list, what each was built with, which driver carries which, and which models each has."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._deployment_problems import deployment_problems
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner import releases
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments import catalogue
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.architectures import (
    check_architecture,
    use,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.environment import lint_env
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest, PlanError


def test_the_list_is_that_of_the_index() -> None:
    assert len(releases.KNOWN) == 45
    assert releases.KNOWN[:4] == ("0.8.5", "0.8.5.post1", "0.9.0", "0.9.0.1")
    assert releases.KNOWN[-1] == "0.33.0"
    assert list(releases.RELEASES) == sorted(releases.RELEASES, key=lambda release: release.version)


@pytest.mark.parametrize(
    ("asked", "planned", "warns"),
    [
        ("0.8.5.post1", (0, 8, 5), False),
        ("v0.19.1", (0, 19, 1), False),
        ("0.32", (0, 32, 0), False),
        ("0.30.0+cu129", (0, 30, 0), False),
        ("0.19.x", (0, 19, 1), True),
        ("0.14.7", (0, 14, 1), True),
        ("1.2.3", (0, 33, 0), True),
        ("0.33.0rc1", (0, 33, 0), True),
        ("0.34.0.dev12", (0, 33, 0), True),
    ],
)
def test_what_a_version_is_planned_as(asked: str, planned: tuple[int, ...], warns: bool) -> None:
    found, warning = releases.resolve(asked)
    assert found == planned
    assert (warning is not None) == warns
    if warning:
        assert asked in warning and ".".join(str(part) for part in planned) in warning


@pytest.mark.parametrize("asked", ["0.8.4", "0.1", "latest", "", "0.32.0; rm -rf /", "0.32.0\n", "\u0660.32.0"])
def test_no_version_or_one_that_is_too_old_is_refused(asked: str) -> None:
    with pytest.raises(InvalidRequest):
        releases.resolve(asked)


@pytest.mark.parametrize(
    ("release", "cuda", "torch", "python", "utilization"),
    [
        ("0.8.5.post1", (12, 4), "2.6.0", ((3, 9), (3, 13)), 0.9),
        ("0.10.2", (12, 8), "2.8.0", ((3, 9), (3, 14)), 0.9),
        ("0.15.0", (12, 9), "2.9.1", ((3, 10), (3, 14)), 0.9),
        ("0.19.1", (12, 9), "2.10.0", ((3, 10), (3, 14)), 0.9),
        ("0.20.0", (13, 0), "2.11.0", ((3, 10), (3, 15)), 0.92),
        ("0.33.0", (13, 0), "2.14.0", ((3, 11), (3, 15)), 0.92),
    ],
)
def test_what_a_release_was_built_with(release: str, cuda: Any, torch: str, python: Any, utilization: float) -> None:
    found = next(entry for entry in releases.RELEASES if entry.name == release)
    assert (found.wheel_cuda, found.torch, found.python, found.utilization) == (cuda, torch, python, utilization)
    assert releases.default_utilization(found.version) == utilization


def test_driver_535_of_scenario_1_gets_no_cuda_13() -> None:
    """S1 pulled the newest image onto driver 535."""
    assert [build.name for build in releases.cuda_builds((0, 33, 0))] == ["cu130", "cu129"]
    assert [build.name for build in releases.builds_for_driver((0, 33, 0), 535)] == ["cu129"]
    assert releases.cuda_builds((0, 33, 0))[0].compat_drivers == (535, 570)
    newest = releases.newest_for_driver(535)
    assert newest is not None and newest.name == "0.19.1"
    assert releases.newest_for_driver(390) is None


@pytest.mark.parametrize("table", ["arguments", "values", "short", "environment", "models"])
def test_a_table_never_adds_what_is_there_nor_drops_what_is_not(table: str) -> None:
    present: dict[str, str] = {}
    for _release, came, went in catalogue._changes(table):
        assert all(present.get(name) != value for name, value in came.items())
        assert all(name in present for name in went)
        present.update(came)
        for name in went:
            del present[name]
    assert present == catalogue.state(table, (9999,))


@pytest.mark.parametrize(
    ("architecture", "release", "kind"),
    [
        ("Qwen3ForCausalLM", (0, 8, 5), "text"),
        ("Qwen3_5ForConditionalGeneration", (0, 17, 0), "multimodal"),
        ("BertModel", (0, 33, 0), "embed"),
        ("Qwen3ForSequenceClassification", (0, 32, 0), "classify"),
        ("NoSuchForCausalLM", (0, 33, 0), None),
    ],
)
def test_what_a_model_is_for(architecture: str, release: tuple[int, ...], kind: str | None) -> None:
    assert use({"architectures": [architecture]}, release) == kind


@pytest.mark.parametrize(
    ("architecture", "release", "sentence"),
    [
        ("GptOssForCausalLM", (0, 9, 2), "0.10.1 is the first release that has"),
        ("Gemma4ForConditionalGeneration", (0, 18, 1), "0.19.0 is the first release that has"),
        ("NoSuchForCausalLM", (0, 33, 0), "No release of vLLM"),
    ],
)
def test_a_model_that_a_release_does_not_know_is_refused(
    architecture: str, release: tuple[int, ...], sentence: str
) -> None:
    config = {"architectures": [architecture]}
    with pytest.raises(PlanError) as caught:
        check_architecture(config, release)
    assert caught.value.code == "plan.unsupported_model" and sentence in caught.value.message
    assert "[plan.foreign_model]" in check_architecture(config, release, {"model-impl": "transformers"})[0]


@pytest.mark.parametrize("config", [{}, {"architectures": None}, {"architectures": "X"}, {"architectures": [1]}])
def test_a_config_without_architectures_is_left_to_its_reader(config: dict[str, Any]) -> None:
    assert check_architecture(config, (0, 33, 0)) == []


def test_needless_trust_of_scenarios_3_and_4_is_warned_about() -> None:
    config = {"architectures": ["Qwen3ForCausalLM"]}
    (remark,) = check_architecture(config, (0, 8, 5), {"trust-remote-code": True})
    assert remark.startswith("[plan.trust_remote_code]") and "leave it out" in remark


@pytest.mark.parametrize(
    ("name", "release", "sentence"),
    [
        ("VLLM_USE_V1", (0, 33, 0), "0.11.1 dropped it. Leave it out"),
        ("VLLM_ATTENTION_BACKEND", (0, 19, 0), "0.15.0 dropped it. Use attention-backend"),
        ("VLLM_USE_V2_MODEL_RUNNER", (0, 8, 5), "0.12.0 is the first that does"),
        ("VLLM_LOGING_LEVEL", (0, 33, 0), "Did you mean VLLM_LOGGING_LEVEL?"),
    ],
)
def test_a_variable_that_a_release_does_not_read_is_told(name: str, release: tuple[int, ...], sentence: str) -> None:
    (remark,) = lint_env({name: "1"}, release)
    assert remark.startswith("[plan.unknown_environment]") and sentence in remark


@pytest.mark.parametrize("name", ["VLLM_USE_MODELSCOPE", "VLLM_API_KEY", "HF_TOKEN", "CUDA_VISIBLE_DEVICES"])
def test_a_variable_that_a_unit_must_not_have_is_refused_without_its_value(name: str) -> None:
    with pytest.raises(PlanError) as caught:
        lint_env({name: "s3cret"}, (0, 33, 0))
    assert caught.value.code == "plan.refused_environment"
    assert "s3cret" not in caught.value.message + "".join(caught.value.remedies)


def test_other_variables_are_nobodys_business() -> None:
    assert lint_env({"NCCL_DEBUG": "INFO", "LC_ALL": "C.UTF-8", "VLLM_LOGGING_LEVEL": "DEBUG"}, (0, 33, 0)) == []
    assert lint_env({"VLLM_USE_V1": "1", "VLLM_ATTENTION_BACKEND": "FLASH_ATTN"}, (0, 8, 5)) == []


def test_a_refused_variable_is_told_before_any_host_is_asked() -> None:
    entry = {"name": "one", "model": {"id": "a/b"}, "env": {"VLLM_USE_MODELSCOPE": "1"}}
    (problem,) = deployment_problems({"vllm_deployments": [entry]}, 8000)
    assert problem.code == "plan.refused_environment"
