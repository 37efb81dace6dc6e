# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Engine arguments of the user, checked against the release before anything is touched."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from typing import Any, Mapping

from ..errors import PlanError
from ..values import kind, shown
from . import release_0_32
from .retired import REFUSED_VALUES, REMOVED, RESERVED

# Catalogues by release; a release between two is checked against the nearest lower one, older ones against the oldest.
CATALOGUES: dict[tuple[int, ...], Any] = {(0, 32, 0): release_0_32}
_KIND: dict[tuple[int, ...], dict[str, str]] = {
    version: {name: key for key, names in catalogue.KINDS.items() for name in names}
    for version, catalogue in CATALOGUES.items()
}
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def lint(arguments: Mapping[str, Any], version: tuple[int, ...]) -> tuple[dict[str, Any], list[str]]:
    """Arguments as vLLM will read them (sizes in numbers, harmless strings converted), and remarks.

    Raises PlanError ``plan.reserved_engine_argument``, ``plan.removed_engine_argument``,
    ``plan.unknown_engine_argument`` or ``plan.bad_engine_argument``. A null value means vLLM's default.
    """
    release = _catalogue(version)
    out: dict[str, Any] = {}
    remarks: list[str] = []
    for raw, value in arguments.items():
        name = _name(raw, release, version)
        if value is None:
            continue
        if name in out:
            raise PlanError("plan.bad_engine_argument", "engine_args has %s twice, in two spellings." % name)
        group = _KIND[release].get(name.split(".")[0])
        if group is None:
            remarks.append(
                "engine_args: %s is not known to vLLM 0.32; release %s was not checked for it."
                % (name, _dotted(version))
            )
            out[name] = value
            continue
        checked = value if "." in name else _value(name, group, value)
        _check_choice(name, checked, release, arguments)
        _check_refused(name, checked, version)
        if not (group == "switch" and checked is False):
            out[name] = checked
    if out.get("trust-remote-code"):
        remarks.append("engine_args: trust-remote-code runs code that comes with the model.")
    return out, remarks


def kind_of(name: str, version: tuple[int, ...]) -> str | None:
    """The kind of value that argument ``name`` takes, None where the catalogue does not have it."""
    return _KIND[_catalogue(version)].get(name)


def parse_size(text: str) -> int | None:
    """``4K`` is 4096, ``4k`` is 4000, ``1.5k`` is 1500; None for anything else."""
    text = text.strip()
    match = re.fullmatch(r"([0-9]{1,18})(\.[0-9]{1,9})?([kKmMgGtT])?", text)
    if match is None:
        return None
    whole, fraction, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(float(whole + (fraction or "")) * _DECIMAL[suffix])
    if fraction:
        return None
    return int(whole) * _BINARY.get(suffix, 1)


def _catalogue(version: tuple[int, ...]) -> tuple[int, ...]:
    return max([release for release in CATALOGUES if release <= version] or [min(CATALOGUES)])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _name(raw: str, release: tuple[int, ...], version: tuple[int, ...]) -> str:
    """The long name of an argument, or the error that says what to write instead."""
    kinds, short = _KIND[release], CATALOGUES[release].SHORT
    name = raw.replace("_", "-") if "." not in raw else raw
    base = name.split(".")[0]
    if base in RESERVED:
        reason, remedy = RESERVED[base]
        raise PlanError("plan.reserved_engine_argument", "engine_args has %s. %s." % (raw, reason), (remedy + ".",))
    if base in kinds and ("." not in name or kinds[base].startswith("json")):
        return name
    if base in REMOVED:
        since, remedy = REMOVED[base]
        if since is None or version >= since:
            raise PlanError(
                "plan.removed_engine_argument",
                "engine_args has %s, which vLLM %s no longer knows." % (raw, _dotted(version)),
                (remedy + ".",),
            )
        return name
    stripped = name.lstrip("-")
    negated = stripped[3:] if stripped.startswith("no-") else ""
    if negated in kinds:
        remedy = "Write %s: false." % negated
    elif stripped in kinds:
        remedy = "Write it without dashes in front: %s." % stripped
    elif stripped in short:
        remedy = "Write its long name: %s." % short[stripped]
    else:
        # A prefix that argparse would complete counts as the nearest name: --max-num-seq is --max-num-seqs. A release
        # without a catalogue of its own may know more names, so there only what looks like a slip is refused.
        exact = release == version
        near = [entry for entry in kinds if len(stripped) > 3 and entry.startswith(stripped)]
        near = near or difflib.get_close_matches(stripped, kinds, 1, 0.6 if exact else 0.9)
        if not near and not exact:
            return name
        remedy = "Did you mean %s?" % min(near, key=len) if near else "Remove it."
    raise PlanError(
        "plan.unknown_engine_argument",
        "engine_args has %s, which vLLM %s does not know." % (raw, _dotted(version)),
        (remedy,),
    )


