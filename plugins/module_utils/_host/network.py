# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFADDR = 0x8915


def default_ipv4() -> str | None:
    """The address that this host uses toward its default route; without one, its first address that is not loopback.

    Connecting a datagram socket sends nothing: the kernel only picks the source address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return _first_ipv4(probe)
        return str(probe.getsockname()[0])


def _first_ipv4(probe: socket.socket) -> str | None:
    for _index, name in socket.if_nameindex():
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            continue  # an interface without an IPv4 address
        address = socket.inet_ntoa(answer[20:24])
        if not address.startswith("127."):
            return address
    return None
