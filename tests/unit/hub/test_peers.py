# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours: hosts are folders, each with a server as its own process on loopback."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _part, _peer_client, _peer_fetch, _peers
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._part import Part
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_client import file_key, snapshot_key
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_fetch import from_neighbours
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_unit import PeerServer, check_address, served
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._store import Place
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._types import FileEntry, Listing

MODEL, COMMIT, TOKEN = "acme/big", "c" * 40, "token-of-this-run"


class Row:
    """Hosts in a row. ``content`` is the model; a host has what its store holds."""

    def __init__(self, folder: Path, content: dict[str, bytes]) -> None:
        self.folder, self.content = folder, content
        self.files = [
            FileEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in sorted(content.items())
        ]
        self.listing = Listing(MODEL, "huggingface", "http://hub", "main", COMMIT, self.files)
        self.servers: list[PeerServer] = []
        self.members: list[dict[str, Any]] = []

    def place(self, index: int) -> Place:
        place = Place(str(self.folder / ("host%d" % index)), MODEL, COMMIT)
        place.make_dirs()
        return place

    def publish(self, index: int, content: dict[str, bytes] | None = None) -> None:
        final = Path(self.place(index).final)
        for path, data in (content or self.content).items():
            (final / path).parent.mkdir(parents=True, exist_ok=True)
            (final / path).write_bytes(data)

    def serve(self, count: int, lease_seconds: float = 60.0) -> None:
        for index in range(len(self.servers), count):
            server = PeerServer(uuid.uuid4().hex[:12], no_command)
            server.managed = False
            server.folder = str(self.folder / ("run%d" % index))
            self.servers.append(server)
            known = server.start(self.config(index, lease_seconds))
            self.members.append({"name": "host%d" % index, "address": "127.0.0.1", "port": known["port"]})

    def config(self, index: int, lease_seconds: float = 60.0, **other: Any) -> dict[str, Any]:
        files = [{"path": each.path, "size": each.size} for each in self.files]
        snapshots = served(self.place(index).store, [{"id": MODEL, "revision": COMMIT, "files": files}])
        known = {"address": "127.0.0.1", "port": 0, "token": TOKEN, "allow": ["127.0.0.1"], "snapshots": snapshots}
        return {**known, "lease_seconds": lease_seconds, **other}

    def given(self, me: int, roots: int = 1) -> dict[str, Any]:
        return {"me": me, "roots": roots, "members": self.members, "token": TOKEN, "folder": self.servers[me].folder}

    def bring(self, me: int, roots: int = 1) -> tuple[list[FileEntry], int, dict[str, Any]]:
        return from_neighbours(self.given(me, roots), self.listing, self.place(me), self.files, 2, lambda count: None)

    def holds(self, index: int) -> bool:
        data = Path(self.place(index).data)
        return all((data / path).read_bytes() == content for path, content in self.content.items() if content)

    def ask(self, index: int, where: str, token: str = TOKEN, **headers: str) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.members[index]["port"], timeout=10)
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", where, headers={"Authorization": "Bearer " + token, **extra})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body


def no_command(*_arguments: Any, **_more: Any) -> tuple[int, str, str]:
    return 1, "", ""


