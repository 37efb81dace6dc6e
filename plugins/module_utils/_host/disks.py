# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable


def filesystem_of(path: str, statvfs: Callable[[Path], Any] = os.statvfs) -> dict[str, Any]:
    """The file system that `path` lies on, or will lie on: the nearest parent that exists answers.

    free_bytes is what root may use. `device` (st_dev) tells whether two paths share their space.
    """
    nearest = Path("/", path)
    while not nearest.exists():
        nearest = nearest.parent
    answer = statvfs(nearest)
    return {
        "nearest": str(nearest),
        "device": nearest.stat().st_dev,
        "total_bytes": answer.f_blocks * answer.f_frsize,
        "free_bytes": answer.f_bfree * answer.f_frsize,
        "read_only": bool(answer.f_flag & os.ST_RDONLY),
    }
