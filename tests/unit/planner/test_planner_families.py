"""Families: which parsers, template, thinking and sampling a model gets from which release."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner import releases
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments import families
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.catalogue import catalogue
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan


def test_every_parser_that_is_chosen_exists_in_its_release() -> None:
    for release in releases.RELEASES:
        choices = catalogue(release.version).choices
        assert families.FALLBACK_TOOL_PARSER in choices["tool-call-parser"]
        for entry in families.FAMILIES:
            found = families.parsers(entry.start, entry.part, release.version)
            assert found.tool is None or found.tool in choices["tool-call-parser"]
            assert found.reasoning is None or found.reasoning in choices["reasoning-parser"]


def test_every_parser_of_the_table_exists_somewhere() -> None:
    names = {"tool-call-parser": set(), "reasoning-parser": set()}
    for release in releases.RELEASES:
        for argument, found in names.items():
            found.update(catalogue(release.version).choices[argument])
    for entry in families.FAMILIES:
        assert set(entry.tools) <= names["tool-call-parser"], entry
        assert set(entry.reasoning) <= names["reasoning-parser"], entry


@pytest.mark.parametrize(
    ("family", "name", "release", "tool", "reasoning"),
    [
        ("qwen3", "Qwen/Qwen3-4B", (0, 8, 5), "hermes", "deepseek_r1"),
        ("qwen3", "Qwen/Qwen3-4B", (0, 9, 0), "hermes", "qwen3"),
        ("qwen3", "Qwen/Qwen3-4B", (0, 33, 0), "hermes", "qwen3"),
        ("qwen3", "Qwen/Qwen3-4B-Instruct-2507", (0, 32, 0), "hermes", None),
        ("qwen3", "Qwen/Qwen3-4B-Thinking-2507", (0, 32, 0), "hermes", "deepseek_r1"),
        ("qwen3_moe", "Qwen/Qwen3-Coder-480B-A35B-Instruct", (0, 32, 0), "qwen3_coder", None),
        ("qwen3_moe", "Qwen/Qwen3-Coder-480B-A35B-Instruct", (0, 9, 2), "hermes", None),
        ("qwen2", "Qwen/Qwen2.5-7B-Instruct", (0, 32, 0), "hermes", None),
        ("llama", "meta-llama/Llama-3.1-8B-Instruct", (0, 32, 0), "llama3_json", None),
        ("llama", "HuggingFaceTB/SmolLM2-135M-Instruct", (0, 32, 0), "hermes", None),
        ("gpt_oss", None, (0, 32, 0), "openai", "openai_gptoss"),
        ("gpt_oss", None, (0, 10, 1), None, "GptOss"),
        ("deepseek_v3", "deepseek-ai/DeepSeek-R1", (0, 32, 0), "deepseek_v3", "deepseek_r1"),
        ("deepseek_v3", "deepseek-ai/DeepSeek-R1", (0, 8, 5), None, "deepseek_r1"),
        ("glm4_moe", "zai-org/GLM-4.5-Air", (0, 10, 0), "glm4_moe", "glm4_moe"),
        ("glm4_moe", "zai-org/GLM-4.5-Air", (0, 10, 1), "glm45", "glm45"),
        ("llama4", None, (0, 8, 5), "pythonic", None),
        ("kimi_k3", None, (0, 27, 0), "kimi_k3", "kimi_k3"),
        ("inkling", None, (0, 33, 0), "inkling", "inkling"),
    ],
)
def test_parsers_by_family_and_release(
    family: str, name: str | None, release: tuple[int, ...], tool: str | None, reasoning: str | None
) -> None:
    found = families.parsers(family, name, release)
    assert (found.tool, found.reasoning) == (tool, reasoning)


def _planned(request: dict[str, Any], release: str, config: dict[str, Any] | None = None, **args: Any) -> Any:
    request = copy.deepcopy(request)
    request["vllm_version"] = release
    entry = request["deployments"][0]
    entry["engine_args"] = {key.replace("_", "-"): value for key, value in args.items()}
    entry["model"]["config"].update(config or {})
    answer = plan(request)
    assert answer["errors"] == []
    return answer["instances"][0]


def test_thoughts_need_a_flag_in_0_8_5_only(cpu_request: dict[str, Any]) -> None:
    old = _planned(cpu_request, "0.8.5.post1")["settings"]
    assert (old["enable-reasoning"], old["reasoning-parser"]) == (True, "deepseek_r1")
    for release in ("0.9.0", "0.32.0"):
        new = _planned(cpu_request, release)["settings"]
        assert "enable-reasoning" not in new and new["reasoning-parser"] == "qwen3"


def test_how_thinking_is_switched_is_said_and_not_changed(cpu_request: dict[str, Any]) -> None:
    for release, words in (("0.13.0", "no setting that changes it for all"), ("0.14.0", "{enable_thinking: false}")):
        instance = _planned(cpu_request, release)
        assert "default-chat-template-kwargs" not in instance["settings"]
        found = [d for d in instance["decisions"] if d["setting"] == "default-chat-template-kwargs"]
        assert found[0]["source"] == "default" and words in found[0]["reason"]


def test_sampling_is_the_models_unless_thinking_is_switched_off(cpu_request: dict[str, Any]) -> None:
    assert "override-generation-config" not in _planned(cpu_request, "0.32.0")["settings"]
    off = {"default_chat_template_kwargs": {"enable_thinking": False}}
    settings = _planned(cpu_request, "0.32.0", **off)["settings"]
    assert settings["override-generation-config"]["temperature"] == 0.7
    own = _planned(cpu_request, "0.32.0", **off, override_generation_config={"top_k": 1})["settings"]
    assert own["override-generation-config"] == {"top_k": 1}


def test_a_release_without_the_parser_says_which_has_it() -> None:
    found = families.parsers("deepseek_v3", "deepseek-ai/DeepSeek-V3", (0, 8, 5))
    assert found.tool is None and found.tool_from == (0, 9, 0)


def test_the_users_parser_wins_and_tools_can_be_switched_off(cpu_request: dict[str, Any]) -> None:
    settings = _planned(cpu_request, "0.32.0", tool_call_parser="pythonic")["settings"]
    assert settings["tool-call-parser"] == "pythonic" and settings["enable-auto-tool-choice"] is True
    assert "tool-call-parser" not in _planned(cpu_request, "0.32.0", enable_auto_tool_choice=False)["settings"]
