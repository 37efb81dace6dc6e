# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One model for 1, 4 and 16 hosts through one slow line: once per fleet, against every host for itself.

    python -m tests.bench.fleet_fetch                    # 96 MiB at 1.6 MB/s; a quarter of an hour on two processors
    python -m tests.bench.fleet_fetch --hosts 1 4 --mib 32 --rate 3e6
    python -m tests.bench.fleet_fetch --json FILE

Hosts are lab hosts on a bridge; the line is the stand-in of a hub, which sends at that rate to all of them together.
The time is that of the whole playbook fetch_models.yml. What every host for itself would take is computed: so many
times the model through the same line; ``--separate`` runs it too, for the second number of hosts. Ends with 1 when the
hub sends more than 1.1 times the model, or some hosts take more than 2.5 times as long as one.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.e2e.fleet import Fleet, make_model
from tests.e2e.site import start_hosts, start_hub
from tests.lab import clean
from tests.lab.lab import CACHE, Lab

MOST_EGRESS = 1.1
MOST_TIME = 2.5


def measure(fleet: Fleet, names: list[str], rate: float, size: int, source: str, forks: int) -> dict[str, Any]:
    """One run on hosts without models: seconds, bytes of the hub, and whether all are whole."""
    fleet.describe_fleet(names)
    fleet.forget(*names)
    fleet.hub_answers("/__faults", [{"match": "/cdn/|/resolve/", "shared_rate": rate}])
    began = time.monotonic()
    result = fleet.run("fetch_models", "--forks", str(forks), variables={"gpufleet_fetch_from": source})
    seconds = time.monotonic() - began
    result.must_pass()
    assert all(fleet.whole(name) for name in names)
    return {"hosts": len(names), "from": source, "seconds": seconds, "egress": fleet.sent() / size}


def line(row: dict[str, Any], one: float, size: int, rate: float) -> str:
    apart = one + (row["hosts"] - 1) * size / rate
    return (
        f"{row['hosts']:>5}  {row['from']:<10}  {row['seconds']:>7.1f} s  {row['seconds'] / one:>5.2f} x one host  "
        f"{row['egress']:>5.2f} x the model from the hub   (each for itself: {apart:.0f} s)"
    )


def run(options: Any) -> list[dict[str, Any]]:
    lab = Lab(CACHE / "bench-fleet")
    clean.destroy(lab)
    names = [f"gpu{number:02d}" for number in range(1, max(options.hosts) + 1)]
    rows = []
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-fetch-") as folder:
            root = Path(folder) / "hub"
            digest = make_model(root, random.Random("bench").randbytes(options.mib << 20))
            start_hosts(lab, names, net="bridge")
            fleet = Fleet(lab, Path(folder) / "site", [])
            fleet.hub, fleet.digest = start_hub(lab, root, bridge=True), digest
            size = fleet.size()
            for count in options.hosts:
                rows.append(measure(fleet, names[:count], options.rate, size, "neighbours", options.forks))
                print(line(rows[-1], rows[0]["seconds"], size, options.rate), flush=True)
            if options.separate and len(options.hosts) > 1:
                rows.append(measure(fleet, names[: options.hosts[1]], options.rate, size, "hub", options.forks))
                print(line(rows[-1], rows[0]["seconds"], size, options.rate), flush=True)
    finally:
        clean.destroy(lab)
    return rows


def main() -> int:
    """Measure, show, judge."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.fleet_fetch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 4, 16], help="how many hosts, the first one is 1")
    parser.add_argument("--mib", type=int, default=96, help="size of the model")
    parser.add_argument("--rate", type=float, default=1.6e6, help="bytes per second that the hub sends")
    parser.add_argument("--forks", type=int, default=5)
    parser.add_argument("--separate", action="store_true", help="also let each host fetch for itself")
    parser.add_argument("--json", type=Path, help="keep the numbers there")
    options = parser.parse_args()
    rows = run(options)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    shared = [row for row in rows if row["from"] == "neighbours"]
    bad = [row for row in shared if row["egress"] > MOST_EGRESS]
    late = [row for row in shared if row["seconds"] > MOST_TIME * shared[0]["seconds"]]
    for row in bad:
        print(f"{row['hosts']} hosts: the hub sent {row['egress']:.2f} times the model")
    for row in late:
        print(f"{row['hosts']} hosts took {row['seconds'] / shared[0]['seconds']:.2f} times as long as one")
    return 1 if bad or late else 0


if __name__ == "__main__":
    sys.exit(main())
