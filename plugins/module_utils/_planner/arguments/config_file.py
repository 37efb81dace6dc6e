# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Settings as vLLM's configuration file must spell them, so that they arrive as they are meant."""

from __future__ import annotations

import json
from typing import Any, Mapping

from .. import releases
from ..errors import PlanError
from .catalogue import kind_of

LISTS = (0, 10, 2)  # the first reader that spreads a list over several arguments; older ones write Python's own form
MAPPINGS = (0, 16, 0)  # the first reader that writes a mapping as JSON; older ones write Python's own form
LITERALS = frozenset(("compilation-config",))  # 0.8.5 reads it as Python, whose False is no JSON
APPENDED = frozenset(("middleware",))  # one value each time they are named, and a file names them once


def config_file(settings: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The content of config.yaml for ``settings``, sorted by name.

    vLLM turns the file into a command line before it knows its sub-command's options, and so loses things. In every
    release a false flag is dropped without a word: it must be written ``no-<name>: true``. A list is spread over
    several arguments where one JSON text is expected. A dotted name with a boolean loses its value: it is put into the
    mapping. What only old releases lose stands at LISTS and MAPPINGS; ``check_file`` refuses what none can be told.
    """
    release, _warning = releases.resolve(version)
    out: dict[str, Any] = {}
    for name, value in nested(settings).items():
        kind = kind_of(name, release) or ""
        if kind == "flag" and value is False:
            out["no-" + name] = True
        elif isinstance(value, Mapping) and release < MAPPINGS:
            out[name] = repr(value) if name in LITERALS and release < (0, 9) else json.dumps(value)
        elif isinstance(value, list) and kind.startswith("json"):
            out[name] = json.dumps(value)
        elif isinstance(value, list) and len(value) == 1 and release < LISTS:
            out[name] = value[0]
        else:
            out[name] = value
    return {name: out[name] for name in sorted(out)}


def check_file(settings: Mapping[str, Any], version: tuple[int, ...]) -> None:
    """Raise PlanError ``plan.bad_engine_argument`` for what the release's reader of the file cannot be told."""
    for name, value in settings.items():
        kind = kind_of(name, version) or ""
        several = isinstance(value, list) and len(value) > 1 and kind.startswith("list_")
        if several and (version < LISTS or name in APPENDED):
            raise PlanError(
                "plan.bad_engine_argument",
                "engine_args.%s has %d values, and vLLM %s takes one from its configuration file."
                % (name, len(value), ".".join(str(part) for part in version)),
                ("Give one.",) + (() if name in APPENDED else ("Use vLLM 0.10.2 or newer.",)),
            )
        if isinstance(value, str) and value.startswith("-"):
            raise PlanError(
                "plan.bad_engine_argument",
                "engine_args.%s begins with a dash, which vLLM takes for the next argument." % name,
                ("Write it without the dash.",),
            )


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with every dotted name put into the mapping that it is a part of."""
    out: dict[str, Any] = {name: value for name, value in settings.items() if "." not in name}
    for dotted, value in settings.items():
        if "." not in dotted:
            continue
        name, *parts = dotted.split(".")
        place = out[name] = dict(out[name]) if isinstance(out.get(name), Mapping) else {}
        for part in parts[:-1]:
            place[part] = dict(place[part]) if isinstance(place.get(part), Mapping) else {}
            place = place[part]
        place[parts[-1]] = value
    return out
