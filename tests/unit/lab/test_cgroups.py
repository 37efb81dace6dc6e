# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through control groups while a host still opens and closes its own."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.lab import cgroups


def test_groups_that_vanish_while_one_looks_are_no_failure(tmp_path: Path) -> None:
    stay = tmp_path / "payload" / "stay"
    stay.mkdir(parents=True)
    (stay / "cgroup.procs").write_text("12\n34\n")
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            for number in range(20):
                (tmp_path / f"session-{number}" / "inner").mkdir(parents=True)
            for number in range(20):
                (tmp_path / f"session-{number}" / "inner").rmdir()
                (tmp_path / f"session-{number}").rmdir()

    host = threading.Thread(target=come_and_go)
    host.start()
    try:
        for _ in range(400):
            assert cgroups.processes(tmp_path) == [12, 34]
    finally:
        done.set()
        host.join()
