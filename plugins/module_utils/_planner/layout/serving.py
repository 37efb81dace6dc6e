# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Settings of the API server that depend on the model and the release, not on the memory."""

from __future__ import annotations

from typing import Any, Mapping

from ..arguments.catalogue import catalogue, dotted
from ..arguments.families import FALLBACK_TOOL_PARSER, PLAIN_SAMPLING, Parsers, parsers
from ..errors import warning
from ..model.info import ModelInfo
from ..settings import Settings


def decide_serving(settings: Settings, model: ModelInfo, model_id: str | None, version: tuple[int, ...]) -> None:
    """Tool calls, thoughts and sampling: chat pages send tools, which vLLM answers with 400 unless a parser is set."""
    found = parsers(model.family, model_id, version)
    if _wants_tools(settings.user) and (found.tool is not None or "tool-call-parser" in settings.user):
        settings.decide(
            "enable-auto-tool-choice", True, "Chat pages send tools; without it vLLM refuses such requests."
        )
        settings.decide(
            "tool-call-parser",
            found.tool,
            "The form in which models of type %s write tool calls." % model.family
            if found.known
            else "Models of type %s have no parser of their own; %s is the commonest form."
            % (model.family, FALLBACK_TOOL_PARSER),
        )
    if found.reasoning is not None or "reasoning-parser" in settings.user:
        settings.decide(
            "reasoning-parser",
            found.reasoning,
            "The model thinks first; this keeps the thoughts apart from the answer.",
        )
        release = catalogue(version)
        if "enable-reasoning" in release.kinds and "enable-reasoning" not in release.deprecated:
            reason = "vLLM %s reads thoughts only with it; later releases need the parser alone." % dotted(version)
            settings.decide("enable-reasoning", True, reason)
    _decide_thinking(settings, found, version)
    _decide_sampling(settings, model)


def serving_warnings(
    user: Mapping[str, Any], model: ModelInfo, model_id: str | None, version: tuple[int, ...]
) -> list[str]:
    """What the release lacks for the model, and what the model itself lacks, where it answers in words at all."""
    if user.get("runner") == "pooling" or user.get("convert", "auto") not in ("auto", "none"):
        return []
    found = parsers(model.family, model_id, version)
    out = []
    if found.tool is None and found.tool_from is not None and "tool-call-parser" not in user:
        text = "vLLM %s cannot read the tool calls of this model; %s is the first release that can." % (
            dotted(version),
            dotted(found.tool_from),
        )
        out.append(warning("plan.no_tool_parser", text))
    if found.reasoning is None and found.reasoning_from is not None and "reasoning-parser" not in user:
        text = "vLLM %s cannot tell the thoughts of this model from its answer; %s is the first release that can." % (
            dotted(version),
            dotted(found.reasoning_from),
        )
        out.append(warning("plan.no_reasoning_parser", text))
    template = found.family.template if found.family else None
    if template and found.tool and _wants_tools(user) and "chat-template" not in user:
        text = (
            "tool calls of this model are read well only with vLLM's examples/tool_chat_template_%s.jinja; put it "
            "where the engine may read it and set chat-template." % template
        )
        out.append(warning("plan.chat_template", text))
    return out


def _wants_tools(user: Mapping[str, Any]) -> bool:
    return user.get("enable-auto-tool-choice", True) is not False


def _decide_thinking(settings: Settings, found: Parsers, version: tuple[int, ...]) -> None:
    """Say how thinking is switched; the model's own default stays."""
    switch = found.family.switch if found.family else None
    if switch is None:
        return
    name, value = switch
    key = "default-chat-template-kwargs"
    if key in settings.user:
        return
    everyone = (
        "%s: {%s: %s} changes it for all" % (key, name, "false" if value else "true")
        if key in catalogue(version).kinds
        else "vLLM %s has no setting that changes it for all" % dotted(version)
    )
    reason = "The model %s unless a request's chat_template_kwargs has %s: %s; %s." % (
        "thinks" if value else "does not think",
        name,
        "false" if value else "true",
        everyone,
    )
    settings.decisions.append({"setting": key, "value": {name: value}, "source": "default", "reason": reason})


def _decide_sampling(settings: Settings, model: ModelInfo) -> None:
    """What requests get that name no sampling: the model's generation_config.json, unless it is for another mode."""
    settings.decide(
        "generation-config",
        "auto",
        "Temperature and the like come from the model's generation_config.json where a request names none.",
        "default",
    )
    kwargs = settings.user.get("default-chat-template-kwargs")
    plain = next((value for start, value in PLAIN_SAMPLING.items() if model.family.startswith(start)), None)
    off = isinstance(kwargs, Mapping) and kwargs.get("enable_thinking") is False
    if plain and off and settings.user.get("generation-config", "auto") == "auto":
        settings.decide(
            "override-generation-config",
            dict(plain),
            "Thinking is switched off, and the model's generation_config.json holds the sampling for thinking.",
        )
