# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Values of engine arguments, read as vLLM's parser reads them."""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any

from ..errors import PlanError
from ..values import kind, shown

_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_MAXIMUM = 2**50
# The planner computes with these, and vLLM refuses anything lower.
_MINIMA = dict.fromkeys(
    (
        "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "max-num-seqs", "block-size",
        "num-gpu-blocks-override", "max-loras", "stream-interval",
    ),
    1,
)  # fmt: skip


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


def bad(name: str, wanted: str, found: Any, remedy: str = "Correct it.") -> PlanError:
    """The error for a value that is not what the argument takes."""
    return PlanError(
        "plan.bad_engine_argument",
        "engine_args.%s must be %s, not %s: %s." % (name, wanted, kind(found), shown(found)),
        (remedy,),
    )


def value(name: str, group: str, given: Any) -> Any:
    """``given`` as the kind ``group`` of the tables reads it; raises ``plan.bad_engine_argument``."""
    if group in ("flag", "switch"):
        if isinstance(given, str) and given.lower() in _BOOLEANS:
            return _BOOLEANS[given.lower()]
        if not isinstance(given, bool):
            raise bad(name, "true or false", given)
        return given
    if group.startswith("list_"):
        items = given if isinstance(given, list) else [given]
        return [value("%s[%d]" % (name, i), group[len("list_") :], item) for i, item in enumerate(items)]
    if isinstance(given, bool):
        raise bad(name, {"int": "an integer", "float": "a number"}.get(group, "text or a number"), given)
    if group == "int":
        return _integer(name, given)
    if group in ("size", "size_or_auto"):
        # -1 and auto are the longest context that fits: of releases that have it, not of a size as such.
        if group == "size_or_auto" and given in ("auto", "-1", -1):
            return -1
        size = parse_size(given) if isinstance(given, str) else given
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MAXIMUM:
            raise bad(name, "a positive integer or a size such as 4K (4096) or 4k (4000)", given)
        return size
    if group == "float":
        return _real(name, given)
    if group in ("json", "json_or_str"):
        return _tree(name, group, given)
    if isinstance(given, (str, int, float)):
        return given
    raise bad(name, "text", given)


def _integer(name: str, given: Any) -> int:
    if isinstance(given, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", given):
        given = int(given)
    if not isinstance(given, int):
        raise bad(name, "an integer", given)
    minimum = _MINIMA.get(name, -_MAXIMUM)
    if not minimum <= given <= _MAXIMUM:
        raise bad(name, "an integer from %d to %d" % (minimum, _MAXIMUM), given)
    return given


def _real(name: str, given: Any) -> float:
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            given = float(given)
    if not isinstance(given, (int, float)) or not math.isfinite(given):
        raise bad(name, "a number", given)
    if name == "gpu-memory-utilization" and not 0 < given <= 1:
        raise bad(name, "a share above 0 and at most 1", given)
    if name == "cpu-offload-gb" and given < 0:
        raise bad(name, "0 or more", given)
    return given


def _tree(name: str, group: str, given: Any) -> Any:
    if isinstance(given, str):
        try:
            read = json.loads(given, parse_constant=_no_number, parse_float=_finite)
        except (ValueError, RecursionError):
            read = None
        # A path or a word is text; a bare number or true is neither that nor a mapping.
        if isinstance(read, (dict, list)):
            return read
        if group == "json_or_str" and read is None:
            return given
    elif isinstance(given, (dict, list)):
        return given
    raise bad(name, "a mapping, or JSON text", given)


def _no_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
