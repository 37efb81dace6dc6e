# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way out of the closed network, for hosts that ask for it: an HTTP proxy to the machine's package registries.

Hosts with a network of their own can do what hosts on the machine's network cannot (bridges, packet filters, Docker).
The proxy listens inside the lab's network and connects from the machine's; it forwards plain requests and CONNECT.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.lab import service
from tests.lab.lab import Lab
from tests.lab.network import GATEWAY

SERVICE = "packages"
HEAD_LIMIT = 65536
CLONE_NEWNET = 0x40000000


def url(lab: Lab) -> str:
    """The proxy of ``lab`` as hosts on the bridge use it."""
    return f"http://{GATEWAY}:{_port_file(lab).read_text().strip()}"


def _port_file(lab: Lab) -> Path:
    return service.folder(lab, SERVICE) / "port"


def ensure(lab: Lab) -> None:
    """Start the proxy of ``lab``, once. The network of this very process is the one it leads to."""
    port_file = _port_file(lab)
    if not service.running(lab, SERVICE):
        port_file.parent.mkdir(parents=True, exist_ok=True)
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.lab.packages", str(os.getpid()), str(port_file)]
        service.start(lab, SERVICE, command, bridge=True)
        service.await_until(lab, SERVICE, port_file.exists)


async def serve(machine_network: int, port_file: Path) -> None:
    """Listen on the bridge; leave its network, which the listening socket stays in; forward for ever."""
    server = await asyncio.start_server(_forward, GATEWAY, 0, limit=HEAD_LIMIT)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(machine_network, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the machine's network")
    scratch = port_file.with_suffix(".new")
    scratch.write_text(str(server.sockets[0].getsockname()[1]))
    scratch.replace(port_file)
    async with server:
        await server.serve_forever()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, version = head.split(b"\r\n", 1)[0].decode("latin-1").split()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ConnectionError):
            return
        tunnel = method == "CONNECT"
        url = urlsplit("//" + target if tunnel else target)
        try:
            there, out = await asyncio.open_connection(url.hostname, url.port or 80)
        except (OSError, ValueError) as error:
            writer.write(f"{version} 502 Bad Gateway\r\nContent-Length: 0\r\nX-Reason: {error}\r\n\r\n".encode())
            return
        with contextlib.closing(out):
            if tunnel:
                writer.write(f"{version} 200 Connection established\r\n\r\n".encode())
            else:
                out.write(_own_request(head, url.path or "/", url.query, url.netloc))
            await _both_ways(reader, writer, there, out)


def _own_request(head: bytes, path: str, query: str, place: str) -> bytes:
    """The request as the server wants it: a path in place of the URL, and the connection closed after the answer.

    The next request of the same client may be for another server.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, version = first.split()
    kept = [line for line in lines if line and line.lower().partition(":")[0] not in ("connection", "proxy-connection")]
    target = path + ("?" + query if query else "")
    if not any(line.lower().startswith("host:") for line in kept):
        kept.append(f"Host: {place}")
    return "\r\n".join([f"{method} {target} {version}", *kept, "Connection: close", "", ""]).encode("latin-1")


async def _both_ways(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: asyncio.StreamReader, out: asyncio.StreamWriter
) -> None:
    """Pass bytes in both directions until the server has ended its side."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(HEAD_LIMIT):
                target.write(data)
                await target.drain()

    sending = asyncio.create_task(pump(reader, out))
    try:
        await pump(there, writer)
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending


def main(arguments: list[str]) -> int:
    """PID PORT_FILE: the process whose network leads out, and where the port is written."""
    # opened while still in the lab's network: /proc shows both
    machine_network = os.open(f"/proc/{arguments[0]}/ns/net", os.O_RDONLY)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(machine_network, Path(arguments[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
