# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import ipaddress

# Where neighbours reach each other and nobody else does: RFC 1918, the shared addresses of providers (RFC 6598), and
# the unique local ones of IPv6. Python calls more private than that: loopback, link-local, documentation, reserved.
_NETWORKS = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def is_private(address: str) -> bool:
    """Whether neighbours, and only they, may be expected to reach this address."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(known in network for network in _NETWORKS)
