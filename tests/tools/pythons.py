"""Other Pythons of this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def find(version: str) -> str | None:
    """A Python "3.13" that starts: pyenv leaves a command of that name even where it is switched off."""
    for candidate in ("python" + version, *map(str, Path.home().glob(".pyenv/versions/%s.*/bin/python" % version))):
        path = shutil.which(candidate)
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None
