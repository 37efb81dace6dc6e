# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plugin_utils._watched import WatchedAction


class ActionModule(WatchedAction):
    """Shows how far the module instance_info is."""

    MODULE = "gpufleet.vllm.instance_info"

    def may_take_long(self, arguments: Mapping[str, Any]) -> bool:
        return arguments.get("wait", "none") != "none"

    def can_be_foretold(self, arguments: Mapping[str, Any]) -> bool:
        # It never changes anything: waiting is all it does.
        return False
