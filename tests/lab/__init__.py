# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Throw-away systemd hosts on one Linux machine: systemd-nspawn over one cached base system.

See docs/lab.md for the commands. Only the standard library is used, so the lab runs before any environment exists.
"""
