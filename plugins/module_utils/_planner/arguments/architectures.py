# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Which releases have a model for an architecture."""

from __future__ import annotations

from typing import Any, Mapping

from ..errors import PlanError, warning
from .catalogue import dotted, first_with, gone_since, state

_LATEST = (9999,)


def names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """``architectures`` of config.json, as far as it is a list of names."""
    found = config.get("architectures")
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def use(config: Mapping[str, Any], version: tuple[int, ...]) -> str | None:
    """What the release's model is for: text, multimodal, embed, classify, draft or transformers; None: it has none."""
    known = state("models", version)
    return next((known[name] for name in names(config) if name in known), None)


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
    if user.get("trust-remote-code") and native:
        text = "vLLM %s has its own model for %s: trust-remote-code is not needed for it. Leave it out." % (
            dotted(version),
            wanted[0],
        )
        return [warning("plan.needless_trust_remote_code", text)]
    if native or not wanted or user.get("hf-overrides") or user.get("config-format") == "mistral":
        return []
    if user.get("model-impl") in ("transformers", "terratorch"):
        text = "vLLM %s has no model of its own for %s; model-impl: %s is taken at its word." % (
            dotted(version),
            wanted[0],
            user["model-impl"],
        )
        return [warning("plan.foreign_model", text)]
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
