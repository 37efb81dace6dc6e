# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ..plugin_utils._watched import WatchedAction


class ActionModule(WatchedAction):
    """Shows how far the module uv_environment is."""

    MODULE = "gpufleet.vllm.uv_environment"
