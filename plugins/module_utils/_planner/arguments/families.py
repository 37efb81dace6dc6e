# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What a family of models needs to be served as it was made: parsers, templates, thinking, sampling, by release."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from .catalogue import catalogue, first_with


class Family(NamedTuple):
    """``start`` of the model_type, ``part`` of the lower-case model id, then parsers, best first.

    ``template``: vLLM's own example template that tool calls need, because the model's brings no place for tools.
    ``switch``: the argument of the model's chat template that switches thinking, and what holds without it.
    """

    start: str
    part: str
    tools: tuple[str, ...]
    reasoning: tuple[str, ...] = ()
    template: str | None = None
    switch: tuple[str, bool] | None = None


class Parsers(NamedTuple):
    """What a release has for a model; ``tool_from``, ``reasoning_from``: the first release that has what it lacks."""

    tool: str | None
    reasoning: str | None
    known: bool
    family: Family | None
    tool_from: tuple[int, ...] | None = None
    reasoning_from: tuple[int, ...] | None = None


_THINKS = ("enable_thinking", True)
# First match wins. A model that only ever thinks (Qwen3's "thinking") starts in the middle of its thoughts, which
# Qwen3's own parser did not take in its first releases, and deepseek_r1 always did.
FAMILIES: Sequence[Family] = (
    Family("qwen3_5", "", ("qwen3_coder", "qwen3_xml"), ("qwen3",), None, _THINKS),
    Family("qwen3", "coder", ("qwen3_coder", "hermes")),
    Family("qwen3", "instruct", ("hermes",)),
    Family("qwen3", "thinking", ("hermes",), ("deepseek_r1",)),
    Family("qwen3", "", ("hermes",), ("qwen3", "deepseek_r1"), None, _THINKS),
    Family("qwen2", "deepseek-r1", ("hermes",), ("deepseek_r1",)),
    Family("llama", "deepseek-r1", ("hermes",), ("deepseek_r1",)),
    Family("qwen2", "qwq", ("hermes",), ("deepseek_r1",)),
    Family("qwen2", "", ("hermes",)),
    Family("llama4", "", ("llama4_pythonic", "pythonic")),
    Family("llama", "llama-3", ("llama3_json",)),
    Family("llama", "llama3", ("llama3_json",)),
    Family("mistral", "magistral", ("mistral",), ("mistral",)),
    Family("mistral", "", ("mistral",)),
    Family("mixtral", "", ("mistral",)),
    Family("deepseek_v3", "r1", ("deepseek_v3",), ("deepseek_r1",), "deepseekr1"),
    Family("deepseek_v3", "v3.1", ("deepseek_v31",), ("deepseek_v3",), "deepseekv31", ("thinking", False)),
    Family("deepseek_v32", "", ("deepseek_v32", "deepseek_v31"), ("deepseek_v3",), None, ("thinking", False)),
    Family("deepseek_v3", "", ("deepseek_v3",), (), "deepseekv3"),
    Family("deepseek_v4", "", ("deepseek_v4",), ("deepseek_v4",), None, ("thinking", False)),
    Family("deepseek_ref", "deepseek-v4", ("deepseek_v4",), ("deepseek_v4",), None, ("thinking", False)),
    Family("kimi_k25", "", ("kimi_k2",), ("kimi_k2",), None, ("thinking", True)),
    Family("kimi_k2", "thinking", ("kimi_k2",), ("kimi_k2", "deepseek_r1")),
    Family("kimi_k2", "", ("kimi_k2",)),
    Family("gpt_oss", "", ("openai",), ("openai_gptoss", "GptOss")),
    Family("glm_moe_dsa", "", ("glm47", "glm45"), ("glm47", "glm45"), None, _THINKS),
    Family("glm4_moe_lite", "", ("glm47", "glm45"), ("glm47", "glm45", "glm4_moe"), None, _THINKS),
    Family("glm4_moe", "4.7", ("glm47", "glm45"), ("glm47", "glm45", "glm4_moe"), None, _THINKS),
    Family("glm4_moe", "", ("glm45", "glm4_moe"), ("glm45", "glm4_moe"), None, _THINKS),
    Family("minimax_m3", "", ("minimax_m3",), ("minimax_m3",)),
    Family("minimax_m2", "", ("minimax_m2",), ("minimax_m2",)),
    Family("nemotron_h", "nemotron-3", ("qwen3_coder",), ("nemotron_v3",), None, _THINKS),
    Family("seed_oss", "", ("seed_oss",), ("seed_oss",)),
    Family("ernie4_5", "thinking", ("ernie45",), ("ernie45",)),
    Family("ernie4_5", "", ("ernie45",)),
    Family("granitemoehybrid", "", ("granite4", "hermes")),
    Family("granite", "", ("granite",)),
    Family("gemma4", "", ("gemma4",), ("gemma4",), None, ("enable_thinking", False)),
    Family("gemma3", "", ("pythonic",), (), "gemma3_pythonic"),
    Family("olmo3", "think", ("olmo3",), ("olmo3",)),
    Family("olmo3", "", ("olmo3",)),
    Family("mimo_v2", "", ("mimo", "qwen3_xml"), ("mimo", "qwen3"), None, ("enable_thinking", False)),
    Family("mimo", "", ("mimo", "hermes"), ("mimo", "deepseek_r1")),
    Family("step3p", "", ("step3p5",), ("step3p5",)),
    Family("step3", "", ("step3",), ("step3",)),
    Family("phi3", "phi-4-mini", ("phi4_mini_json",)),
    Family("hunyuan", "", ("hunyuan_a13b",), ("hunyuan_a13b",), None, _THINKS),
    Family("internlm", "", ("internlm",)),
    Family("exaone4", "", ("hermes",), ("deepseek_r1",), None, ("enable_thinking", False)),
    Family("smollm3", "", ("hermes",), ("qwen3",), None, _THINKS),
    Family("longcat_flash", "", ("longcat",)),
)
FALLBACK_TOOL_PARSER = "hermes"
# Sampling that the maker of a family recommends for answers without thoughts, where its generation_config.json holds
# what is right for answers with them.
PLAIN_SAMPLING = {"qwen3": {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.0}}


def parsers(family: str, model_id: str | None, version: tuple[int, ...]) -> Parsers:
    """The parsers of ``version`` for models of ``family`` (the model_type).

    ``known`` is whether anything is known about the family; else hermes, the commonest form, is a guess.
    """
    choices = catalogue(version).choices
    tools, thoughts = choices.get("tool-call-parser", ()), choices.get("reasoning-parser", ())
    found = find(family, model_id)
    if found is None:
        # Families that came later have parsers of their own name.
        own = family if family in tools else None
        return Parsers(own or FALLBACK_TOOL_PARSER, family if family in thoughts else None, own is not None, None)
    tool = next((name for name in found.tools if name in tools), None)
    reasoning = next((name for name in found.reasoning if name in thoughts), None)
    return Parsers(
        tool,
        reasoning,
        True,
        found,
        None if tool else _first("tool-call-parser", found.tools, version),
        None if reasoning else _first("reasoning-parser", found.reasoning, version),
    )


def find(family: str, model_id: str | None) -> Family | None:
    """What is known about the family of a model."""
    lowered = (model_id or "").lower()
    return next((entry for entry in FAMILIES if family.startswith(entry.start) and entry.part in lowered), None)


def _first(argument: str, names: tuple[str, ...], version: tuple[int, ...]) -> tuple[int, ...] | None:
    later = [first_with("values", "%s=%s" % (argument, name), version) for name in names]
    return min((found for found in later if found is not None), default=None)
