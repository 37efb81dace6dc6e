# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This plugin util is PRIVATE to the collection.

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

# A rate is taken over this many seconds, so that it neither jumps nor remembers a stall for ever.
WINDOW_SECONDS = 15


class Reporter:
    """Makes of progress files the lines that a person wants to read, and not more of them.

    `hosts` work at the same time; with many of them each one speaks less often. With `quiet` the module's own message
    is left out, for a task that must not be logged. `clock` gives seconds.
    """

    # With a change a line comes this often, without one that often. Seconds.
    CHANGED_SECONDS = 4.0
    ALIVE_SECONDS = 10.0

    def __init__(
        self, host: str, what: str, hosts: int = 1, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.host = host
        self.what = what
        self.quiet = quiet
        self.clock = clock
        # 40 hosts speak as often as ten would.
        self.stretch = max(1.0, hosts / 10.0)
        self.begun = clock()
        self.spoke = self.begun
        self.told = ""
        self.stage = ""
        self.samples = deque()  # type: deque[tuple[float, int]]

    def line(self, text: str) -> str | None:
        """The line to print for this text of the progress file, or None if nothing is due."""
        now = self.clock()
        state = parse(text)
        if not state:
            return None
        self._sample(now, state)
        silent = now - self.spoke
        key = "%s %s %s" % (state["stage"], state["done_bytes"], state["message"])
        if silent < self.stretch * (self.CHANGED_SECONDS if key != self.told else self.ALIVE_SECONDS):
            return None
        self.told = key
        return self._speak(now, self._parts(now, state))

    def note(self, message: str) -> str | None:
        """A line of our own, at most as often as a sign of life."""
        now = self.clock()
        if now - self.spoke < self.ALIVE_SECONDS * self.stretch:
            return None
        return self._speak(now, [message])

    def _speak(self, now: float, parts: list[str]) -> str:
        self.spoke = now
        return " | ".join([self.host, self.what, *parts])

    def _sample(self, now: float, state: dict[str, Any]) -> None:
        if state["stage"] != self.stage:
            self.stage = state["stage"]
            self.samples.clear()
        self.samples.append((now, state["done_bytes"]))
        while self.samples and now - self.samples[0][0] > WINDOW_SECONDS:
            self.samples.popleft()

    def _parts(self, now: float, state: dict[str, Any]) -> list[str]:
        done, total = state["done_bytes"], state["total_bytes"]
        parts = ["%s %s" % (state["stage"], duration(now - self.begun))]
        if total > 0:
            parts.append("%s of %s" % (size(done), size(total)))
        elif done > 0:
            parts.append(size(done))
        (then, had), (_now, has) = self.samples[0], self.samples[-1]
        rate = (has - had) / (now - then) if now > then else 0
        if rate > 0:
            parts.append("%s/s" % size(rate))
            if total > done:
                parts.append("%s left" % duration((total - done) / rate))
        if state["message"] and total <= 0 and not self.quiet:
            parts.append(state["message"])
        return parts


def parse(text: str) -> dict[str, Any]:
    """A progress file's text, with every field there; an empty dict for anything that is not such a file."""
    try:
        state = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(state, dict) or state.get("schema") != 1:
        return {}
    result: dict[str, Any] = {
        "stage": str(state.get("stage", "")),
        "message": " ".join(str(state.get("message", "")).split()),
    }
    for key in ("done_bytes", "total_bytes"):
        value = state.get(key, 0)
        result[key] = value if isinstance(value, int) and value > 0 else 0
    return result


def size(count: float) -> str:
    """Bytes as a person reads them, in decimal units: "48 MB", "1.2 GB"."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return "%.1f %s" % (value, unit) if unit in ("GB", "TB") else "%.0f %s" % (value, unit)


def duration(seconds: float) -> str:
    """Seconds as a person reads them: "35 s", "4 min", "1 h 20 min"."""
    whole = round(seconds)
    if whole < 120:
        return "%d s" % whole
    minutes = round(whole / 60)
    if minutes < 60:
        return "%d min" % minutes
    return "%d h %d min" % divmod(minutes, 60)
