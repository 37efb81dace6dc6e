# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""A host that is described in the inventory instead of asked: for hardware that one does not have yet."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..errors import InventoryError
from ..report import cards
from .deployment_schema import bad_type

GIB = 2**30
VARIABLE = "gpufleet_described_host"
KEYS = ("gpus", "driver_version", "memory_gib", "cpus", "os", "default_ipv4", "models")
_CARD_KEYS = ("card", "count", "display", "held_mib", "nvlink")
_MODEL_KEYS = ("config", "weights_bytes", "tensors", "revision")
# What nobody described is as the roles want it, so that a plan speaks of what was described.
_OS = {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"}
_PYTHON = {"path": "/usr/bin/python3.11", "version": "3.11.2", "implementation": "cpython"}
_PLENTY = 2**45


def described_host(
    description: Any,
    deployments: Sequence[Mapping[str, Any]] = (),
    paths: Sequence[str] = (),
) -> dict[str, Any]:
    """What host_info, gpu_facts and model_info would answer of the host that ``description`` speaks of.

    Returns ``host``, ``gpu`` and ``models`` (by name of the deployment, those that are described). ``paths`` are the
    folders whose space is judged. Raises InventoryError.
    """
    data = _mapping(description, VARIABLE, KEYS)
    memory = _number(data.get("memory_gib", 1024), "memory_gib", 1, 2**20) * GIB
    gpus, links = _gpus(data.get("gpus") or [])
    reason = None if gpus else {"code": "gpu.no_device", "message": "None is described", "remedy": "Describe one"}
    space = {"nearest": "/", "device": 1, "total_bytes": _PLENTY, "free_bytes": _PLENTY, "read_only": False}
    return {
        "host": {
            "schema": 1,
            "os": {**_OS, **_os(data.get("os"))},
            "arch": "x86_64",
            "kernel": "",
            "systemd": {"running": True, "version": 257},
            "memory": {"total_bytes": memory, "available_bytes": memory},
            "cpus": _number(data.get("cpus", 64), "cpus", 1, 2**16),
            "filesystems": {path: dict(space) for path in paths},
            "markers": {},
            "folders": {path: {"real": path, "closed": None} for path in paths},
            "instances": [],
            "listeners": [],
            "pythons": [dict(_PYTHON)],
            "default_ipv4": data.get("default_ipv4") or "192.0.2.1",
        },
        "gpu": {
            "schema": 1,
            "driver_version": data.get("driver_version"),
            "gpus": gpus,
            "links": links,
            "faults": [],
            "reason": reason,
            "pci_devices": [],
        },
        "models": _models(data.get("models") or {}, deployments),
    }


def _gpus(entries: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The cards by index, and how each two of them are joined."""
    if not isinstance(entries, list):
        raise bad_type(VARIABLE + ".gpus", "a list of cards", entries)
    gpus: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    for position, raw in enumerate(entries):
        path = "%s.gpus[%d]" % (VARIABLE, position)
        entry = _mapping(raw, path, _CARD_KEYS)
        card = cards.find(str(entry.get("card") or ""))
        if card is None:
            raise InventoryError(
                "inventory.bad_type",
                "%s.card names a GPU that is known" % path,
                "It is %s; known are %s" % (entry.get("card"), ", ".join(known.key for known in cards.CARDS)),
                "Name one of these",
            )
        count = _number(entry.get("count", 1), path + ".count", 1, 64)
        held = _number(entry.get("held_mib", 0), path + ".held_mib", 0, 2**20) * 2**20
        joined = bool(entry.get("nvlink", card.nvlink))
        first = len(gpus)
        for index in range(first, first + count):
            facts = card.facts(index, held)
            facts.update(uuid="GPU-described-%d" % index, display=bool(entry.get("display", False)) and index == first)
            gpus.append(facts)
        links += [
            {"a": one, "b": other, "kind": "nvlink" if joined else "phb", "p2p": joined}
            for one in range(first, first + count)
            for other in range(one + 1, first + count)
        ]
    return gpus, links


def _models(described: Any, deployments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not isinstance(described, Mapping):
        raise bad_type(VARIABLE + ".models", "a mapping from deployments to models", described)
    out = {}
    for deployment in deployments:
        raw = described.get(deployment["name"])
        if raw is None or "model" not in deployment:
            continue
        path = "%s.models.%s" % (VARIABLE, deployment["name"])
        entry = _mapping(raw, path, _MODEL_KEYS)
        if not isinstance(entry.get("config"), Mapping):
            raise bad_type(path + ".config", "what config.json holds", entry.get("config"))
        wished = deployment["model"]
        size = entry.get("weights_bytes")
        out[deployment["name"]] = {
            "id": wished["id"],
            "source": wished["source"][0],
            "path": wished.get("path"),
            "revision": entry.get("revision") or wished.get("revision") or "described",
            "files": [],
            "total_bytes": size or 0,
            "weights_bytes": size,
            "config": entry["config"],
            "generation_config": None,
            "tensors": entry.get("tensors"),
        }
    return out


def _os(raw: Any) -> dict[str, str]:
    if raw is None:
        return {}
    data = _mapping(raw, VARIABLE + ".os", ("id", "version", "name"))
    found = {key: str(value) for key, value in data.items()}
    found.setdefault("name", "%s %s" % (found.get("id", "").capitalize(), found.get("version", "")))
    return found


def _mapping(raw: Any, path: str, keys: Sequence[str]) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise bad_type(path, "a mapping", raw)
    for key in raw:
        if key not in keys:
            raise InventoryError(
                "inventory.unknown_key",
                "%s takes the keys %s" % (path, ", ".join(keys)),
                "It has the key '%s'" % key,
                "Remove or correct it",
            )
    return dict(raw)


def _number(value: Any, path: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad_type(path, "an integer from %d to %d" % (least, most), value)
    return value
