# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down how long each imported playbook of a run took, as it goes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stages
type: aggregate
short_description: Seconds per imported playbook
description:
  - Writes stages (name and seconds of each), changed and failed tasks as JSON to the file that the environment variable
    E(GPUFLEET_STAGES) names. Used by the lab only.
requirements:
  - enable in configuration
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core carries no types
    """Adds up play times by the file that the play stands in."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stages"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self.stage = ""
        self.began = 0.0

    def _close(self) -> None:
        if self.stage:
            self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + time.monotonic() - self.began

    def _write(self, **more: Any) -> None:
        path = os.environ.get("GPUFLEET_STAGES")
        if path:
            stages = [{"stage": stage, "seconds": round(seconds, 1)} for stage, seconds in self.seconds.items()]
            Path(path).write_text(json.dumps({"schema": 1, "stages": stages, **more}))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play begins: the one before is over."""
        self._close()
        self.stage = Path(play.get_path().rpartition(":")[0]).stem
        self.began = time.monotonic()
        self._write()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The run is over."""
        self._close()
        self.stage = ""
        self._write(changed=sum(stats.changed.values()), failed=sum(stats.failures.values()) + sum(stats.dark.values()))
