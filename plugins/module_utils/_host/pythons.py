# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .system import RunCommand

_NAME = re.compile(r"^python3(\.\d+)?$")
_ASK = (
    "import sys; "
    "print(sys.implementation.name, '.'.join(map(str, sys.version_info[:3])), sys.prefix != sys.base_prefix)"
)


def interpreters(run: RunCommand, folders: Sequence[str]) -> list[dict[str, Any]]:
    """Python interpreters in `folders`: path, version, implementation; each real file once, newest first.

    An interpreter of a virtual environment is left out: nothing lasting may be built on it.
    """
    found = {}  # type: dict[Path, dict[str, Any]]
    for folder in folders:
        for name in sorted(_names(folder), key=len, reverse=True):
            path = Path(folder, name)
            real = path.resolve()
            if real in found or not os.access(path, os.X_OK):
                continue
            code, out = run([str(path), "-c", _ASK])
            words = out.split()
            if code == 0 and len(words) == 3 and words[2] == "False":
                found[real] = {"path": str(path), "version": words[1], "implementation": words[0]}
    return sorted(found.values(), key=lambda item: tuple(map(int, item["version"].split("."))), reverse=True)


def _names(folder: str) -> list[str]:
    try:
        return [entry.name for entry in Path(folder).iterdir() if _NAME.match(entry.name)]
    except OSError:
        return []
