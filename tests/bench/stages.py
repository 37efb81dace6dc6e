# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times `make up` on a new host, the run after it that has nothing to change, and `make down`.

    python -m tests.bench.stages            # with the caches that are there: warm
    python -m tests.bench.stages --cold     # without base system and model, as on a fresh clone
    python -m tests.bench.stages --json FILE

Runs beside a `make up` that is in use: its host has a state directory and ports of its own. Ends with 1 when the second
run changes something or a time is over its aim.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.lab import CACHE, REPOSITORY, read_json
from tests.lab.up import MODEL_ID, MODEL_ROOT

STATE = CACHE / "bench"
# seconds for one host on two processors
AIMS = {"warm": 180.0, "no change": 40.0, "down": 10.0}


def step(module: str) -> float:
    """Run one of the lab's programs as make does; its output goes on. Answers its seconds; raises when it fails."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", module, "--state", str(STATE)], cwd=REPOSITORY, check=True)
    return time.monotonic() - began


def measure(cold: bool) -> dict[str, dict[str, float]]:
    """Seconds per run and stage: {run: {stage: seconds, ..., "all": seconds}}."""
    step("tests.lab.down")
    if cold:
        shutil.rmtree(CACHE / "base", ignore_errors=True)
        shutil.rmtree(MODEL_ROOT / MODEL_ID, ignore_errors=True)
    runs: dict[str, dict[str, float]] = {}
    try:
        for name in ("cold" if cold else "warm", "no change"):
            seconds = step("tests.lab.up")
            runs[name] = {**read_json(STATE / "seconds.json"), "all": seconds}
        runs["no change"]["changed tasks"] = read_json(STATE / "stages.json")["changed"]
    finally:
        runs["down"] = {"all": step("tests.lab.down")}
    return runs


def show(runs: dict[str, dict[str, float]]) -> None:
    """One line per stage, one column per run."""
    stages = list(dict.fromkeys(stage for run in runs.values() for stage in run))
    print("\n" + " " * 14 + "".join(f"{name:>12}" for name in runs))
    for stage in stages:
        cells = (f"{run[stage]:12.1f}" if stage in run else " " * 12 for run in runs.values())
        print(f"{stage:14}" + "".join(cells))


def main() -> int:
    """Measure, show, judge."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.stages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cold", action="store_true", help="delete the cached base systems and the model first")
    parser.add_argument("--json", type=Path, help="keep the numbers there")
    options = parser.parse_args()
    runs = measure(options.cold)
    show(runs)
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1) + "\n")
    late = [
        f"{name} took {runs[name]['all']:.0f} s, aim {aim:.0f} s"
        for name, aim in AIMS.items()
        if name in runs and runs[name]["all"] > aim
    ]
    if runs["no change"]["changed tasks"]:
        late.append(f"the second run changed {runs['no change']['changed tasks']:.0f} tasks")
    for line in late:
        print(line)
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
