# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that the deployments serve."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.lab import REPOSITORY
from tests.lab.up import MODEL_ROOT, ensure_model

TINY_ID = "gpufleet/tiny-qwen3"


@pytest.fixture(scope="session")
def models() -> Path:
    """The root of a hub with the small real model and the random tiny one."""
    ensure_model()
    with (MODEL_ROOT.parent / "models.lock").open("w") as stream:  # two workers of one run share the folder
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not (MODEL_ROOT / TINY_ID / "config.json").exists():
            command = [sys.executable, "-m", "tests.fakes.models", "tiny", str(MODEL_ROOT / TINY_ID)]
            subprocess.run(command, cwd=REPOSITORY, check=True)
    return MODEL_ROOT
