# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Settings of the API server that depend on the model, not on the memory."""

from __future__ import annotations

from ..arguments.families import FALLBACK_TOOL_PARSER, parsers
from ..model.info import ModelInfo
from ..settings import Settings


def decide_serving(settings: Settings, model: ModelInfo, model_id: str | None) -> None:
    """Tool calls and reasoning: chat pages send tools, which vLLM answers with 400 unless a parser is set."""
    tool, reasoning, known = parsers(model.family, model_id)
    if settings.user.get("enable-auto-tool-choice", True) is not False:
        settings.decide(
            "enable-auto-tool-choice", True, "Chat pages send tools; without it vLLM refuses such requests."
        )
        settings.decide(
            "tool-call-parser",
            tool,
            "The form in which models of type %s write tool calls." % model.family
            if known
            else "Models of type %s have no parser of their own; %s is the commonest form."
            % (model.family, FALLBACK_TOOL_PARSER),
        )
    if reasoning is not None:
        settings.decide(
            "reasoning-parser", reasoning, "The model thinks first; this keeps the thoughts apart from the answer."
        )
