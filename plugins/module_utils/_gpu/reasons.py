# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Why a GPU, or all of them, cannot be used: one class and one remedy for each NVML return code."""

from __future__ import annotations

from typing import Any

NO_DEVICE = "gpu.no_device"
NO_DRIVER = "gpu.no_driver"

#: NVML return code -> (class, what it means, what would fix it)
_BY_NVML = {
    4: (
        "gpu.no_permission",
        "this user may not talk to the GPU driver",
        "Run the play with become, or give the user read and write access to /dev/nvidia*",
    ),
    6: (
        NO_DEVICE,
        "the driver does not find the GPU",
        "Check that the card is seated, powered and passed through to this machine",
    ),
    8: ("gpu.no_power", "a GPU lacks its external power", "Connect the power cables of the card"),
    9: (
        "gpu.driver_not_loaded",
        "the NVIDIA kernel module is not loaded",
        "Load it (modprobe nvidia); if it is not built for the running kernel, install the kernel's headers "
        "and the driver again, or reboot into the kernel it was built for",
    ),
    11: (
        "gpu.irq",
        "the driver gets no interrupts from a GPU",
        "Look at the kernel log (dmesg) for NVRM lines; an update of the firmware or another slot fixes it",
    ),
    12: (NO_DRIVER, "libnvidia-ml.so.1 is not installed", "Install the NVIDIA driver"),
    13: ("gpu.driver_too_old", "the installed driver lacks a function that is needed", "Install a newer NVIDIA driver"),
    14: ("gpu.damaged", "the memory of settings on a GPU is corrupted", "Have the card replaced"),
    15: (
        "gpu.lost",
        "the GPU has fallen off the bus",
        "Look at the kernel log (dmesg) for Xid 79, then power-cycle the machine; if it comes again, check "
        "power and cooling",
    ),
    16: (
        "gpu.reset_required",
        "the GPU must be reset before it can be used",
        "Stop what uses it and run nvidia-smi --gpu-reset, or reboot",
    ),
    17: (
        "gpu.blocked",
        "the operating system or a cgroup keeps the GPU from this process",
        "Allow the /dev/nvidia* devices for this container or unit",
    ),
    18: (
        "gpu.driver_mismatch",
        "the loaded kernel module and the installed library are of different driver versions",
        "Reboot, or unload and load the nvidia modules; then hold the driver's packages so that an "
        "unattended upgrade cannot split them",
    ),
    20: ("gpu.no_resources", "the machine has no memory left to talk to the GPU", "Free memory"),
    23: ("gpu.no_resources", "the machine has no resources left to talk to the GPU", "Free memory"),
    25: (
        "gpu.driver_too_old",
        "the installed driver does not know this version of a structure",
        "Install a newer NVIDIA driver",
    ),
    10: (
        "gpu.timeout",
        "the driver did not answer in time",
        "Look at the kernel log (dmesg) for Xid lines; a reboot frees a driver that hangs",
    ),
}
_UNKNOWN = ("gpu.unknown", "the driver answered with an error", "Look at the kernel log (dmesg) for NVRM and Xid lines")


def reason(nvml_code: int, detail: str = "") -> dict[str, Any]:
    """A reason {code, message, remedy, nvml_code} for an NVML return code; ``detail`` is the driver's own words."""
    code, message, remedy = _BY_NVML.get(nvml_code, _UNKNOWN)
    if detail or code == _UNKNOWN[0]:
        message = "%s (%s)" % (message, detail.strip().rstrip(".") or "NVML error %d" % nvml_code)
    return {"code": code, "message": message, "remedy": remedy, "nvml_code": nvml_code}


def nothing_found(pci_devices: int, detail: str = "") -> dict[str, Any]:
    """The reason where neither NVML nor nvidia-smi exists; ``pci_devices`` counts the NVIDIA cards on the PCI bus."""
    if pci_devices:
        message = "%d NVIDIA card(s) on the PCI bus, but no driver is installed" % pci_devices
        answer = {"code": NO_DRIVER, "message": message, "remedy": _BY_NVML[12][2]}
    else:
        remedy = "Set `vllm_device: cpu` for this host, or check that the card is seated and passed through"
        answer = {"code": NO_DEVICE, "message": "there is no NVIDIA card on the PCI bus", "remedy": remedy}
    if detail and pci_devices:
        answer["message"] += " (%s)" % detail
    return dict(answer, nvml_code=None)
