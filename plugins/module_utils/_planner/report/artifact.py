# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What is kept of a host's plan: plain values for programs, from which the page for people is made."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .besides import besides

SCHEMA = 1


def artifact(
    host: str,
    answer: Mapping[str, Any],
    request: Mapping[str, Any],
    specs: Sequence[Mapping[str, Any]] = (),
    problems: Sequence[Mapping[str, Any]] = (),
    compared: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """``answer`` to ``request`` with the GPUs that it is about, what would fit beside it, ``problems`` of the host
    ({code, host, message}) and, by instance, predicted figures beside measured ones. Sizes are bytes.
    """
    gpus = [gpu_memory(gpu, answer) for gpu in request.get("gpus", ())]
    left = [gpu["left_bytes"] / gpu["usable_bytes"] for gpu in gpus if gpu["instances"] and gpu["usable_bytes"]]
    return {
        "schema": SCHEMA,
        "host": host,
        "driver_version": request.get("driver_version"),
        "host_memory_bytes": (request.get("host") or {}).get("memory_bytes"),
        "gpus": gpus,
        "plan": answer,
        "specs": list(specs),
        "besides": besides(request, answer, left),
        "problems": [dict(entry) for entry in problems],
        "compared": {name: [dict(row) for row in rows] for name, rows in (compared or {}).items() if rows},
    }


PARTS = ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "cuda_graph_bytes", "kv_available_bytes")


def gpu_memory(gpu: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """One GPU: ``usable_bytes``, what ``others`` hold, the parts of each instance on it, and what is ``left_bytes``."""
    usable = gpu.get("memory_usable_bytes")
    if usable is None:
        usable = (gpu.get("memory_total_bytes") or 0) - (gpu.get("memory_reserved_bytes") or 0)
    free = gpu.get("memory_free_bytes")
    others = max(0, usable - free - _own(gpu, answer)) if free is not None else 0
    shares = [
        {"instance": instance["name"], **parts(instance, gpu["index"], usable - others)}
        for instance in answer["instances"]
        if gpu["index"] in instance["gpu_indices"]
    ]
    held = sum(size for share in shares for name, size in share.items() if name != "instance")
    return {
        "index": gpu["index"],
        "name": gpu["name"],
        "uuid": gpu.get("uuid"),
        "display": bool(gpu.get("display")),
        "usable_bytes": usable,
        "others_bytes": others,
        "instances": shares,
        "left_bytes": usable - others - held,
    }


def _own(gpu: Mapping[str, Any], answer: Mapping[str, Any]) -> int:
    """Memory that the planned engines hold while they run: it is given back before they start anew."""
    units = {"vllm@%s.service" % instance["name"] for instance in answer["instances"]}
    return sum(entry.get("memory_bytes") or 0 for entry in gpu.get("processes") or () if entry.get("unit") in units)


def parts(instance: Mapping[str, Any], index: int, free: int) -> dict[str, int]:
    """Bytes of ``instance`` on GPU ``index`` by part: rank 0's, unless the answer has that rank's own.

    ``context_bytes`` are those that CUDA takes beside vLLM's budget: of the ``free`` bytes what is in no other part and
    is not left over.
    """
    found = instance["memory"]
    for entry in instance.get("ranks") or ():
        if entry.get("gpu_index") == index:
            found = {**found, **entry}
    sizes = {part: max(0, found.get(part) or 0) for part in PARTS}
    sizes["context_bytes"] = max(0, free - sum(sizes.values()) - found["headroom_bytes"])
    return sizes
