# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Serves files of some snapshots to neighbours, for the length of one play.

A program of its own, which model_peer writes onto the host: standard library only, no import from the collection. It is
started as ``server.py CONFIG FOLDER`` and keeps two files in FOLDER: ``ready.json`` with its port, and ``lease``, which
the play touches. It ends when nobody has touched that for ``lease_seconds``, and in any case after ``limit_seconds``.

``GET /v1/<snapshot>/<file>`` with a range gives just this range as soon as it is there, or 204 when it is not within
the seconds of ``X-Gpufleet-Wait``. ``.../pieces?known=N,N`` gives the SHA-256 of the pieces of each range that are
hashed by now, after the first N; it waits until there is one, and hashes on for a while after the answer.
``.../state`` gives the headers alone.
Files have opaque names that are looked up in the configuration: no path comes from the network.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import ipaddress
import json
import math
import os
import re
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LONGEST_WAIT_SECONDS = 20.0
POLL_SECONDS = 0.05
# So long after the last question hashes are computed ahead of the next one; then they rest until it comes.
AHEAD_SECONDS = 10.0
# Between two looks at what is there now.
STEP_SECONDS = 1.0
# More connections than this at once no neighbour has.
MOST_CONNECTIONS = 128
MAGIC = b"gpufleet"
RANGE = re.compile(r"^bytes=(\d{1,15})-(\d{1,15})$")


