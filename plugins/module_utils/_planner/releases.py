# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Releases of vLLM: reading a version, the nearest known one, and what changed with which."""

from __future__ import annotations

import re

from .errors import InvalidRequest

KNOWN = (
    "0.8.5", "0.9.0", "0.9.0.1", "0.9.1", "0.9.2", "0.10.0", "0.10.1", "0.10.1.1", "0.10.2", "0.11.0", "0.11.1",
    "0.11.2", "0.12.0", "0.13.0", "0.14.0", "0.14.1", "0.15.0", "0.15.1", "0.16.0", "0.17.0", "0.17.1", "0.18.0",
    "0.18.1", "0.19.0", "0.19.1", "0.20.0", "0.20.1", "0.20.2", "0.21.0", "0.22.0", "0.22.1", "0.23.0", "0.24.0",
    "0.25.0", "0.25.1", "0.26.0", "0.27.0", "0.27.1", "0.28.0", "0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0",
)  # fmt: skip


def parse(text: str) -> tuple[int, ...]:
    """``0.8.5.post1`` as (0, 8, 5); ``0.19.x`` as the last release that 0.19 could have."""
    match = re.fullmatch(r"v?(\d{1,4})\.(\d{1,4})((?:\.\d{1,4})*)(\.x)?(?:[.+-]?[a-z][a-z0-9.+]*)?", text, re.ASCII)
    if match is None:
        raise InvalidRequest("vllm_version %r is not a version such as '0.32.0'" % text[:60])
    numbers = [int(match.group(1)), int(match.group(2))] + [int(part) for part in match.group(3).split(".")[1:]]
    return tuple(numbers + [9999]) if match.group(4) else tuple(numbers)


_KNOWN = tuple(parse(entry) for entry in KNOWN)


def resolve(text: str) -> tuple[tuple[int, ...], str | None]:
    """The release to plan as, and a warning where ``text`` itself is not a known release."""
    asked = parse(text)
    if len(asked) == 2:
        asked = asked + (0,)
    lower = [entry for entry in _KNOWN if entry <= asked]
    if not lower:
        raise InvalidRequest("vllm_version %s is older than %s, the oldest release known" % (text[:60], KNOWN[0]))
    nearest = max(lower)
    if nearest == asked:
        return asked, None
    return nearest, "vLLM %s is not known; planned as %s, the nearest lower release." % (
        text[:60],
        ".".join(str(part) for part in nearest),
    )


def default_utilization(version: tuple[int, ...]) -> float:
    return 0.92 if version >= (0, 20, 0) else 0.9
