# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Tool-call and reasoning parsers by model family, as vLLM 0.32 names them."""

from __future__ import annotations

from typing import Sequence

# First match wins: (start of the model_type, part of the lower-case model id or "", tool parser, reasoning parser).
_FAMILIES: Sequence[tuple[str, str, str, str]] = (
    ("qwen3_5", "", "qwen3_coder", "qwen3"),
    ("qwen3", "coder", "qwen3_coder", ""),
    ("qwen3", "instruct", "hermes", ""),
    ("qwen3", "", "hermes", "qwen3"),
    ("qwen2", "deepseek-r1", "hermes", "deepseek_r1"),
    ("llama", "deepseek-r1", "hermes", "deepseek_r1"),
    ("qwen2", "qwq", "hermes", "deepseek_r1"),
    ("qwen2", "", "hermes", ""),
    ("llama4", "", "llama4_pythonic", ""),
    ("llama", "llama-3", "llama3_json", ""),
    ("llama", "llama3", "llama3_json", ""),
    ("mistral", "", "mistral", ""),
    ("mixtral", "", "mistral", ""),
    ("deepseek_v3", "r1", "deepseek_v3", "deepseek_r1"),
    ("deepseek_v3", "v3.1", "deepseek_v31", "deepseek_v3"),
    ("deepseek_v3", "", "deepseek_v3", ""),
    ("kimi_k2", "", "kimi_k2", "kimi_k2"),
    ("gpt_oss", "", "openai", "openai_gptoss"),
    ("glm4_moe", "", "glm45", "glm45"),
    ("minimax_m2", "", "minimax_m2", "minimax_m2"),
    ("seed_oss", "", "seed_oss", "seed_oss"),
    ("ernie4_5", "", "ernie45", "ernie45"),
    ("granite", "", "granite", ""),
    ("olmo3", "think", "olmo3", "olmo3"),
    ("olmo3", "", "olmo3", ""),
    ("mimo", "", "mimo", "mimo"),
    ("phi3", "phi-4-mini", "phi4_mini_json", ""),
    ("apertus", "", "apertus", ""),
    ("hunyuan", "", "hunyuan_a13b", "hunyuan_a13b"),
    ("internlm", "", "internlm", ""),
)
FALLBACK_TOOL_PARSER = "hermes"


def parsers(family: str, model_id: str | None) -> tuple[str, str | None, bool]:
    """Tool parser, reasoning parser or None, and whether the table has the family (else the first is a guess)."""
    lowered = (model_id or "").lower()
    for start, part, tool, reasoning in _FAMILIES:
        if family.startswith(start) and part in lowered:
            return tool, reasoning or None, True
    return FALLBACK_TOOL_PARSER, None, False
