# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PORT = re.compile(r"^port:\s*['\"]?(\d+)['\"]?\s*$", re.MULTILINE)
_GPUS = re.compile(r"^CUDA_VISIBLE_DEVICES=\"?([^\"\n]*)\"?$", re.MULTILINE)


def instances(root: str = "/") -> list[dict[str, Any]]:
    """Engines that were set up here, by name: name, port, gpu_uuids and measured, as their own files say.

    port is None and gpu_uuids empty where the files do not tell; measured is what the role recorded of the last start.
    """
    found = []
    folder = Path(root, "etc/gpufleet/instances")
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.is_dir():
            port = _PORT.search(_text(entry / "config.yaml"))
            gpus = _GPUS.search(_text(entry / "env"))
            found.append(
                {
                    "name": entry.name,
                    "port": int(port.group(1)) if port else None,
                    "gpu_uuids": [uuid for uuid in gpus.group(1).split(",") if uuid] if gpus else [],
                    "measured": _measured(Path(root, "var/lib/gpufleet", entry.name, "measured.json")),
                }
            )
    return found


def _measured(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(_text(path) or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("schema") == 1 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
