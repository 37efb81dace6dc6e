# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large file comes in ranges, several at a time, and everything that holds for small files holds for it too."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _part
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._part import Follower, Part
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._types import FileEntry
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._wish import Wish

from tests.fakes.hub.repositories import SIDECAR

from .conftest import SOURCES, Hub, assert_whole, fetch, start_module
from .test_faults import CONTENT, await_until, refused

Maker = Callable[..., Wish]
LARGE = "acme/large"
SIZE = 10_000_001
STEP = 1 << 20


@pytest.fixture
def large(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A model with one large file, which comes in ten ranges here."""
    monkeypatch.setattr(_part, "RANGE_BYTES", STEP)
    (hub.root / LARGE).mkdir()
    (hub.root / LARGE / "model.safetensors").write_bytes(random.Random(1).randbytes(SIZE))
    return hub


def ranges_of(hub: Hub) -> list[tuple[int, int]]:
    found = [re.fullmatch(r"bytes=(\d+)-(\d+)", str(each["range"])) for each in hub.report()["log"]]
    return sorted({(int(each[1]), int(each[2])) for each in found if each})


@pytest.mark.parametrize("source", SOURCES)
def test_one_file_comes_over_several_connections(large: Hub, wish: Maker, source: str) -> None:
    large.fault({"match": CONTENT, "rate": 4_000_000})
    outcome = fetch(wish(large, source=source, model_id=LARGE))
    assert_whole(outcome.path, large.root / LARGE)
    asked = ranges_of(large)
    assert asked == [(first, min(first + STEP, SIZE) - 1) for first in range(0, SIZE, STEP)]
    assert large.report()["sent_bytes"] == SIZE == outcome.bytes_downloaded
    assert large.server.control.most_at_once >= 4


def test_the_redirect_is_asked_for_once_a_connection(large: Hub, wish: Maker) -> None:
    fetch(wish(large, model_id=LARGE))
    resolves = [each for each in large.report()["log"] if "/resolve/" in each["path"]]
    assert 1 <= len(resolves) <= 4, "the address of the content is remembered"


def test_a_redirect_that_expires_is_asked_for_again(large: Hub, wish: Maker) -> None:
    large.fault({"match": "^GET /cdn/", "status": 403, "after": 3, "times": 1})
    assert_whole(fetch(wish(large, model_id=LARGE, workers=1)).path, large.root / LARGE)


@pytest.mark.parametrize("source", SOURCES)
def test_cut_connections_lose_nothing(large: Hub, wish: Maker, source: str) -> None:
    large.fault({"match": CONTENT, "cut": 300_000, "times": 12})
    outcome = fetch(wish(large, source=source, model_id=LARGE))
    assert_whole(outcome.path, large.root / LARGE)
    assert large.report()["sent_bytes"] == SIZE, "nothing came twice"


@pytest.mark.parametrize("at", [0.05, 0.35, 0.75])
def test_killed_and_resumed_in_every_range(large: Hub, wish: Maker, tmp_path: Path, at: float) -> None:
    """kill -9 while four ranges are under way: what has come of each of them is not fetched again."""
    store = tmp_path / "store"
    sent = int(STEP * at)
    large.fault({"match": "^GET /cdn/", "cut": sent, "stall": 60})
    arguments = {"id": LARGE, "source": "huggingface", "store": str(store), "endpoints": {"huggingface": large.url}}
    process = start_module(
        "model_snapshot",
        arguments,
        prelude="from %s import _part; _part.RANGE_BYTES = %d"
        % ("ansible_collections.gpufleet.vllm.plugins.module_utils._hub", STEP),
    )
    entry = FileEntry("model.safetensors", SIZE, sha256="0" * 64)

    def came() -> int:
        return sum(_part.unfinished_bytes(str(each)[: -len(".ranges")], entry) for each in store.rglob("*.ranges"))

    await_until(lambda: came() == 4 * sent, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    large.fault()
    outcome = fetch(wish(large, model_id=LARGE))
    assert_whole(outcome.path, large.root / LARGE)
    assert outcome.bytes_downloaded == SIZE - 4 * sent == large.report()["sent_bytes"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_flipped_bit_in_one_range(large: Hub, wish: Maker, source: str) -> None:
    large.fault({"match": CONTENT, "flip": True, "times": 1})
    assert_whole(fetch(wish(large, source=source, model_id=LARGE)).path, large.root / LARGE)


def test_a_hub_that_lies_is_given_up(large: Hub, wish: Maker) -> None:
    large.fault({"match": CONTENT, "flip": True})
    problem = refused(wish(large, model_id=LARGE), "model.damaged")
    assert "hash" in problem.found


def test_a_mirror_that_lies_is_left(large: Hub, wish: Maker, start_hub: Callable[..., Hub]) -> None:
    mirror = start_hub()
    mirror.fault({"match": CONTENT, "flip": True})
    assert_whole(fetch(wish(mirror, large, model_id=LARGE)).path, large.root / LARGE)


def test_a_hub_without_ranges_sends_the_file_as_one(large: Hub, wish: Maker) -> None:
    large.fault({"match": CONTENT, "no_range": True})
    assert_whole(fetch(wish(large, model_id=LARGE)).path, large.root / LARGE)


def test_a_mirror_takes_over_in_the_middle(large: Hub, wish: Maker, start_hub: Callable[..., Hub]) -> None:
    mirror = start_hub()
    large.fault({"match": CONTENT, "cut": 100_000, "times": 4}, {"match": CONTENT, "status": 500})
    outcome = fetch(wish(large, mirror, model_id=LARGE))
    assert_whole(outcome.path, large.root / LARGE)
    assert mirror.report()["sent_bytes"] == SIZE - 400_000


# -- the part alone


def entry_of(data: bytes) -> FileEntry:
    return FileEntry("x", len(data), sha256=hashlib.sha256(data).hexdigest())


def test_the_hash_follows_ranges_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_part, "RANGE_BYTES", STEP)
    data = random.Random(2).randbytes(9 * STEP + 17)
    part = Part(str(tmp_path / "part"), entry_of(data))
    part.open()
    follower = Follower(part)
    order = list(range(part.ranges))
    random.Random(3).shuffle(order)
    for index in order:
        while part.left(index):
            position = part.position(index)
            part.write(index, memoryview(data)[position : position + min(part.left(index), 77_777)])
            follower.advanced()
    assert part.whole and follower.finish().match()
    part.finish(str(tmp_path / "done"))
    assert (tmp_path / "done").read_bytes() == data
    assert os.listdir(tmp_path) == ["done"]


@pytest.mark.parametrize("damage", ["gone", "short", "of another file", "too much"])
def test_counts_that_cannot_be_trusted_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setattr(_part, "RANGE_BYTES", STEP)
    data = random.Random(4).randbytes(4 * STEP)
    part = Part(str(tmp_path / "part"), entry_of(data))
    part.open()
    part.write(1, memoryview(data)[STEP : 2 * STEP])
    part.close()
    counts = tmp_path / "part.ranges"
    text = bytearray(counts.read_bytes())
    if damage == "gone":
        counts.unlink()
    elif damage == "short":
        counts.write_bytes(text[:-1])
    elif damage == "of another file":
        text[8] ^= 1
        counts.write_bytes(text)
    else:
        text[-1] = 0x7F
        counts.write_bytes(text)
    assert Part(str(tmp_path / "part"), entry_of(data)).done == 0


def test_zeros_stay_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_part, "RANGE_BYTES", STEP)
    data = bytes(3 * STEP) + b"end"
    part = Part(str(tmp_path / "part"), entry_of(data))
    part.open()
    for index in range(part.ranges):
        position = part.position(index)
        part.write(index, memoryview(data)[position : position + part.left(index)])
    assert Follower(part).finish().match()
    part.close()
    assert (tmp_path / "part").stat().st_blocks * 512 < STEP


@pytest.mark.full
def test_a_file_of_more_than_50_gb(hub: Hub, tmp_path: Path) -> None:
    """A sparse file of 51 GB with something behind 4 GiB and at the end; memory stays flat, and so does the disk."""
    folder = hub.root / "acme" / "huge"
    folder.mkdir()
    size = 51 * 10**9
    path = folder / "model.safetensors"
    with path.open("wb") as handle:
        handle.truncate(size)
        for offset in (0, (1 << 32) - 3, 50 * 10**9, size - 7):
            handle.seek(offset)
            handle.write(b"present")
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as handle:
        buffer = memoryview(bytearray(1 << 22))
        while count := handle.readinto(buffer):
            digest.update(buffer[:count])
    path.with_name(path.name + SIDECAR).write_text(digest.hexdigest())
    arguments: dict[str, Any] = {
        "id": "acme/huge",
        "source": "huggingface",
        "store": str(tmp_path / "store"),
        "endpoints": {"huggingface": hub.url},
    }
    process = start_module("model_snapshot", arguments)
    text = process.communicate(timeout=1300)[0]
    assert '"changed": true' in text, text
    copy = next((tmp_path / "store").rglob("model.safetensors"))
    assert copy.stat().st_size == size and copy.stat().st_blocks * 512 < 64 << 20
    with copy.open("rb") as handle:
        for offset in (0, (1 << 32) - 3, 50 * 10**9, size - 7):
            handle.seek(offset)
            assert handle.read(7) == b"present", offset
    assert sys.maxsize > size
