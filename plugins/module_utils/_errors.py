# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations


class Problem(Exception):
    """An expected failure that a person can act on.

    ``code`` is stable and dotted ("host.port_taken"); ``asked``, ``found`` and ``remedy`` are one sentence each,
    without a closing full stop. ``found`` names numbers and, where it helps, the host.
    """

    def __init__(self, code: str, asked: str, found: str, remedy: str) -> None:
        super().__init__(code, asked, found, remedy)
        self.code = code
        self.asked = asked
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return "[%s] %s: %s. %s." % (self.code, self.asked, self.found, self.remedy)

    def as_dict(self) -> dict[str, str]:
        parts = {"code": self.code, "asked": self.asked, "found": self.found, "remedy": self.remedy}
        return dict(parts, message=str(self))
