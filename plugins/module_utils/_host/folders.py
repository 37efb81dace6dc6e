# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Iterator

_ENTER = stat.S_IXOTH
_READ = stat.S_IROTH


def readable_by_all(path: str) -> dict[str, Any]:
    """Whether a user without any rights of its own could read the folder `path` and the files in it.

    `real` is the path without symbolic links. `closed` is the first path that keeps such a user out, None where there
    is none. What does not exist yet keeps nobody out.
    """
    wanted = Path("/", path)
    try:
        real = wanted.resolve()
        closed = next(_closed(wanted, real), None)
    except OSError as error:  # a loop of links, or a path that even we may not look into
        return {"real": str(wanted), "closed": str(error.filename or wanted)}
    return {"real": str(real), "closed": closed}


def _closed(wanted: Path, real: Path) -> Iterator[str]:
    for parent in _parents(wanted) + _parents(real):
        yield from _lacks(parent, _ENTER)
    if not real.is_dir():
        return
    yield from _lacks(real, _ENTER | _READ)
    for name in sorted(os.listdir(real)):
        target = (real / name).resolve()
        if target.is_file():
            for parent in _parents(target):
                yield from _lacks(parent, _ENTER)
            yield from _lacks(target, _READ)


def _parents(path: Path) -> list[Path]:
    """From the root downwards."""
    return list(reversed(path.parents))


def _lacks(path: Path, bits: int) -> Iterator[str]:
    if path.exists() and path.stat().st_mode & bits != bits:
        yield str(path)
