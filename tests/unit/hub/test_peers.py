# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model from neighbours: lying, dying, late, slow ones."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _peer_client, _peer_fetch, _peers
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._part import Part
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_fetch import PeerFetcher
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_unit import PeerServer
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peers import Peers
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._types import FileEntry

from tests.unit.hub.peer_row import Row, neighbours, where


def brought(found: list[FileEntry]) -> list[str]:
    return sorted(each.path for each in found)


WANTED = ["model-1.safetensors", "model-2.safetensors", "tokenizer/图 #1.json"]


def test_files_come_whole_from_the_neighbour_before(row: Row) -> None:
    row.publish(0)
    row.serve(2)
    found, received, report = row.bring(1)
    assert brought(found) == WANTED
    assert {each.path: each.sha256 for each in found}.items() <= {each.path: each.sha256 for each in row.files}.items()
    assert row.holds(1)
    assert received == sum(map(len, row.content.values())) == report["host0"]["bytes"]


def test_each_host_serves_the_next_one(row: Row) -> None:
    """Three take it at once; what each has got the next one gets from it."""
    row.publish(0)
    row.serve(4)
    reports: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda me=me: reports.update({me: row.bring(me)[2]})) for me in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(row.holds(me) for me in (1, 2, 3))
    total = sum(map(len, row.content.values()))
    for me in (2, 3):
        assert reports[me]["host%d" % (me - 1)]["bytes"] > 0.5 * total, reports


