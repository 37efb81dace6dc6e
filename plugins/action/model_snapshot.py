# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plugin_utils._watched import WatchedAction


class ActionModule(WatchedAction):
    """Shows how far the module model_snapshot is."""

    MODULE = "gpufleet.vllm.model_snapshot"

    def can_be_foretold(self, arguments: Mapping[str, Any]) -> bool:
        # To verify every byte is a long step itself.
        return arguments.get("verify") != "checksum"
