# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Releases of vLLM: reading a version, the nearest known one, and what changed with which."""

from __future__ import annotations

import re

from .errors import InvalidRequest

Version = tuple  # of integers, compared lexicographically

KNOWN = (
    "0.8.5", "0.9.2", "0.10.2", "0.11.0", "0.12.0", "0.13.0", "0.14.0", "0.15.0", "0.16.0", "0.17.1", "0.18.0", "0.19.0",
    "0.20.2", "0.21.0", "0.22.1", "0.24.0", "0.26.0", "0.28.0", "0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0",
)  # fmt: skip


def parse(text: str) -> tuple[int, int, int]:
    """``0.8.5.post1`` or ``0.19.x`` as (major, minor, patch)."""
    match = re.match(r"^v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}|x))?(?:[.+-]?[a-z0-9.]+)?$", text)
    if match is None:
        raise InvalidRequest("vllm_version %r is not a version such as '0.32.0'" % text[:60])
    patch = match.group(3)
    return int(match.group(1)), int(match.group(2)), 0 if patch in (None, "x") else int(patch)


def resolve(text: str) -> tuple[tuple[int, int, int], str | None]:
    """The release to plan as, and a warning where ``text`` itself is not a known release."""
    asked = parse(text)
    known = [parse(entry) for entry in KNOWN]
    if any(asked[:2] == entry[:2] for entry in known):
        return asked, None
    lower = [entry for entry in known if entry < asked]
    if not lower:
        raise InvalidRequest("vllm_version %s is older than %s, the oldest release known" % (text, KNOWN[0]))
    nearest = max(lower)
    return nearest, "vLLM %s is not known; planned as %s, the nearest lower release." % (text, "%d.%d.%d" % nearest)


def default_utilization(version: Version) -> float:
    return 0.92 if version >= (0, 20, 0) else 0.9
