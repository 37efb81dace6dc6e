# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that a person reads while a module works."""

from __future__ import annotations

import json

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import _progress_line as progress_line


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def state(stage: str, done: int = 0, total: int = 0, message: str = "") -> str:
    return json.dumps({"schema": 1, "stage": stage, "done_bytes": done, "total_bytes": total, "message": message})


def test_stage_time_bytes_rate_and_time_left() -> None:
    clock = Clock()
    reporter = progress_line.Reporter("gpu1", "model_snapshot", clock=clock)
    assert reporter.line(state("download", 0, 2_100_000_000)) is None
    clock.now += 5
    line = reporter.line(state("download", 300_000_000, 2_100_000_000))
    assert line == "gpu1 | model_snapshot | download 5 s | 300 MB of 2.1 GB | 60 MB/s | 30 s left"


def test_silence_without_a_change_but_a_sign_of_life_every_ten_seconds() -> None:
    clock = Clock()
    reporter = progress_line.Reporter("h", "m", clock=clock)
    lines = []
    for _step in range(30):
        clock.now += 1
        lines.append(reporter.line(state("compile", message="1 of 2")))
    spoken = [number + 1 for number, line in enumerate(lines) if line]
    assert spoken == [4, 14, 24]
    assert lines[3] == "h | m | compile 4 s | 1 of 2"


def test_many_hosts_speak_less_often_each() -> None:
    clock = Clock()
    reporter = progress_line.Reporter("h", "m", hosts=100, clock=clock)
    spoken = 0
    for step in range(100):
        clock.now += 1
        spoken += reporter.line(state("download", step, 100)) is not None
    assert spoken == 2


def test_a_new_stage_forgets_the_rate_and_a_stall_shows() -> None:
    clock = Clock()
    reporter = progress_line.Reporter("h", "m", clock=clock)
    reporter.line(state("download", 0, 100_000_000))
    clock.now += 5
    assert "20 MB/s" in (reporter.line(state("download", 100_000_000, 100_000_000)) or "")
    clock.now += 5
    assert reporter.line(state("verify", 10, 100_000_000)) == "h | m | verify 10 s | 10 B of 100 MB"
    later = []
    for _step in range(40):
        clock.now += 1
        later.append(reporter.line(state("verify", 10, 100_000_000)))
    assert "/s" not in [line for line in later if line][-1]


def test_quiet_leaves_the_message_out_and_rubbish_is_no_line() -> None:
    clock = Clock()
    reporter = progress_line.Reporter("h", "m", quiet=True, clock=clock)
    clock.now += 60
    assert reporter.line("") is None
    assert reporter.line('{"schema": 1, "sta') is None
    assert reporter.line("[1]") is None
    line = reporter.line(json.dumps({"schema": 1, "stage": "s", "done_bytes": "x", "message": "secret\nwords"}))
    assert line == "h | m | s 60 s"


def test_numbers_for_people() -> None:
    assert [progress_line.size(n) for n in (0, 999, 1000, 48_200_000, 1_250_000_000, 3 * 10**12)] == [
        "0 B", "999 B", "1 kB", "48 MB", "1.2 GB", "3.0 TB",
    ]  # fmt: skip
    assert [progress_line.duration(n) for n in (0.4, 35, 119, 240, 4800)] == [
        "0 s",
        "35 s",
        "119 s",
        "4 min",
        "1 h 20 min",
    ]