class Served:
    """One file: ranges of ``step`` bytes that grow side by side while it is fetched, each in pieces of ``piece`` bytes.

    ``paths`` are where it may lie whole, then where it lies under way; beside the last one ``.ranges`` may say how much
    of each range is there (magic, size, step, then a count per range; 64 bits each).
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.size: int = config["size"]
        self.step: int = config["step"]
        self.piece: int = config["piece"]
        self.whole_paths, self.part = config["paths"][:-1], config["paths"][-1]
        self.ranges = max(1, -(-self.size // self.step)) if self.size else 1
        self._hashes: list[list[str]] = [[] for _each in range(self.ranges)]
        self._more = threading.Condition()
        self._asked = 0.0
        self._hashing = False
        self._known: tuple[float, list[int]] = (0.0, [])

    def length(self, index: int) -> int:
        return min(self.step, self.size - index * self.step)

    def open(self) -> tuple[int, list[int]]:
        """(descriptor or -1, bytes of each range that are there). It may move to its next place at any moment."""
        for path in (*self.whole_paths, self.part, *self.whole_paths):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                continue
            there = os.fstat(descriptor).st_size
            if path == self.part:
                return descriptor, self._counts(there)
            if there == self.size:
                return descriptor, [self.length(index) for index in range(self.ranges)]
            os.close(descriptor)
        return -1, [0] * self.ranges

    def _counts(self, there: int) -> list[int]:
        data = b""
        if self.ranges > 1:
            with contextlib.suppress(OSError), open(self.part + ".ranges", "rb") as handle:
                data = handle.read()
        if len(data) == 24 + 8 * self.ranges and struct.unpack_from("<8sQQ", data) == (MAGIC, self.size, self.step):
            counts = [each[0] for each in struct.iter_unpack("<Q", data[24:])]
            return [min(count, self.length(index)) for index, count in enumerate(counts)]
        return [max(0, min(self.length(index), there - index * self.step)) for index in range(self.ranges)]

    def counts(self) -> list[int]:
        """As ``open``, without a descriptor and at most a moment old: many neighbours ask for it."""
        then, counts = self._known
        if not counts or time.monotonic() - then > POLL_SECONDS:
            descriptor, counts = self.open()
            if descriptor >= 0:
                os.close(descriptor)
            self._known = (time.monotonic(), counts)
        return counts

    def has(self, counts: list[int], first: int, last: int) -> bool:
        index = first // self.step
        return last < index * self.step + counts[index]

    def pieces(self, counts: list[int]) -> list[int]:
        """How many pieces of each range are there to their end."""
        return [
            -(-count // self.piece) if count == self.length(index) else count // self.piece
            for index, count in enumerate(counts)
        ]

    def hashes(self, known: list[int], until: float) -> list[list[str]]:
        """For each range the hashes of its pieces after the first ``known``, as soon as there is one, or at ``until``.

        A large file takes longer to hash than any neighbour waits, so a thread does it, and tells of each piece.
        """
        with self._more:
            while True:
                self._asked = time.monotonic()
                if not self._hashing and self._behind():
                    self._hashing = True
                    threading.Thread(target=self._hash_ahead, daemon=True).start()
                found = [each[count:] for each, count in zip(self._hashes, known)]
                left = until - self._asked
                if any(found) or left <= 0:
                    return found
                self._more.wait(min(left, POLL_SECONDS))

    def _behind(self) -> bool:
        return [len(each) for each in self._hashes] != self.pieces(self.counts())

    def _hash_ahead(self) -> None:
        try:
            while time.monotonic() - self._asked < AHEAD_SECONDS and self._hash_step():
                continue
        finally:
            with self._more:
                self._hashing = False

    def _hash_step(self) -> bool:
        """Hash what is there, but look again after a moment. False: there is nothing new."""
        descriptor, counts = self.open()
        if descriptor < 0:
            return False
        end, new = time.monotonic() + STEP_SECONDS, False
        try:
            for index, count in enumerate(self.pieces(counts)):
                if count < len(self._hashes[index]):
                    with self._more:
                        self._hashes[index] = []  # what was under way turned out wrong and has begun again
                while len(self._hashes[index]) < count and time.monotonic() < end:
                    digest = self._hash(descriptor, index, len(self._hashes[index]))
                    with self._more:
                        self._hashes[index].append(digest)
                        self._more.notify_all()
                    new = True
        finally:
            os.close(descriptor)
        return new

    def _hash(self, descriptor: int, index: int, number: int) -> str:
        digest = hashlib.sha256()
        offset = index * self.step + number * self.piece
        end = min(offset + self.piece, index * self.step + self.length(index))
        while offset < end:
            data = os.pread(descriptor, min(1 << 20, end - offset), offset)
            if not data:
                break
            digest.update(data)
            offset += len(data)
        return digest.hexdigest()


class Snapshot:
    """The files of one snapshot, and whether a run on this host is fetching it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.lock = config["lock"]
        self._progress: str = config["progress"]
        self.files = {name: Served(each) for name, each in config["files"].items()}
        self._seen = False
        self._looked = (0.0, False)

    def state(self) -> str:
        """``fetching``, ``waiting`` (nobody has begun) or ``ended`` (somebody had begun, and no longer does)."""
        then, held = self._looked
        if time.monotonic() - then > 0.5:
            held = self._held()
            self._looked = (time.monotonic(), held)
        self._seen = self._seen or held
        return "fetching" if held else "ended" if self._seen else "waiting"

    def moved(self) -> str:
        """Changes whenever the run that fetches gets on, be it with another file, or hashing what the host has."""
        try:
            return str(os.stat(self._progress).st_mtime_ns)
        except OSError:
            return ""

    def _held(self) -> bool:
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, config: dict[str, Any]) -> None:
        self.token = config["token"].encode()
        self.allowed = {ipaddress.ip_address(each) for each in config["allow"]}
        self.snapshots = {key: Snapshot(each) for key, each in config["snapshots"].items()}
        self._open: dict[str, int] = {}
        self._guard = threading.Lock()
        if ":" in config["address"]:
            self.address_family = socket.AF_INET6
        super().__init__((config["address"], config["port"]), Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        try:
            known = ipaddress.ip_address(client_address[0])
        except ValueError:
            return False
        with self._guard:
            return known in self.allowed and self._open.get(client_address[0], 0) < MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        self._count(client_address[0], 1)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._count(client_address[0], -1)

    def _count(self, address: str, change: int) -> None:
        with self._guard:
            self._open[address] = self._open.get(address, 0) + change

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A neighbour that goes away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    timeout = 120.0

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: nothing of a request is kept."""

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, b"Bearer " + self.server.token):
            self.close_connection = True
            return self.answer(403)
        parts = urlsplit(self.path)
        found = re.match(r"^/v1/([0-9a-f]{64})/([0-9a-f]{64})(/pieces|/state)?$", parts.path)
        snapshot = self.server.snapshots.get(found.group(1)) if found else None
        served = snapshot.files.get(found.group(2)) if snapshot and found else None
        if found is None or snapshot is None or served is None:
            return self.answer(404)
        if found.group(3) == "/state":
            return self.answer(204, headers=self.about(snapshot, served, served.counts()))
        if found.group(3):
            return self.send_hashes(snapshot, served, parse_qs(parts.query).get("known", [""])[0])
        wanted = RANGE.match(self.headers.get("Range", ""))
        if not wanted:
            return self.answer(400)
        first, last = int(wanted.group(1)), int(wanted.group(2))
        if first > last or last >= served.size or first // served.step != last // served.step:
            return self.answer(416)
        return self.send_range(snapshot, served, first, last)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def about(self, snapshot: Snapshot, served: Served, counts: list[int]) -> dict[str, str]:
        state = "whole" if sum(counts) == served.size else snapshot.state()
        about = {"X-Gpufleet-State": state, "X-Gpufleet-Have": str(sum(counts))}
        return {**about, "X-Gpufleet-Moved": snapshot.moved()} if state == "fetching" else about

    def patience(self) -> float:
        """Until when the neighbour wants to wait for something new."""
        try:
            seconds = float(self.headers.get("X-Gpufleet-Wait", "0"))
        except ValueError:
            return 0.0
        return time.monotonic() + min(seconds, LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else 0.0

    def send_hashes(self, snapshot: Snapshot, served: Served, text: str) -> None:
        words = text.split(",")[: served.ranges]
        known = [int(each) if each.isdigit() and len(each) < 12 else 0 for each in words]
        known += [0] * (served.ranges - len(known))
        body = json.dumps(served.hashes(known, self.patience())).encode()
        self.answer(200, body, self.about(snapshot, served, served.counts()))

    def send_range(self, snapshot: Snapshot, served: Served, first: int, last: int) -> None:
        until = self.patience()
        while not served.has(served.counts(), first, last):
            if time.monotonic() >= until:
                return self.answer(204, headers=self.about(snapshot, served, served.counts()))
            time.sleep(POLL_SECONDS)
        descriptor, counts = served.open()
        if descriptor < 0 or not served.has(counts, first, last):
            return self.answer(204, headers=self.about(snapshot, served, counts))
        with open(descriptor, "rb", buffering=0) as handle:
            count = last - first + 1
            self.send_response(206)
            for name, value in self.about(snapshot, served, counts).items():
                self.send_header(name, value)
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, served.size))
            self.send_header("Content-Length", str(count))
            self.end_headers()
            if self.connection.sendfile(handle, first, count) != count:
                self.close_connection = True
        return None


def write(folder: str, name: str, text: str) -> None:
    path = os.path.join(folder, name)
    with open(path + ".new", "w", encoding="utf-8") as handle:
        handle.write(text)
    os.replace(path + ".new", path)


def lease_holds(folder: str, config: dict[str, Any]) -> None:
    """Return when the lease is over. Times are those since boot: nobody's clock is set to end or stretch it."""
    lease = os.path.join(folder, "lease")
    begun = renewed = time.monotonic()
    known = os.stat(lease).st_mtime_ns
    while time.monotonic() - renewed < config["lease_seconds"] and time.monotonic() - begun < config["limit_seconds"]:
        time.sleep(0.25)
        try:
            now = os.stat(lease).st_mtime_ns
        except FileNotFoundError:
            return
        if now != known:
            known, renewed = now, time.monotonic()


def main(config_path: str, folder: str) -> None:
    with open(config_path, encoding="utf-8") as handle:
        config = json.load(handle)
    server = Server(config)
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()
    try:
        write(folder, "lease", "")
        write(folder, "ready.json", json.dumps({"schema": 1, "port": server.server_address[1], "pid": os.getpid()}))
        lease_holds(folder, config)
    finally:
        for name in ("ready.json", "lease"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))
        if config.get("remove"):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
