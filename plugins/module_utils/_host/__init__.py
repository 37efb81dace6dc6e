# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""One read of a host: what the operating system says about itself, in plain values.

Every function takes the root directory that it reads below, so the tests show it a made-up host.
"""

from __future__ import annotations

from .disks import filesystem_of
from .folders import readable_by_all
from .instances import instances
from .listeners import listeners
from .network import default_ipv4
from .pythons import interpreters
from .system import memory_bytes, os_release, systemd_state

__all__ = [
    "default_ipv4",
    "filesystem_of",
    "instances",
    "interpreters",
    "listeners",
    "memory_bytes",
    "os_release",
    "readable_by_all",
    "systemd_state",
]
