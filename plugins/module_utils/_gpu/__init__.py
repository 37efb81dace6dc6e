# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Reads NVIDIA GPUs. ``probe`` is the only entry; NVML and nvidia-smi answer in one shape."""

from __future__ import annotations

from .probe import probe

__all__ = ["probe"]
