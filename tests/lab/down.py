# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make down`: nothing is left of `make up` but its caches: no host, hub, mount, namespace, cgroup or process."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tests.lab import clean
from tests.lab.lab import CACHE, Lab, LabError
from tests.lab.tools import ensure_tools


def main() -> int:
    """down [--state DIR]"""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.down", description=__doc__)
    parser.add_argument("--state", type=Path, default=os.environ.get("GPUFLEET_UP_STATE") or CACHE / "up")
    state = Path(parser.parse_args().state)
    began = time.monotonic()
    try:
        ensure_tools()
        clean.destroy(Lab(state))
        if state == CACHE / "up" and (CACHE / "state").exists():
            clean.destroy(Lab(CACHE / "state"))  # what `python3 -m tests.lab start` made without a --state of its own
    except LabError as error:
        print(f"make down: {error}", file=sys.stderr)
        return 1
    files = "; the disk is still giving up its files" if clean.being_deleted(Lab(state)) else ""
    print(f"Nothing is left{files}; {time.monotonic() - began:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
