# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Which releases have a model for an architecture."""

from __future__ import annotations

from typing import Any, Mapping

from ..errors import PlanError, warning
from .catalogue import dotted, first_with, gone_since, state

_ADAPTS = (0, 10, 0)  # the first release that turns a model for text into one that embeds or classifies
_SUFFIXES = {
    "ForCausalLM": "text",
    "ForConditionalGeneration": "text",
    "ChatModel": "text",
    "LMHeadModel": "text",
    "ForTextEncoding": "embed",
    "EmbeddingModel": "embed",
    "ForSequenceClassification": "classify",
    "ForTokenClassification": "classify",
    "ClassificationModel": "classify",
    "ForRewardModeling": "classify",
    "RewardModel": "classify",
    "Model": "embed",
}


def names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """``architectures`` of config.json, as far as it is a list of names."""
    found = config.get("architectures")
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def _native(name: str, version: tuple[int, ...]) -> str | None:
    """The use of the model that the release has for ``name`` itself, or makes out of a related one."""
    known = state("models", version)
    if name in known or version < _ADAPTS:
        return known.get(name)
    suffix = next((entry for entry in _SUFFIXES if name.endswith(entry)), None)
    if suffix is not None and any(name[: -len(suffix)] + other in known for other in _SUFFIXES):
        return _SUFFIXES[suffix]
    return None


def use(config: Mapping[str, Any], version: tuple[int, ...]) -> str | None:
    """What the release's model is for: text, multimodal, embed, classify, draft or transformers; None: it has none."""
    found = (_native(name, version) for name in names(config))
    return next((entry for entry in found if entry is not None), None)


def check_architecture(
    config: Mapping[str, Any], version: tuple[int, ...], user: Mapping[str, Any] | None = None
) -> list[str]:
    """Remarks on how the release runs the model; raises PlanError ``plan.unsupported_model`` where it cannot.

    A model that Transformers brings itself runs with ``model-impl: transformers``; that is the user's to say, because
    only the installed Transformers knows.
    """
    user = user or {}
    wanted = names(config)
    native = use(config, version) is not None
    remarks = []
    if user.get("trust-remote-code"):
        text = "engine_args: trust-remote-code runs code that comes with the model."
        if native:
            text += " vLLM %s has its own model for %s and does not need it: leave it out." % (
                dotted(version),
                wanted[0],
            )
        remarks.append(warning("plan.trust_remote_code", text))
    if native or not wanted or user.get("hf-overrides") or user.get("config-format") == "mistral":
        return remarks
    if user.get("model-impl") in ("transformers", "terratorch"):
        text = "vLLM %s has no model of its own for %s; model-impl: %s is taken at its word." % (
            dotted(version),
            wanted[0],
            user["model-impl"],
        )
        return [*remarks, warning("plan.foreign_model", text)]
    raise _unsupported(wanted, version)


def _unsupported(wanted: tuple[str, ...], version: tuple[int, ...]) -> PlanError:
    name = wanted[0]
    later = [found for found in (first_with("models", entry, version) for entry in wanted) if found]
    if later:
        first = dotted(min(later))
        return PlanError(
            "plan.unsupported_model",
            "vLLM %s has no model for %s; %s is the first release that has." % (dotted(version), name, first),
            ("Use vLLM %s or newer." % first, "Choose another model."),
        )
    gone = gone_since("models", name, version)
    if gone is not None:
        return PlanError(
            "plan.unsupported_model",
            "vLLM %s has no model for %s any more; %s dropped it." % (dotted(version), name, dotted(gone)),
            ("Use a release before %s." % dotted(gone), "Choose another model."),
        )
    return PlanError(
        "plan.unsupported_model",
        "No release of vLLM up to the newest known has a model for %s." % name,
        ("Choose another model.", "If Transformers has it, set model-impl: transformers."),
    )
