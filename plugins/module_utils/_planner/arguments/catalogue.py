# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What each release of vLLM knows: its arguments, their values, its environment variables and its architectures.

The tables (``data_*.py``) hold the oldest release in full and of every later one what came and what went. A table is
read once, and the state of a release is put together when it is first asked for.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Mapping, NamedTuple

from . import data_arguments, data_environment, data_models, data_short, data_values

_TEXTS = {
    "arguments": data_arguments.TEXT,
    "short": data_short.TEXT,
    "values": data_values.TEXT,
    "environment": data_environment.TEXT,
    "models": data_models.TEXT,
}


class Catalogue(NamedTuple):
    """One release: kind of value by argument, values by argument (as text), long name by short one."""

    kinds: Mapping[str, str]
    choices: Mapping[str, tuple[str, ...]]
    short: Mapping[str, str]
    deprecated: frozenset[str]


def numbers(release: str) -> tuple[int, ...]:
    """``0.8.5.post1`` as (0, 8, 5): no release after the release changes what is asked here."""
    return tuple(int(part) for part in re.match(r"[0-9.]*[0-9]", release).group().split("."))  # type: ignore[union-attr]


@cache
def _changes(table: str) -> tuple[tuple[tuple[int, ...], Mapping[str, str], tuple[str, ...]], ...]:
    """The table as (release, what came with its value, what went), oldest first."""
    out: list[tuple[tuple[int, ...], dict[str, str], list[str]]] = []
    for line in _TEXTS[table].split("\n"):
        if line[:2] == "+ ":
            for word in line[2:].split():
                name, _colon, value = word.partition(":")
                out[-1][1][name] = value
        elif line[:2] == "- ":
            out[-1][2].extend(line[2:].split())
        elif line:
            out.append((numbers(line), {}, []))
    return tuple((release, came, tuple(went)) for release, came, went in out)


@cache
def state(table: str, version: tuple[int, ...]) -> Mapping[str, str]:
    """The table ``table`` as release ``version`` has it, or the newest release below it."""
    found: dict[str, str] = {}
    for release, came, went in _changes(table):
        if release > version and found:
            break
        found.update(came)
        for name in went:
            found.pop(name, None)
    return found


@lru_cache(maxsize=4096)
def history(table: str, name: str) -> tuple[tuple[tuple[int, ...], bool], ...]:
    """When ``name`` came (True) and went (False), oldest first; empty where no release ever had it."""
    out: list[tuple[tuple[int, ...], bool]] = []
    for release, came, went in _changes(table):
        present = out[-1][1] if out else False
        if name in came and not present:
            out.append((release, True))
        elif name in went and present:
            out.append((release, False))
    return tuple(out)


def first_with(table: str, name: str, version: tuple[int, ...]) -> tuple[int, ...] | None:
    """The first release after ``version`` that has ``name`` again or for the first time."""
    return next((release for release, came in history(table, name) if came and release > version), None)


def gone_since(table: str, name: str, version: tuple[int, ...]) -> tuple[int, ...] | None:
    """The release that dropped ``name``, where it was dropped by ``version``."""
    past = [entry for entry in history(table, name) if entry[0] <= version]
    return past[-1][0] if past and not past[-1][1] else None


@cache
def catalogue(version: tuple[int, ...]) -> Catalogue:
    """All about the arguments of ``version``."""
    choices: dict[str, list[str]] = {}
    for entry in state("values", version):
        name, _equals, value = entry.partition("=")
        choices.setdefault(name, []).append(value)
    spellings = state("short", version)
    return Catalogue(
        kinds=state("arguments", version),
        choices={name: tuple(sorted(values)) for name, values in choices.items()},
        short={name: long for name, long in spellings.items() if long != "deprecated"},
        deprecated=frozenset(name for name, long in spellings.items() if long == "deprecated"),
    )


def kind_of(name: str, version: tuple[int, ...]) -> str | None:
    """The kind of value that argument ``name`` takes in ``version``, None where the release does not have it."""
    return state("arguments", version).get(name)


def dotted(version: tuple[int, ...]) -> str:
    """(0, 32, 0) as people write it."""
    return ".".join(str(part) for part in version)
