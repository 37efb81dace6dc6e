# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""One answer from whichever source there is."""

from __future__ import annotations

from typing import Any

from . import kernel, nvml, reasons, smi

SCHEMA = 1
BACKENDS = ("auto", "nvml", "nvidia_smi")


def _nothing(driver: str | None, why: dict[str, Any]) -> dict[str, Any]:
    return {
        "driver_version": driver,
        "cuda_version": None,
        "gpus": [],
        "links": [],
        "faults": [],
        "reason": why,
        "backend": None,
    }


def _try(backend: str, run: smi.Runner, root: str) -> tuple[dict[str, Any] | None, int | None, str]:
    """(answer, None, "") or (None, NVML's return code if any, the driver's words)."""
    try:
        answer = nvml.read(root) if backend == "nvml" else smi.read(run, root)
    except (nvml.NvmlUnavailable, smi.SmiUnavailable) as error:
        return None, error.nvml_code, error.detail
    return answer, None, ""


def probe(run: smi.Runner, backend: str = "auto", root: str = "/") -> dict[str, Any]:
    """The fact ``gpufleet``. Never fails: where there is no usable GPU, ``reason`` says why and what would help.

    ``run`` starts a command (argument list -> status, output, errors); ``root`` is where /sys and /proc are mounted.
    """
    devices = kernel.pci_devices(root)
    driver = kernel.loaded_driver(root)
    answer = None
    code: int | None = None
    details = []
    for name in ("nvml", "nvidia_smi") if backend == "auto" else (backend,):
        answer, failed, detail = _try(name, run, root)
        if answer is not None:
            answer = dict(answer, backend=name, reason=None)
            break
        details.append(detail)
        # the first source that reached the driver knows best why it failed
        if code in (None, 12) and failed is not None:
            code, details = failed, [detail]
    if answer is None:
        missing = code in (None, 12)
        detail = "; ".join(details) if code is None else details[0]
        why = reasons.nothing_found(len(devices), detail) if missing else reasons.reason(code or 999, detail)
        answer = _nothing(driver, why)
    elif not answer["gpus"]:
        first = answer["faults"][0] if answer["faults"] else reasons.nothing_found(0)
        answer["reason"] = {key: first[key] for key in ("code", "message", "remedy", "nvml_code")}
    answer["driver_version"] = answer["driver_version"] or driver
    for gpu in answer["gpus"]:
        # Engines of ours give their memory back before the planned ones start: the planner wants to know them.
        gpu["processes"] = [dict(entry, unit=kernel.engine_unit(entry["pid"], root)) for entry in gpu["processes"]]
    return dict(answer, schema=SCHEMA, pci_devices=devices)
