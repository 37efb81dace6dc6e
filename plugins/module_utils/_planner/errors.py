# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Errors of the planner: each has a stable code; none carries a traceback to the user."""

from __future__ import annotations

import re
from typing import Any

# What moves a terminal's cursor, ends a line or turns the direction of writing; and words that no reader needs whole.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_LONG = re.compile(r"\S{161,}")


def escaped(text: str) -> str:
    """``text`` on one line: control characters as their escapes."""
    return _CONTROL.sub(lambda found: ("\\x%02x" if found[0] < "\u0100" else "\\u%04x") % ord(found[0]), text)


def clean(text: str) -> str:
    """A message that may quote the request: on one line, its longest words cut."""
    return _LONG.sub(lambda found: found[0][:157] + "...", escaped(text))


class InvalidRequest(ValueError):
    """The request itself is wrong (a key, a type, a number): one sentence, exit status 2."""

    code = "plan.invalid_request"

    def __init__(self, text: str) -> None:
        super().__init__(clean(text))


def warning(code: str, text: str) -> str:
    """A remark on a plan that stands, with its stable code in front."""
    return "[%s] %s" % (code, clean(text))


class PlanError(Exception):
    """A valid request that cannot be planned.

    ``message`` is one or two sentences with the numbers; ``needed_bytes`` and ``available_bytes`` are bytes of one
    device (or of the host, for a CPU) where memory is the reason; ``remedies`` are imperative sentences, best first.
    """

    def __init__(
        self,
        code: str,
        message: str,
        remedies: tuple[str, ...] = (),
        needed_bytes: int | None = None,
        available_bytes: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = clean(message)
        self.remedies = tuple(clean(remedy) for remedy in remedies)
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes

    def __str__(self) -> str:
        return "[%s] %s" % (self.code, self.message)

    def as_dict(self, deployment: str | None = None) -> dict[str, Any]:
        """The entry of the answer's ``errors``."""
        return {
            "code": self.code,
            "deployment": deployment,
            "message": self.message,
            "needed_bytes": self.needed_bytes,
            "available_bytes": self.available_bytes,
            "remedies": list(self.remedies),
        }


class InventoryError(Exception):
    """A mistake in the inventory; ``asked``, ``found`` and ``remedy`` are one sentence each without a full stop."""

    def __init__(self, code: str, asked: str, found: str, remedy: str) -> None:
        super().__init__(code, asked, found, remedy)
        self.code = code
        self.asked = asked
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return "[%s] %s: %s. %s." % (self.code, self.asked, self.found, self.remedy)
