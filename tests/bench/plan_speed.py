# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times the planner: 1,000 hosts of 8 GPUs with 3 deployments each, no two alike, on one core.

    python -m tests.bench.plan_speed                 # 500, 1,000 and 2,000 hosts
    python -m tests.bench.plan_speed --hosts 100 --profile
    python -m tests.bench.plan_speed --json FILE

Every request differs from every other in cards, free memory, models, contexts and users, so that an answer kept from
before helps nobody. Ends with 1 when 1,000 hosts take longer than the aim, or time grows faster than their number.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import json
import os
import pstats
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins/module_utils"))

from _planner.plan import plan
from _planner.report.cards import CARDS

COUNTS = (500, 1000, 2000)
COSTLY = 300
AIM_SECONDS = 30.0  # of 1,000 hosts
AIM_COSTLY_SECONDS = 60.0  # the same, where weights come of the config and the number of GPUs is looked for
AIM_GROWTH = 1.15  # of the time per host, from the smallest run to the largest
# Real models of every kind of layer; their folder's README says where they come from.
FOLDER = Path(__file__).resolve().parents[1] / "unit/planner/data/models"
MODELS: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def config(random_: random.Random, number: int) -> dict[str, Any]:
    """The config of a real model with a vocabulary that no other deployment has."""
    found = copy.deepcopy(random_.choice(MODELS))
    for part in (found, found.get("text_config")):
        if isinstance(part, dict) and isinstance(part.get("vocab_size"), int):
            part["vocab_size"] += number
    return found


def host(random_: random.Random, number: int, costly: bool = False) -> dict[str, Any]:
    """The request of one host: 8 GPUs, 3 deployments; ``costly``: weights and number of GPUs are left to the plan."""
    card = random_.choice([card for card in CARDS if card.capability >= (8, 0) and card.usable_bytes > 20 * 2**30])
    gpus = [
        {**card.facts(index, random_.randrange(2**20, 2**28)), "uuid": "GPU-%08d-%d" % (number, index)}
        for index in range(8)
    ]
    deployments = [
        {
            "name": "d%d-%d" % (number, index),
            "model": {
                "id": "o/m%d" % number,
                "config": config(random_, 3 * number + index),
                "weights_bytes": random_.randrange(2**32, 2**36),
            },
            "gpus": {"count": random_.choice((1, 2))} if index else {},
            "workload": {"max_model_len": random_.randrange(2000, 30000), "concurrency": random_.randrange(1, 64)},
        }
        for index in range(3)
    ]
    if costly:
        for entry in deployments:
            entry["gpus"] = {}
            del entry["model"]["weights_bytes"]
    return {"vllm_version": "0.32.0", "driver_version": "580.95.05", "gpus": gpus, "deployments": deployments}


def run(count: int, costly: bool = False) -> tuple[float, int, int]:
    """Seconds, instances and errors of planning ``count`` hosts; making the requests is not timed."""
    random_ = random.Random(count)
    requests = [host(random_, number, costly) for number in range(count)]
    instances = errors = 0
    began = time.process_time()
    for request in requests:
        answer = plan(request)
        instances += len(answer["instances"])
        errors += len(answer["errors"])
    return time.process_time() - began, instances, errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, help="plan so many only")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.profile:
        profiler = cProfile.Profile()
        profiler.runcall(run, options.hosts or 50)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
        return 0
    seconds: dict[int, float] = {}
    for count in (options.hosts,) if options.hosts else COUNTS:
        seconds[count], instances, errors = run(count)
        print(
            "%5d hosts: %6.2f s, %5.2f ms a deployment (%d planned, %d refused)"
            % (count, seconds[count], 1000 * seconds[count] / count / 3, instances, errors)
        )
    if len(seconds) > 1:
        costly, instances, errors = run(COSTLY, True)
        print(
            "%5d hosts, weights and GPUs left to the plan: %6.2f s, %5.2f ms a deployment (%d planned, %d refused)"
            % (COSTLY, costly, 1000 * costly / COSTLY / 3, instances, errors)
        )
    each = [seconds[count] / count for count in seconds]
    growth = each[-1] / each[0]
    if options.json:
        options.json.write_text(json.dumps({"schema": 1, "seconds": seconds, "growth": growth}, indent=2) + "\n")
    if len(seconds) == 1:
        return 0
    print("Time per host from %d to %d hosts: x %.2f" % (min(seconds), max(seconds), growth))
    slow = costly * 1000 / COSTLY > AIM_COSTLY_SECONDS
    return int(seconds[1000] > AIM_SECONDS or growth > AIM_GROWTH or slow)


if __name__ == "__main__":
    sys.exit(main())
