# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""connect.py HOST PORT: standard input and output of this process become a TCP connection (ssh's ProxyCommand)."""

import os
import selectors
import socket
import sys


def main() -> None:
    """Copy both ways until the far side closes."""
    stream = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    stream.settimeout(None)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(stream, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is stream:
                    data = stream.recv(65536)
                    if not data:
                        return
                    while data:
                        data = data[os.write(1, data) :]
                else:
                    data = os.read(0, 65536)
                    if data:
                        stream.sendall(data)
                    else:
                        selector.unregister(0)
                        stream.shutdown(socket.SHUT_WR)


main()