def where(path: str) -> str:
    return "/v1/%s/%s" % (snapshot_key(MODEL, COMMIT), file_key(path))


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Row]:
    """A model of one file in several ranges, one in one range, a small one and an empty one; pieces of 64 KiB."""
    monkeypatch.setattr(_part, "RANGE_BYTES", 1 << 20)
    for module in (_peer_client, _peer_fetch, _peers):
        monkeypatch.setattr(module, "piece_bytes", lambda size: 1 << 16, raising=False)
    monkeypatch.setattr("ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_unit.piece_bytes",
                        lambda size: 1 << 16)  # fmt: skip
    monkeypatch.setattr(_peer_fetch, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(_peer_fetch, "WAIT_SECONDS", 0.3)
    source = random.Random("row")
    content = {
        "model-1.safetensors": source.randbytes(3 * (1 << 20) + 12345),
        "model-2.safetensors": source.randbytes(700_001),
        "tokenizer/图 #1.json": b"{}",
        "empty.txt": b"",
    }
    row = Row(tmp_path, content)
    yield row
    for server in row.servers:
        server.stop()


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
    with pytest.raises(Problem) as caught:
        row.bring(1)
    assert caught.value.code == "model.run_over"


def test_the_wrong_token_gets_nothing(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    path = where("model-2.safetensors")
    assert row.ask(0, path, Range="bytes=0-9")[0] == 206
    assert row.ask(0, path, token="wrong", Range="bytes=0-9")[0] == 403
    assert row.ask(0, path, token="", Range="bytes=0-9")[0] == 403
    assert row.ask(0, path + "/pieces", token="wrong")[0] == 403


def test_only_ranges_of_files_of_the_snapshot_are_given(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    outside = Path(row.place(0).store) / "secret"
    outside.write_text("secret")
    (Path(row.place(0).final) / "more.txt").write_text("not of the snapshot")
    path = where("model-2.safetensors")
    assert row.ask(0, path)[0] == 400
    assert row.ask(0, path, Range="bytes=5-")[0] == 400
    assert row.ask(0, path, Range="bytes=0-700001")[0] == 416
    assert row.ask(0, path, Range="bytes=9-3")[0] == 416
    for name in ("/v1/%s/../../secret" % snapshot_key(MODEL, COMMIT), "/secret", where("more.txt"), where("../secret"),
                 "/v1/%s/model-2.safetensors" % snapshot_key(MODEL, COMMIT), "/"):  # fmt: skip
        assert row.ask(0, name, Range="bytes=0-3")[0] == 404, name


def test_a_link_in_the_store_leads_nowhere(row: Row) -> None:
    row.publish(0)
    file = Path(row.place(0).final) / "model-2.safetensors"
    file.unlink()
    file.symlink_to("/etc/passwd")
    row.serve(1)
    assert row.ask(0, where("model-2.safetensors"), Range="bytes=0-9")[0] == 204


def test_it_only_reads(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD"):
        connection = http.client.HTTPConnection("127.0.0.1", row.members[0]["port"], timeout=10)
        connection.request(method, where("model-2.safetensors"), headers={"Authorization": "Bearer " + TOKEN})
        assert connection.getresponse().status == 501
        connection.close()


def test_strangers_are_not_even_answered(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    server = PeerServer("stranger0000", no_command)
    server.managed, server.folder = False, str(row.folder / "closed")
    known = server.start(row.config(0, allow=["10.0.0.1"]))
    row.servers.append(server)
    row.members[0]["port"] = known["port"]
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        row.ask(0, where("model-2.safetensors"), Range="bytes=0-9")


def test_the_server_ends_when_nobody_renews_its_lease(row: Row) -> None:
    row.serve(1, lease_seconds=1.0)
    server = row.servers[0]
    begun = time.monotonic()
    while time.monotonic() - begun < 1.6:
        assert server.renew()
        time.sleep(0.1)
    known = server.ready()
    assert known
    deadline = time.monotonic() + 10
    while os.path.exists(server.folder):
        assert time.monotonic() < deadline, os.listdir(server.folder)
        time.sleep(0.05)
    assert not server.renew()
    while os.path.exists("/proc/%d/exe" % known["pid"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(ConnectionRefusedError):
        row.ask(0, "/")


def test_the_token_is_in_no_argument_list(row: Row) -> None:
    row.serve(1)
    known = row.servers[0].ready()
    assert known
    pid = known["pid"]
    for name in ("cmdline", "environ"):
        assert TOKEN.encode() not in Path("/proc/%d/%s" % (pid, name)).read_bytes()
    for file in Path(row.servers[0].folder).iterdir():
        assert TOKEN not in file.read_text()


@pytest.mark.parametrize("address", ["8.8.8.8", "0.0.0.0", "::", "2001:4860::1", "host", ""])
def test_a_public_address_is_refused(address: str) -> None:
    with pytest.raises(Problem) as caught:
        check_address(address)
    assert caught.value.code == "model.peer_address"


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.9", "172.16.0.1", "100.64.0.1", "fd00::1", "127.0.0.1"])
def test_a_private_address_is_taken(address: str) -> None:
    check_address(address)


def test_the_server_knows_the_files_of_ranges(row: Row) -> None:
    """Its own reading of ``.ranges`` agrees with who writes it."""
    row.serve(1)
    path = "model-1.safetensors"
    entry = next(each for each in row.files if each.path == path)
    part = Part(row.place(0).part(path), entry)
    assert part.ranges == 4
    part.open()
    part.write(2, row.content[path][2 << 20 : (2 << 20) + 3 * (1 << 16) + 5])
    part.close()
    time.sleep(0.1)
    _status, headers, body = row.ask(0, where(path) + "/pieces?known=0,0,1,0")
    begin = 2 << 20
    expected = [
        hashlib.sha256(row.content[path][begin + number * (1 << 16) : begin + (number + 1) * (1 << 16)]).hexdigest()
        for number in (1, 2)
    ]
    assert json.loads(body) == [[], [], expected, []]
    assert headers["X-Gpufleet-Have"] == str(3 * (1 << 16) + 5)
    assert row.ask(0, where(path), Range="bytes=%d-%d" % (begin, begin + 9))[2] == row.content[path][begin : begin + 10]
    assert row.ask(0, where(path), Range="bytes=0-9")[0] == 204
