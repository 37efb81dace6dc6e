# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""What the kernel tells without the driver's library: PCI devices, NUMA nodes, the loaded module's version."""

from __future__ import annotations

import os
import re
from typing import Any

from .pci_ids import card_of

NVIDIA_VENDOR = "0x10de"
#: PCI base class "display controller": VGA (0300) and 3D (0302)
DISPLAY_CLASS = "0x03"


def _line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""


def bus_id(text: str) -> str:
    """A PCI address as the kernel writes it ("0000:18:00.0"), from any of the driver's spellings."""
    domain, bus, rest = text.strip().lower().rsplit(":", 2)
    return "%04x:%s:%s" % (int(domain, 16), bus, rest)


def pci_devices(root: str = "/") -> list[dict[str, Any]]:
    """NVIDIA display controllers: [{pci_bus_id, device_id, card, numa_node}], by address."""
    base = os.path.join(root, "sys/bus/pci/devices")
    found = []
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
        folder = os.path.join(base, name)
        if _line(os.path.join(folder, "vendor")) != NVIDIA_VENDOR:
            continue
        if not _line(os.path.join(folder, "class")).startswith(DISPLAY_CLASS):
            continue
        device = _line(os.path.join(folder, "device"))
        found.append(
            {
                "pci_bus_id": name,
                "device_id": device[2:],
                "card": card_of(device[2:]),
                "numa_node": numa_node(name, root),
            }
        )
    return found


def numa_node(address: str, root: str = "/") -> int | None:
    """The NUMA node a device hangs on; None where the kernel does not say (-1: one node)."""
    text = _line(os.path.join(root, "sys/bus/pci/devices", address, "numa_node"))
    return int(text) if text.isdigit() else None


def engine_unit(pid: int, root: str = "/") -> str | None:
    """The unit ``vllm@<name>.service`` that a process belongs to; None for any other process, and for none."""
    try:
        with open(os.path.join(root, "proc", str(pid), "cgroup"), encoding="utf-8", errors="replace") as stream:
            match = re.search(r"/(vllm@[^/\n]+\.service)(?:/|$)", stream.read(65536), re.MULTILINE)
    except OSError:
        return None
    return match.group(1) if match else None


def loaded_driver(root: str = "/") -> str | None:
    """Version of the loaded kernel module, which can differ from that of the installed library."""
    text = _line(os.path.join(root, "proc/driver/nvidia/version"))
    match = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return match.group(1) if match else None