def _bad(name: str, wanted: str, value: Any, remedy: str = "Correct it.") -> PlanError:
    return PlanError(
        "plan.bad_engine_argument",
        "engine_args.%s must be %s, not %s: %s." % (name, wanted, kind(value), shown(value)),
        (remedy,),
    )


def _value(name: str, group: str, value: Any) -> Any:
    """``value`` as the kind ``group`` of the catalogue reads it."""
    if group in ("flag", "switch"):
        if isinstance(value, str) and value.lower() in _BOOLEANS:
            return _BOOLEANS[value.lower()]
        if not isinstance(value, bool):
            raise _bad(name, "true or false", value)
        return value
    if group.startswith("list_"):
        items = value if isinstance(value, list) else [value]
        return [_value("%s[%d]" % (name, i), group[len("list_") :], item) for i, item in enumerate(items)]
    if isinstance(value, bool):
        raise _bad(name, {"int": "an integer", "float": "a number"}.get(group, "text or a number"), value)
    if group == "int":
        return _integer(name, value)
    if group in ("size", "size_or_auto"):
        if group == "size_or_auto" and value in ("auto", "-1", -1):
            return -1
        size = parse_size(value) if isinstance(value, str) else value
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MAXIMUM:
            raise _bad(name, "a positive integer or a size such as 4K (4096) or 4k (4000)", value)
        return size
    if group == "float":
        return _real(name, value)
    if group in ("json", "json_or_str"):
        return _tree(name, group, value)
    if isinstance(value, (str, int, float)):
        return value
    raise _bad(name, "text", value)


def _integer(name: str, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        value = int(value)
    if not isinstance(value, int):
        raise _bad(name, "an integer", value)
    minimum = _MINIMA.get(name, -_MAXIMUM)
    if not minimum <= value <= _MAXIMUM:
        raise _bad(name, "an integer from %d to %d" % (minimum, _MAXIMUM), value)
    return value


def _real(name: str, value: Any) -> float:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if not isinstance(value, (int, float)):
        raise _bad(name, "a number", value)
    if name == "gpu-memory-utilization" and not 0 < value <= 1:
        raise _bad(name, "a share above 0 and at most 1", value)
    return value


def _tree(name: str, group: str, value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            if group == "json_or_str":
                return value
    elif isinstance(value, (dict, list)):
        return value
    raise _bad(name, "a mapping, or JSON text", value)


_MAXIMUM = 2**50
# The planner computes with these, and vLLM refuses anything lower.
_MINIMA = dict.fromkeys(
    ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "max-num-seqs", "block-size"), 1
)


def _check_choice(name: str, value: Any, release: tuple[int, ...], arguments: Mapping[str, Any]) -> None:
    choices = CATALOGUES[release].CHOICES.get(name)
    if choices is None or any(plugin in arguments for plugin in _PLUGINS.get(name, ())):
        return
    for entry in value if isinstance(value, list) else [value]:
        if entry not in choices and str(entry) not in [str(choice) for choice in choices]:
            near = difflib.get_close_matches(str(entry), [str(choice) for choice in choices], 1, 0.5)
            raise _bad(
                name,
                "one of %s" % ", ".join(str(choice) for choice in choices),
                entry,
                "Did you mean %s?" % near[0] if near else "Choose one of them.",
            )


_PLUGINS = {"tool-call-parser": ("tool-parser-plugin",), "reasoning-parser": ("reasoning-parser-plugin",)}


def _check_refused(name: str, value: Any, version: tuple[int, ...]) -> None:
    if isinstance(value, (str, int)) and (name, value) in REFUSED_VALUES:
        since, remedy = REFUSED_VALUES[(name, str(value))]
        if version >= since:
            raise PlanError(
                "plan.bad_engine_argument",
                "engine_args.%s is %s, which vLLM %s refuses." % (name, value, _dotted(version)),
                (remedy + ".",),
            )
