# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours for tests: hosts are folders, each with a server as its own process on loopback."""

from __future__ import annotations

import hashlib
import http.client
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _part, _peer_client, _peer_fetch, _peers
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_client import file_key, snapshot_key
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_fetch import from_neighbours
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_unit import PeerServer, served
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
        self.watched = True

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

    def watch(self) -> None:
        """Renew the leases, as a play does."""
        while self.watched:
            for server in list(self.servers):
                server.renew()
            time.sleep(0.1)

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


@pytest.fixture(name="row")
def neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Row]:
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
    watching = threading.Thread(target=row.watch, daemon=True)
    watching.start()
    yield row
    row.watched = False
    watching.join()
    for server in row.servers:
        server.stop()