def grow(row: Row, index: int, path: str, steps: int, pause: float) -> threading.Thread:
    """Let a host fetch a file slowly, as from a hub; it holds the lock meanwhile."""
    place = row.place(index)
    entry = next(each for each in row.files if each.path == path)
    lock = os.open(place.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    part = Part(place.part(path), entry)
    part.open()

    def run() -> None:
        data = row.content[path]
        for step in range(steps):
            for number in range(part.ranges):
                begin = part.position(number)
                count = -(-part.length(number) // steps) if step < steps - 1 else part.left(number)
                part.write(number, data[begin : begin + min(count, part.left(number))])
            time.sleep(pause)
        part.finish(os.path.join(place.data, path))
        os.close(lock)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("path", WANTED[:2])
def test_a_host_serves_what_it_has_while_it_still_fetches(row: Row, path: str) -> None:
    """The follower ends a moment after the one it follows, not a whole file later."""
    row.serve(2)
    row.files = [each for each in row.files if each.path == path]
    row.content = {path: row.content[path]}
    seen: list[float] = []
    growing = grow(row, 0, path, 8, 0.2)
    place = row.place(1)
    entry = row.files[0]

    def watch() -> None:
        while growing.is_alive():
            with contextlib.suppress(FileNotFoundError):  # it may become whole between two looks
                seen.append(Part(place.part(path), entry).done / entry.size)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    row.bring(1)
    ended = time.monotonic()
    growing.join()
    watcher.join()
    assert row.holds(1)
    assert max(each for each in seen if each < 1) > 0.5, seen
    assert time.monotonic() - ended < 1


def test_a_neighbour_that_lies_is_dropped_after_one_piece(row: Row) -> None:
    """Host 1 has a flipped byte: host 2 notices at this piece, and takes it from host 0."""
    row.publish(0)
    lie = dict(row.content)
    data = bytearray(lie["model-1.safetensors"])
    data[100_000] ^= 1
    row.publish(1, {**lie, "model-1.safetensors": bytes(data)})
    row.serve(3)
    _found, received, report = row.bring(2)
    assert row.holds(2)
    assert "not what host0 has" in report["host1"]["dropped"]
    assert report["host0"]["bytes"] > 0
    assert received == sum(map(len, row.content.values()))


def test_a_root_that_lies_is_dropped_and_another_one_counts(row: Row) -> None:
    data = bytearray(row.content["model-1.safetensors"])
    data[-1] ^= 1
    row.publish(0, {**row.content, "model-1.safetensors": bytes(data)})
    row.publish(1)
    row.serve(3)
    found, _received, report = row.bring(2, roots=2)
    assert brought(found) == WANTED
    assert row.holds(2)
    assert "do not have the hashes" in report["host0"]["dropped"]


def test_with_liars_only_the_hub_is_left(row: Row) -> None:
    """Then the file is not among those that came, and nothing of it is left behind."""
    data = bytearray(row.content["model-1.safetensors"])
    data[-1] ^= 1
    row.publish(0, {**row.content, "model-1.safetensors": bytes(data)})
    row.serve(2)
    found, _received, report = row.bring(1)
    assert "model-1.safetensors" not in brought(found)
    assert report["host0"]["dropped"]
    assert not os.path.exists(os.path.join(row.place(1).data, "model-1.safetensors"))


def test_a_neighbour_that_dies_in_the_middle_is_replaced(row: Row) -> None:
    row.publish(0)
    row.publish(1)
    row.serve(3)
    place = row.place(2)
    entry = row.files[[each.path for each in row.files].index("model-1.safetensors")]
    timer = threading.Thread(target=lambda: (when_begun(place.part(entry.path)), kill(row.servers[1])))
    timer.start()
    found, _received, report = row.bring(2)
    timer.join()
    assert brought(found) == WANTED
    assert row.holds(2)
    assert report["host0"]["bytes"] > 0


def when_begun(path: str) -> None:
    deadline = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.001)


def kill(server: PeerServer) -> None:
    known = server.ready()
    assert known
    os.kill(known["pid"], 9)


def test_when_all_before_are_gone_the_rest_is_for_the_hub(row: Row) -> None:
    row.serve(2)
    kill(row.servers[0])
    found, received, report = row.bring(1)
    assert (found, received) == ([], 0)
    assert report["host0"]["dropped"] == "connection refused"


def test_who_is_gone_is_replaced_by_one_behind_that_has_it(row: Row) -> None:
    row.serve(3)
    row.publish(2)
    kill(row.servers[0])
    found, _received, report = row.bring(1)
    assert brought(found) == WANTED
    assert report["host2"]["bytes"] > 0


def test_a_host_that_gave_up_is_no_source(row: Row) -> None:
    """It had begun, and holds the lock no more: nobody waits for it."""
    row.serve(2)
    path = "model-2.safetensors"
    grow(row, 0, path, 1, 0.0).join()
    assert row.ask(0, where("model-1.safetensors") + "/pieces")[1]["X-Gpufleet-State"] in ("fetching", "waiting")
    with open(row.place(0).lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        time.sleep(0.6)
        assert row.ask(0, where("model-1.safetensors") + "/pieces")[1]["X-Gpufleet-State"] == "fetching"
    found, _received, _report = row.bring(1)
    assert brought(found) == [path]


def test_a_fetch_goes_on_where_it_was_killed(row: Row) -> None:
    row.publish(0)
    row.serve(2)
    entry = next(each for each in row.files if each.path == "model-1.safetensors")
    part = Part(row.place(1).part(entry.path), entry)
    part.open()
    part.write(0, row.content[entry.path][: 5 * (1 << 16) + 77])
    part.close()
    _found, received, _report = row.bring(1)
    assert row.holds(1)
    assert received == sum(map(len, row.content.values())) - 5 * (1 << 16)


def test_when_the_play_is_over_nobody_goes_on(row: Row) -> None:
    """Its own server has ended with the play: it neither waits nor asks the hub."""
    row.serve(2)
    row.servers[1].stop()
    kill(row.servers[0])
    with pytest.raises(Problem) as caught:
        row.bring(1)
    assert caught.value.code == "model.run_over"


def test_the_hub_is_not_asked_before_it_is_sure_that_the_play_goes_on(row: Row) -> None:
    """All servers end with the play, one after the other: the last host must not take that for dead neighbours."""
    row.watched = False
    row.serve(2, lease_seconds=4.0)
    kill(row.servers[0])
    begun = time.monotonic()
    with pytest.raises(Problem) as caught:
        row.bring(1)
    assert caught.value.code == "model.run_over"
    assert time.monotonic() - begun < 30


def test_who_lost_his_own_server_goes_on_while_neighbours_answer(row: Row) -> None:
    row.publish(0)
    row.serve(2)
    row.servers[1].stop()
    found, _received, _report = row.bring(1)
    assert brought(found) == WANTED


def test_a_large_file_is_served_while_it_is_hashed(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 GiB, of which no neighbour has the patience to wait for the hash of every piece. With four files at once."""
    size = 2 << 30
    monkeypatch.setattr(_peer_client, "SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(_peer_fetch, "WAIT_SECONDS", 0.1)
    row.files = [FileEntry("large-%d" % number, size, "0" * 64) for number in range(4)]
    row.content = {}
    Path(row.place(0).final).mkdir(parents=True)
    for each in row.files:
        with open(os.path.join(row.place(0).final, each.path), "wb") as handle:
            handle.truncate(size)
    row.serve(2)
    peers = Peers(row.given(1), row.listing.model_id, row.listing.revision)
    reached = threading.Event()
    came: list[int] = []

    def received(count: int) -> None:
        came.append(count)
        if sum(came) > 24 << 20:
            reached.set()
            raise OSError("enough")

    with pytest.raises(OSError, match="enough"):
        PeerFetcher(peers, row.place(1), received, lambda count: None).fetch_all(row.files, 4)
    assert reached.is_set()
    assert peers.row[0].dropped == ""


def test_silence_toward_many_threads_is_one_failure() -> None:
    neighbour = _peer_client.Neighbour("a", "127.0.0.1", 1, "t", "k", "127.0.0.1")
    together = threading.Barrier(8)

    def ask() -> None:
        with pytest.raises(_peer_client.Unreachable) as caught:
            neighbour.state("file")
        together.wait()
        neighbour.failed(str(caught.value))

    for _time in range(3):
        assert neighbour.dropped == ""
        threads = [threading.Thread(target=ask) for _number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert neighbour.dropped == "connection refused"


def test_a_root_that_stands_still_is_not_waited_for(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the lock, and nothing comes of it."""
    monkeypatch.setattr(_peers, "STILL_SECONDS", 1.0)
    row.serve(2)
    with open(row.place(0).lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun = time.monotonic()
        found, _received, _report = row.bring(1)
    assert found == []
    assert time.monotonic() - begun < 30


def test_a_root_that_gets_on_with_something_else_is_waited_for(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hashes what the host has, or fetches other files: its progress moves, although this file does not."""
    monkeypatch.setattr(_peers, "STILL_SECONDS", 1.0)
    row.serve(2)
    progress = Path(row.place(0).work) / "progress.json"
    with open(row.place(0).lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(row.bring(1)))
        thread.start()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            progress.write_text("{}")
            time.sleep(0.1)
        assert thread.is_alive(), results
        row.publish(0)
    thread.join(60)
    assert brought(results[0][0]) == WANTED


__all__ = ["neighbours"]
