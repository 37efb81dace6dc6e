# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closed network of a lab: a network namespace with one bridge, 10.66.0.1/16, and no way out."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.tools import run

BRIDGE = "br0"
GATEWAY = "10.66.0.1"
SUBNET = "10.66.0.0/16"


def namespace(lab: Lab) -> Path:
    """The file that stands for the lab's network namespace."""
    return Path("/run/netns") / lab.netns


def ensure(lab: Lab) -> None:
    """Make the namespace and its bridge, or finish what a killed run began."""
    if not namespace(lab).exists():
        run(["ip", "netns", "add", lab.netns])
    if not enter(lab, ["ip", "-o", "link", "show", "type", "bridge"]).stdout.strip():
        enter(lab, ["ip", "link", "add", BRIDGE, "type", "bridge"])
    if GATEWAY not in enter(lab, ["ip", "-o", "-4", "address", "show", "dev", BRIDGE]).stdout:
        enter(lab, ["ip", "address", "add", f"{GATEWAY}/16", "dev", BRIDGE])
    enter(lab, ["ip", "link", "set", "lo", "up"])
    enter(lab, ["ip", "link", "set", BRIDGE, "up"])
    # As a router without a way out it answers "unreachable" at once, where packets would vanish otherwise.
    enter(lab, ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])


def enter(lab: Lab, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a short command inside the namespace."""
    return run([*prefix(lab), *command])


def prefix(lab: Lab) -> list[str]:
    """What to put before a command to run it inside the namespace (unlike `ip netns exec` it keeps /sys)."""
    return ["nsenter", f"--net={namespace(lab)}"]


def address(index: int) -> str:
    """The address of the host with this index, from 0."""
    return f"10.66.{index // 250 + 1}.{index % 250 + 1}"


def remove(lab: Lab) -> None:
    """Delete the namespace; what hangs on its bridge goes with it."""
    if namespace(lab).exists():
        run(["ip", "netns", "delete", lab.netns])


def free_port(taken: set[int]) -> int:
    """A loopback port that nobody listens on now and that no host of this lab was given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
