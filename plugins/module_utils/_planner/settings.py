# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Settings with their reasons: every value has a source (user, computed or default) and a sentence that says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from .errors import clean

SOURCES = ("user", "computed", "default")


@dataclass
class Settings:
    """Collects decisions; the user's engine arguments win and are shown as such."""

    user: Mapping[str, Any]
    decisions: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def decide(self, setting: str, value: Any, reason: str, source: str = "computed") -> Any:
        """Record ``setting``. Computed values stand in config.yaml, vLLM's own defaults only among the decisions."""
        if setting in self.user:
            return self.take(setting)
        if source not in SOURCES:
            raise ValueError("unknown source %r" % source)
        self.decisions.append({"setting": setting, "value": value, "source": source, "reason": reason})
        if source != "default":
            self.values[setting] = value
        return value

    def take(self, setting: str, reason: str = "Set in engine_args.") -> Any:
        """The user's value of ``setting``, recorded once."""
        value = self.user[setting]
        if setting not in self.values:
            self.decisions.append({"setting": setting, "value": value, "source": "user", "reason": reason})
            self.values[setting] = value
        return value

    def add_reason(self, setting: str, more: str) -> None:
        """Say ``more`` of a decision that was made; nothing where it was not."""
        for decision in self.decisions:
            if decision["setting"] == setting:
                decision["reason"] = "%s %s" % (decision["reason"], more)

    def finish(self) -> dict[str, Any]:
        """All settings of config.yaml, the user's remaining ones included, sorted by name."""
        for setting in self.user:
            self.take(setting)
        for decision in self.decisions:
            decision["reason"] = clean(decision["reason"])  # names of cards and deployments may stand in it
        return {name: self.values[name] for name in sorted(self.values)}
