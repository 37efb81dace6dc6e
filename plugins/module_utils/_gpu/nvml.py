# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Reads the GPUs through NVML (package nvidia-ml-py, imported as pynvml)."""

from __future__ import annotations

import glob
import importlib
import os
import sys
from typing import Any, Callable

from . import kernel, reasons

#: where the role gpu_probe puts the package, for whichever interpreter runs the module
_PROBES = "opt/gpufleet/runtimes/gpu-probe-*/lib/python3.*/site-packages"

pynvml: Any = None

#: enum nvmlGpuTopologyLevel -> the word of `nvidia-smi topo -m`
_TOPOLOGY = {0: "internal", 10: "pix", 20: "pxb", 30: "phb", 40: "node", 50: "sys"}
_P2P_READ, _P2P_NVLINK, _P2P_OK = 0, 2, 0
#: return codes that say "not here": 2 (a link that the card lacks), 3 not supported, 4 not for this user,
#: 13 and 25 an older driver, 999 (some virtual GPUs)
_NO_SUCH_VALUE = (2, 3, 4, 13, 25, 999)
#: usedGpuMemory of a process whose memory the driver cannot tell
_NO_VALUE = 2**64 - 1


class NvmlUnavailable(Exception):
    """NVML cannot be used at all; ``nvml_code`` is its return code, None where pynvml is missing."""

    def __init__(self, nvml_code: int | None, detail: str) -> None:
        super().__init__(detail)
        self.nvml_code = nvml_code
        self.detail = detail


def _optional(function: Callable[..., Any], *args: Any) -> Any:
    """The answer, or None where this card or driver has no such value. A fault of the card passes through."""
    try:
        return function(*args)
    except pynvml.NVMLError as error:
        if error.value in _NO_SUCH_VALUE:
            return None
        raise


def _memory(handle: Any) -> dict[str, int]:
    """Total, reserved and free bytes; reserved needs version 2 of the call (driver 510 and later)."""
    info = _optional(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    if info is not None:
        return {
            "memory_total_bytes": info.total,
            "memory_reserved_bytes": info.reserved,
            "memory_free_bytes": info.free,
        }
    info = _optional(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return {} if info is None else {"memory_total_bytes": info.total, "memory_free_bytes": info.free}


def _processes(handle: Any) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for kind, function in (
        ("compute", pynvml.nvmlDeviceGetComputeRunningProcesses),
        ("graphics", pynvml.nvmlDeviceGetGraphicsRunningProcesses),
    ):
        for process in _optional(function, handle) or []:
            used = process.usedGpuMemory
            memory = None if used is None or used == _NO_VALUE else used
            found.setdefault(process.pid, {"pid": process.pid, "kind": kind, "memory_bytes": memory})
    return [found[pid] for pid in sorted(found)]


def _gpu(index: int, handle: Any, root: str) -> dict[str, Any]:
    address = kernel.bus_id(_text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
    mig = _optional(pynvml.nvmlDeviceGetMigMode, handle)
    ecc = _optional(pynvml.nvmlDeviceGetEccMode, handle)
    display = _optional(pynvml.nvmlDeviceGetDisplayActive, handle)
    return {
        "index": index,
        "uuid": _text(pynvml.nvmlDeviceGetUUID(handle)),
        "name": _text(pynvml.nvmlDeviceGetName(handle)),
        "pci_bus_id": address,
        **_memory(handle),
        "compute_capability": "%d.%d" % pynvml.nvmlDeviceGetCudaComputeCapability(handle),
        "mig": None if mig is None else bool(mig[0]),
        "ecc": None if ecc is None else bool(ecc[0]),
        "display": bool(display),
        "numa_node": kernel.numa_node(address, root),
        "processes": _processes(handle),
    }


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _active_nvlinks(handle: Any) -> int:
    count = 0
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        state = _optional(pynvml.nvmlDeviceGetNvLinkState, handle, link)
        if state is None:
            break
        count += int(bool(state))
    return count


def _links(handles: dict[int, Any]) -> list[dict[str, Any]]:
    """One entry for each pair of GPUs: {a, b, kind, p2p}; kind is nvlink or the PCI topology between them."""
    nvlinks = {index: _active_nvlinks(handle) for index, handle in handles.items()}
    links = []
    for a in sorted(handles):
        for b in sorted(handles):
            if a >= b:
                continue
            pair = (handles[a], handles[b])
            level = _optional(pynvml.nvmlDeviceGetTopologyCommonAncestor, *pair)
            bridged = _optional(pynvml.nvmlDeviceGetP2PStatus, *pair, _P2P_NVLINK) == _P2P_OK
            readable = _optional(pynvml.nvmlDeviceGetP2PStatus, *pair, _P2P_READ)
            kind = "nvlink" if bridged and min(nvlinks[a], nvlinks[b]) else _TOPOLOGY.get(level, "unknown")
            links.append({"a": a, "b": b, "kind": kind, "p2p": None if readable is None else readable == _P2P_OK})
    return links


def _each_gpu(root: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    gpus, faults, handles = [], [], {}
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpus.append(_gpu(index, handle, root))
            handles[index] = handle
        except pynvml.NVMLError as error:
            # one lost card must not hide the other seven
            faults.append(dict(reasons.reason(error.value, str(error)), index=index))
    try:
        links = _links(handles)
    except pynvml.NVMLError as error:
        links = []
        faults.append(dict(reasons.reason(error.value, str(error)), index=None))
    return gpus, links, faults


def _load(root: str) -> bool:
    """Import the package: the pinned one of role gpu_probe, else the host's own. False where neither is there."""
    global pynvml
    added = sorted(glob.glob(os.path.join(root, _PROBES)), reverse=True)
    sys.path[:0] = added
    try:
        pynvml = pynvml or importlib.import_module("pynvml")
    except ImportError:
        return False
    finally:
        del sys.path[: len(added)]
    return True


def read(root: str = "/") -> dict[str, Any]:
    """Everything NVML knows: {driver_version, cuda_version, gpus, links, faults}. Raises NvmlUnavailable."""
    if not _load(root):
        raise NvmlUnavailable(None, "the Python module pynvml (package nvidia-ml-py) is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NvmlUnavailable(error.value, str(error)) from None
    try:
        cuda = _optional(pynvml.nvmlSystemGetCudaDriverVersion)
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        gpus, links, faults = _each_gpu(root)
    except pynvml.NVMLError as error:
        raise NvmlUnavailable(error.value, str(error)) from None
    finally:
        pynvml.nvmlShutdown()
    return {
        "driver_version": driver,
        "cuda_version": None if not cuda else "%d.%d" % (cuda // 1000, cuda % 1000 // 10),
        "gpus": gpus,
        "links": links,
        "faults": faults,
    }
