# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The inventory's deployments: merged by name, checked, and filled with defaults."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from ..errors import InvalidRequest, InventoryError
from ..values import plain
from . import deployment_schema as schema

VARIABLE = re.compile(r"vllm_deployments(__\w+)?")
DEFAULT_DEPLOYMENT = {"name": "qwen3-4b", "model": {"source": ["modelscope", "huggingface"], "id": "Qwen/Qwen3-4B"}}
DEFAULT_VERSION = "0.32.0"


def merge_deployments(
    variables: Mapping[str, Any],
    port_base: int = 8000,
    version: str = DEFAULT_VERSION,
    device: str = "cuda",
    held: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Merge the lists of ``vllm_deployments`` and every ``vllm_deployments__<x>``; other variables are ignored.

    ``vllm_deployments`` has the lowest rank; the others rank equal and override it key by key. Where two of them give
    one key different values, that is InventoryError ``inventory.conflict``. Returns complete deployments sorted by
    name; ``state: ignore`` is left out. ``held`` are the instances on the host, {name, port}: a deployment that names
    no port keeps the one it has there. Without any such variable the default deployment is returned.
    """
    try:
        lists = plain({name: value for name, value in variables.items() if VARIABLE.fullmatch(str(name))})
    except InvalidRequest as error:
        raise InventoryError(
            "inventory.bad_type", "Deployments are lists of mappings", str(error), "Correct that value"
        ) from None
    if not lists:
        lists = {"vllm_deployments": [DEFAULT_DEPLOYMENT]}
    merged: dict[str, _Merged] = {}
    for variable in sorted(lists, key=lambda name: (name != "vllm_deployments", name)):
        for name, entry in _by_name(variable, lists[variable]).items():
            merged.setdefault(name, _Merged(name)).add(variable, entry)
    complete = [merged[name].result for name in sorted(merged)]
    for entry in complete:
        if "model" not in entry and entry.get("state") not in ("absent", "ignore"):
            raise InventoryError(
                "inventory.missing_key",
                "Deployment '%s' (%s) needs a model" % (entry["name"], ", ".join(merged[entry["name"]].variables)),
                "It has no key 'model'",
                "Add model: {id: <organisation>/<name>} or model: {source: path, path: <folder>}",
            )
    kept = [entry for entry in complete if entry.get("state") != "ignore"]
    before = {str(entry["name"]): int(entry["port"]) for entry in held if entry.get("port")}
    ports = _ports(kept, schema.port(port_base, "vllm_port_base"), before)
    return [_filled(entry, ports[entry["name"]], version, device) for entry in kept]


def _by_name(variable: str, entries: Any) -> dict[str, dict[str, Any]]:
    """The checked deployments of one variable, by name."""
    if not isinstance(entries, list):
        raise schema.bad_type(variable, "a list of deployments", entries)
    out: dict[str, dict[str, Any]] = {}
    for index, raw in enumerate(entries):
        entry = schema.deployment(raw, "%s[%d]" % (variable, index))
        if entry["name"] in out:
            raise InventoryError(
                "inventory.duplicate_name",
                "%s describes deployments, each with its own name" % variable,
                "Two of its entries are named '%s'" % entry["name"],
                "Rename one of them, or join them into one entry",
            )
        out[entry["name"]] = entry
    return out


class _Merged:
    """One deployment while its parts come together; knows which variable set what."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.result: dict[str, Any] = {}
        self.variables: list[str] = []
        self._setters: dict[str, str] = {}

    def add(self, variable: str, entry: Mapping[str, Any]) -> None:
        self.variables.append(variable)
        self._merge(self.result, entry, "", variable)

    def _merge(self, target: dict[str, Any], entry: Mapping[str, Any], prefix: str, variable: str) -> None:
        for key, value in entry.items():
            path = prefix + key
            old = target.get(key)
            if isinstance(value, dict) and isinstance(old, dict):
                self._merge(old, value, path + ".", variable)
                continue
            setter = self._setter(path)
            if key in target and old != value and setter not in (None, "vllm_deployments"):
                raise InventoryError(
                    "inventory.conflict",
                    "Deployment '%s' gets its '%s' from the variables of one host" % (self.name, path),
                    "%s says %r and %s says %r, and neither outranks the other" % (setter, old, variable, value),
                    "Keep it in one of the two variables",
                )
            target[key] = schema.copied(value)
            self._record(path, value, variable)

    def _setter(self, path: str) -> str | None:
        """The highest-ranking variable that set ``path`` or anything below it."""
        found = [who for where, who in self._setters.items() if where == path or where.startswith(path + ".")]
        return max(found, key=lambda who: (who != "vllm_deployments", who)) if found else None

    def _record(self, path: str, value: Any, variable: str) -> None:
        for known in [where for where in self._setters if where.startswith(path + ".")]:
            del self._setters[known]
        if isinstance(value, dict):
            for key, entry in value.items():
                self._record(path + "." + key, entry, variable)
        else:
            self._setters[path] = variable


def _ports(deployments: list[dict[str, Any]], base: int, held: Mapping[str, int]) -> dict[str, int]:
    """A port for each name: the given one, else the one it has, else the first free one from ``base`` + slot.

    One that it has below ``base`` is given up. Slots go by name; ports of instances that no deployment names are not
    free, those of absent deployments are.
    """
    owners: dict[int, str] = {}
    claimants = [entry for entry in deployments if entry.get("state") != "absent"]
    for entry in claimants:
        if "port" in entry:
            other = owners.setdefault(entry["port"], entry["name"])
            if other != entry["name"]:
                raise InventoryError(
                    "inventory.duplicate_port",
                    "Each deployment of a host listens on its own port",
                    "'%s' and '%s' both have port %d" % (other, entry["name"], entry["port"]),
                    "Change one of them, or leave `port` out to have one chosen",
                )
    ports = {entry["name"]: entry["port"] for entry in deployments if "port" in entry}
    for entry in claimants:
        port = held.get(entry["name"], 0)
        if entry["name"] not in ports and port >= base and port not in owners:
            owners[port] = entry["name"]
            ports[entry["name"]] = port
    names = {entry["name"] for entry in deployments}
    strangers = {port for name, port in held.items() if name not in names}
    gone = [entry for entry in deployments if entry.get("state") == "absent"]
    for slot, entry in enumerate(claimants + gone):
        if entry["name"] not in ports:
            candidate = base + slot
            while candidate in owners or candidate in strangers:
                candidate += 1
            owners[candidate] = entry["name"]
            ports[entry["name"]] = schema.port(candidate, "the port of deployment '%s'" % entry["name"])
    return ports


def _filled(entry: Mapping[str, Any], port: int, version: str, device: str) -> dict[str, Any]:
    """``entry`` with every optional key present."""
    out = {
        "name": entry["name"],
        "state": entry.get("state", "present"),
        "served_name": entry.get("served_name", entry["name"]),
        "port": port,
        "device": entry.get("device", device),
        "workload": dict(entry.get("workload") or {}),
        "gpus": dict(entry.get("gpus") or {}),
        "runtime": {"provider": "venv", "version": version, **(entry.get("runtime") or {})},
        "engine_args": dict(entry.get("engine_args") or {}),
        "env": dict(entry.get("env") or {}),
        "start_timeout_seconds": entry.get("start_timeout_seconds"),
    }
    if "model" in entry:
        out["model"] = schema.filled_model(entry["name"], entry["model"])
    return out
