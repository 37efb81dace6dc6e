# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Reads the GPUs through nvidia-smi: its XML report, and the two things that report lacks."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any, Callable

from . import kernel, reasons

#: runs a command: argument list in, (exit status, standard output, standard error) out
Runner = Callable[[list[str]], "tuple[int, str, str]"]

#: nvidia-smi waits for ever on a card that hangs in the driver
TIMEOUT_SECONDS = 60
_MIB = 1024 * 1024
#: exit status of the coreutils' timeout
_TIMED_OUT = 124
#: words of `nvidia-smi topo -m`
_TOPOLOGY = ("PIX", "PXB", "PHB", "NODE", "SYS")


class SmiUnavailable(Exception):
    """nvidia-smi cannot read the GPUs; ``nvml_code`` is the return code it stands for, None where it is missing."""

    def __init__(self, nvml_code: int | None, detail: str) -> None:
        super().__init__(detail)
        self.nvml_code = nvml_code
        self.detail = detail


def _nvml_code(status: int, text: str) -> int:
    """nvidia-smi's exit status is NVML's return code, with exceptions that its words tell."""
    if "version mismatch" in text:
        return 18
    if status == _TIMED_OUT:
        return 10
    if status == 10:  # its manual: "an interrupt issue", which NVML counts as 11
        return 11
    return status


def _call(run: Runner, *args: str) -> tuple[int, str, str]:
    return run(["timeout", "--kill-after=5", str(TIMEOUT_SECONDS), "nvidia-smi", *args])


def _text(element: ET.Element, path: str) -> str | None:
    """The text at ``path``; None where it is absent or the driver writes "N/A"."""
    found = (element.findtext(path) or "").strip()
    return None if not found or found.strip("[]") in ("N/A", "Not Supported", "Unknown Error") else found


def _bytes(element: ET.Element, path: str) -> int | None:
    """Bytes of "81559 MiB"; the report knows no finer unit."""
    match = re.match(r"(\d+) MiB$", _text(element, path) or "")
    return int(match.group(1)) * _MIB if match else None


def _enabled(element: ET.Element, path: str) -> bool | None:
    found = _text(element, path)
    return None if found is None else found in ("Enabled", "Yes")


def _memory(gpu: ET.Element) -> dict[str, int]:
    keys = {"memory_total_bytes": "total", "memory_reserved_bytes": "reserved", "memory_free_bytes": "free"}
    values = {key: _bytes(gpu, "fb_memory_usage/" + name) for key, name in keys.items()}
    return {key: value for key, value in values.items() if value is not None}


def _processes(gpu: ET.Element) -> list[dict[str, Any]]:
    found = []
    for process in gpu.findall("processes/process_info"):
        pid = _text(process, "pid")
        if pid is None:
            continue
        kind = "compute" if "C" in (_text(process, "type") or "") else "graphics"
        found.append({"pid": int(pid), "kind": kind, "memory_bytes": _bytes(process, "used_memory")})
    return sorted(found, key=lambda process: int(process["pid"]))


def _gpu(index: int, gpu: ET.Element, capabilities: dict[str, str], root: str) -> dict[str, Any]:
    address = kernel.bus_id(gpu.get("id", ""))
    uuid = _text(gpu, "uuid") or ""
    return {
        "index": index,
        "uuid": uuid,
        "name": _text(gpu, "product_name") or "",
        "pci_bus_id": address,
        **_memory(gpu),
        "compute_capability": capabilities.get(uuid),
        "mig": _enabled(gpu, "mig_mode/current_mig"),
        "ecc": _enabled(gpu, "ecc_mode/current_ecc"),
        "display": bool(_enabled(gpu, "display_active")),
        "numa_node": kernel.numa_node(address, root),
        "processes": _processes(gpu),
    }


def _capabilities(run: Runner) -> dict[str, str]:
    """uuid -> compute capability; the XML report does not hold it. Empty with drivers before 510."""
    status, out, _err = _call(run, "--query-gpu=uuid,compute_cap", "--format=csv,noheader")
    pairs = [line.split(",") for line in out.splitlines() if status == 0 and line.count(",") == 1]
    return {uuid.strip(): value.strip() for uuid, value in pairs}


def matrix(text: str) -> dict[tuple[int, int], str]:
    """A matrix of `nvidia-smi topo` as {(row, column): word}, both GPU indices."""
    cells = {}
    columns: list[str] = []
    # the header underlines its words with escape sequences, even into a pipe
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        words = line.split()
        if not columns:
            columns = [word for word in words if re.match(r"GPU\d+$", word)]
        elif words and words[0] in columns:
            for column, word in zip(columns, words[1:]):
                cells[int(words[0][3:]), int(column[3:])] = word
    return cells


def _links(run: Runner, indices: list[int]) -> list[dict[str, Any]]:
    if len(indices) < 2:
        return []
    topology = matrix(_call(run, "topo", "-m")[1])
    peers = matrix(_call(run, "topo", "-p2p", "r")[1])
    links = []
    for a, b in sorted(topology):
        if a >= b or a not in indices or b not in indices:
            continue
        word = topology[a, b]
        kind = "nvlink" if word.startswith("NV") else word.lower() if word in _TOPOLOGY else "unknown"
        peer = peers.get((a, b))
        links.append({"a": a, "b": b, "kind": kind, "p2p": None if peer is None else peer == "OK"})
    return links


def _report(run: Runner) -> ET.Element:
    status, out, err = _call(run, "-q", "-x")
    if status in (126, 127) and "<" not in out:
        raise SmiUnavailable(None, "nvidia-smi is not installed")
    if status != 0:
        detail = " ".join((out if "<" not in out else err).split())
        raise SmiUnavailable(_nvml_code(status, out + err), detail)
    try:
        # the document type points to a file that does not exist; the parser does not follow it
        return ET.fromstring(out)  # noqa: S314  the driver's own program is trusted
    except ET.ParseError as error:
        raise SmiUnavailable(999, "nvidia-smi's report is not XML: %s" % error) from None


def read(run: Runner, root: str = "/") -> dict[str, Any]:
    """Everything nvidia-smi knows: {driver_version, cuda_version, gpus, links, faults}. Raises SmiUnavailable."""
    report = _report(run)
    capabilities = _capabilities(run)
    gpus, faults = [], []
    for index, element in enumerate(report.findall("gpu")):
        gpu = _gpu(index, element, capabilities, root)
        if gpu["uuid"] and "memory_total_bytes" in gpu:
            gpus.append(gpu)
        else:
            # a lost card keeps its place in the list, with every value unknown
            faults.append(dict(reasons.reason(15, "nvidia-smi knows no values of it"), index=index))
    return {
        "driver_version": _text(report, "driver_version"),
        "cuda_version": _text(report, "cuda_version"),
        "gpus": gpus,
        "links": _links(run, [gpu["index"] for gpu in gpus]),
        "faults": faults,
    }
