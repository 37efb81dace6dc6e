"""A browser for tests: Debian's Chromium, driven by the locked playwright-core."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from tests.tools import debian
from tests.tools.tracked import ROOT

FOLDER = ROOT / "tests/e2e/browser"


def ready() -> Path:
    """Have browser and driver; returns the folder of the scripts. Two tests at once do it one after the other."""
    debian.need("node", "nodejs")
    debian.need("npm")
    debian.need("chromium")
    modules = FOLDER / "node_modules"
    (ROOT / ".cache").mkdir(exist_ok=True)
    with (ROOT / ".cache/npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (FOLDER / "package-lock.json").stat().st_mtime
        done = modules / ".package-lock.json"
        if not done.exists() or done.stat().st_mtime < wanted:
            subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, check=True)
    return FOLDER
