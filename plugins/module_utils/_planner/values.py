# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Strict readers of untrusted values: each returns a plain builtin or raises InvalidRequest naming the path."""

from __future__ import annotations

import math
from typing import Any, Iterable, Mapping, Sequence, Union

from .errors import InvalidRequest, escaped

MAX_INT = 2**63 - 1
MAX_DEPTH = 32
_PROSE = ("gpu_reason", "gpu_remedy")  # what the driver says may have lines of its own
MAX_NODES = 200_000


def kind(value: Any) -> str:
    """The name that a writer of YAML or JSON has for the type of ``value``."""
    if value is None:
        return "null"
    for types, name in ((bool, "a boolean"), (int, "an integer"), (float, "a number"), (str, "a string")):
        if isinstance(value, types):
            return name
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    return type(value).__name__


def shown(value: Any) -> str:
    """``value`` short enough for an error message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_ATOMS = frozenset((str, int, bool, type(None)))
# A place in a tree: the place above it and the key or position there; None is the tree itself.
_Place = Union[tuple[Any, Union[str, int]], None]


def _shown_place(place: _Place) -> str:
    keys: list[str | int] = []
    while place is not None:
        place, key = place
        keys.append(key)
    path = "".join("[%d]" % key if isinstance(key, int) else ".%s" % key for key in reversed(keys))
    return path.lstrip(".") or "request"


def plain(value: Any) -> Any:
    """A copy made of builtin types only (Ansible hands over tagged subclasses); refuses cycles, NaN and huge trees."""
    left = MAX_NODES

    def walk(item: Any, place: _Place, depth: int, free: bool) -> Any:
        nonlocal left
        left -= 1
        if depth > MAX_DEPTH:
            raise InvalidRequest("%s: nested deeper than %d levels (a cycle?)" % (_shown_place(place), MAX_DEPTH))
        if left < 0:
            raise InvalidRequest("%s: more than %d values" % (_shown_place(place), MAX_NODES))
        if type(item) in _ATOMS:
            return item
        if isinstance(item, dict):
            out = {}
            for key, entry in item.items():
                if not isinstance(key, str):
                    raise InvalidRequest("%s: key %s is not a string" % (_shown_place(place), shown(key)))
                if key == "tensors" and not free and isinstance(entry, Mapping):
                    out[key] = entry  # headers of a large model: read once, by whoever knows their form
                    continue
                out[str(key)] = walk(entry, (place, key), depth + 1, free or key == "config")
            return out
        if isinstance(item, (list, tuple)):
            return [walk(entry, (place, position), depth + 1, free) for position, entry in enumerate(item)]
        if isinstance(item, float):
            # A model's config may hold Infinity (Python writes it so); what the planner reads of it is checked there.
            if not math.isfinite(item) and not free:
                raise InvalidRequest("%s: %r is not a finite number" % (_shown_place(place), item))
            return float(item)
        for builtin in (bool, int, str):
            if isinstance(item, builtin):
                return builtin(item)
        if isinstance(item, Mapping):
            return walk(dict(item), place, depth, free)
        raise InvalidRequest("%s: values of type %s are not understood" % (_shown_place(place), type(item).__name__))

    return walk(value, None, 0, False)


def mapping(value: Any, path: str, required: Iterable[str] = (), optional: Iterable[str] | None = ()) -> dict[str, Any]:
    """``value`` as a dict that has all ``required`` keys and, unless ``optional`` is None, no unknown one."""
    if not isinstance(value, Mapping):
        raise InvalidRequest("%s must be an object, not %s" % (path, kind(value)))
    required = tuple(required)
    for key in required:
        if key not in value:
            raise InvalidRequest("%s lacks the key '%s'" % (path, key))
    if optional is not None:
        known = set(required) | set(optional)
        for key in value:
            if key not in known:
                raise InvalidRequest("%s has the unknown key '%s' (known: %s)" % (path, key, ", ".join(sorted(known))))
    return dict(value)


def sequence(value: Any, path: str, maximum: int = 4096) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise InvalidRequest("%s must be a list, not %s" % (path, kind(value)))
    if len(value) > maximum:
        raise InvalidRequest("%s has %d entries, more than %d" % (path, len(value), maximum))
    return list(value)


def text(value: Any, path: str, choices: Sequence[str] | None = None) -> str:
    if not isinstance(value, str):
        raise InvalidRequest("%s must be a string, not %s" % (path, kind(value)))
    if not value or len(value) > 4096:
        raise InvalidRequest("%s must have 1 to 4096 characters, not %d" % (path, len(value)))
    # Halves of characters (surrogates) harm nobody who encodes with care; they are only shown as escapes.
    whole = value.encode("utf-8", "ignore").decode()
    if escaped(whole) != whole and path not in _PROSE:
        raise InvalidRequest("%s has a control character: %s" % (path, shown(value)))
    if choices is not None and value not in choices:
        raise InvalidRequest("%s must be one of %s, not %s" % (path, ", ".join(choices), shown(value)))
    return value


def integer(value: Any, path: str, minimum: int = 0, maximum: int = MAX_INT) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest("%s must be an integer, not %s" % (path, kind(value)))
    if not minimum <= value <= maximum:
        raise InvalidRequest("%s must be between %d and %d, not %d" % (path, minimum, maximum, value))
    return value


def boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest("%s must be true or false, not %s" % (path, kind(value)))
    return value
