# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Engine arguments of the user, checked against the exact release before anything is touched."""

from __future__ import annotations

import difflib
from typing import Any, Mapping

from ..errors import PlanError, warning
from . import naming, reading
from .catalogue import catalogue, dotted, first_with, gone_since, kind_of, state
from .config_file import check_file
from .reading import parse_size
from .retired import REFUSED_VALUES

__all__ = ["kind_of", "lint", "parse_size"]

_PLUGINS = {"tool-call-parser": ("tool-parser-plugin",), "reasoning-parser": ("reasoning-parser-plugin",)}
_NEWEST = state("arguments", (9999,))
# Looked up without regard to case, and a word that means "your choice" where the tables have only names.
_ANY_CASE = frozenset(("attention-backend", "mm-encoder-attn-backend"))


def lint(arguments: Mapping[str, Any], version: tuple[int, ...]) -> tuple[dict[str, Any], list[str]]:
    """Arguments as vLLM will read them (long names, sizes in numbers, harmless strings converted), and remarks.

    What has one meaning only is corrected, with a remark that starts with ``[plan.corrected_engine_argument]``.
    Raises PlanError ``plan.reserved_engine_argument``, ``plan.removed_engine_argument``,
    ``plan.unknown_engine_argument``, ``plan.duplicate_engine_argument`` or ``plan.bad_engine_argument``. A null value
    means vLLM's default.
    """
    release = catalogue(version)
    out: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    remarks: list[str] = []
    for raw, given in arguments.items():
        name, value = naming.long_name(raw, given, release, version, remarks)
        if value is None:
            continue
        group = _group(release.kinds[name.partition(".")[0]], name)
        checked = value if "." in name else reading.value(name, group, value)
        if name in spelled:
            if out.get(name, False) != checked:
                raise PlanError(
                    "plan.duplicate_engine_argument",
                    "engine_args has %s twice, as %s and as %s, with different values." % (name, spelled[name], raw),
                    ("Keep one of them.",),
                )
            text = "engine_args has %s twice, as %s and as %s; once is enough." % (name, spelled[name], raw)
            remarks.append(warning("plan.duplicate_engine_argument", text))
            continue
        spelled[name] = raw
        _check_choice(name, checked, release.choices.get(name), arguments, version)
        _check_refused(name, checked, version)
        if name in release.deprecated:
            instead = naming.remedy(name, release) or "It will go"
            text = "engine_args: %s is deprecated in vLLM %s. %s." % (name, dotted(version), instead)
            remarks.append(warning("plan.deprecated_engine_argument", text))
        if not (group == "switch" and checked is False):
            out[name] = checked
    check_file(out, version)
    return out, remarks


def _group(kind: str, name: str) -> str:
    """Old releases took plain integers where newer ones take 4K; config.yaml gets the number either way."""
    return "size" if kind == "int" and _NEWEST.get(name) == "size" else kind


def _check_choice(
    name: str,
    value: Any,
    choices: tuple[str, ...] | None,
    arguments: Mapping[str, Any],
    version: tuple[int, ...],
) -> None:
    if choices is None or any(plugin in arguments for plugin in _PLUGINS.get(name, ())):
        return
    for entry in value if isinstance(value, list) else [value]:
        text = str(entry)
        if text in choices or (name in _ANY_CASE and (text.upper() in choices or text.lower() == "auto")):
            continue
        key = "%s=%s" % (name, text)
        later, gone = first_with("values", key, version), gone_since("values", key, version)
        near = difflib.get_close_matches(text, choices, 1, 0.5)
        remedy = "Did you mean %s?" % near[0] if near and gone is None else "Choose one of them."
        if later is not None:
            remedy = "vLLM %s is the first that has it. %s" % (dotted(later), remedy)
        elif gone is not None:
            instead = REFUSED_VALUES.get((name, text), (gone, "Choose one of them"))[1]
            remedy = "vLLM %s dropped it. %s." % (dotted(gone), instead)
        raise reading.bad(name, "one of %s in vLLM %s" % (", ".join(choices), dotted(version)), entry, remedy)


def _check_refused(name: str, value: Any, version: tuple[int, ...]) -> None:
    if isinstance(value, (str, int)) and (name, value) in REFUSED_VALUES:
        since, remedy = REFUSED_VALUES[(name, str(value))]
        if version >= since:
            raise PlanError(
                "plan.bad_engine_argument",
                "engine_args.%s is %s, which vLLM %s refuses." % (name, value, dotted(version)),
                (remedy + ".",),
            )
