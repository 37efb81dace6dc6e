# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""A request put together from what the modules found, so that playbooks need no logic for it."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..report import cards
from .specs import BUILDS

MEASURED = (
    "weights_bytes", "activation_peak_bytes", "non_torch_bytes", "cuda_graph_bytes", "kv_available_bytes", "kv_tokens",
)  # fmt: skip
_DEPLOYMENT_KEYS = ("name", "gpus", "workload", "engine_args", "device")


def build_request(
    deployments: Sequence[Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
    host: Mapping[str, Any],
    gpu_facts: Mapping[str, Any] | None = None,
    device: str = "cuda",
) -> dict[str, Any]:
    """The planner's request for one host.

    ``deployments``: from merge_deployments; absent ones are left out, but their units count as gone. ``models``:
    deployment name to model_info's model. ``host``: host_info's answer (``memory.total_bytes``, ``cpus``, and
    ``instances`` with the GPUs that they have). ``gpu_facts``: what gpu_facts returned as ``ansible_facts.gpufleet``;
    before there is a driver its PCI ids give a provisional plan.
    """
    facts = dict(gpu_facts or {})
    wanted = [entry for entry in deployments if entry["state"] != "absent"]
    measured = [_measured(entry) for entry in host.get("instances") or () if entry.get("measured")]
    held = {entry["name"]: entry.get("gpu_uuids") or [] for entry in host.get("instances") or ()}
    request: dict[str, Any] = {
        "vllm_version": wanted[0]["runtime"]["version"] if wanted else "0.32.0",
        "gpus": [{key: value for key, value in gpu.items() if value is not None} for gpu in facts.get("gpus") or ()]
        or provisional_gpus(facts),
        "deployments": [
            _deployment(entry, models.get(entry["name"]) or {}, held.get(entry["name"]) or []) for entry in wanted
        ],
        "units": ["vllm@%s.service" % entry["name"] for entry in deployments],
        "runtime": {"device": device},
        "host": {},
    }
    if facts.get("links"):
        request["links"] = facts["links"]
    if measured:
        request["measured"] = measured
    memory = host.get("memory") or {}
    if memory.get("total_bytes"):
        request["host"]["memory_bytes"] = memory["total_bytes"]
    if host.get("cpus"):
        request["host"]["cpus"] = host["cpus"]
    if facts.get("driver_version"):
        request["driver_version"] = facts["driver_version"]
    reason = facts.get("reason") or {}
    if reason.get("message"):
        request["gpu_reason"] = reason["message"]
    if reason.get("remedy"):
        request["gpu_remedy"] = reason["remedy"]
    return request


def provisional_gpus(gpu_facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cards of a host whose driver does not answer, from their PCI ids; empty where one of them is not known.

    All their memory counts as free: nothing can hold it without a driver.
    """
    found = [cards.find(device.get("card") or "") for device in gpu_facts.get("pci_devices") or ()]
    if gpu_facts.get("gpus") or None in found:
        return []
    return [card.facts(index) for index, card in enumerate(found) if card is not None]


def _measured(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the role recorded of an engine's last start, in the words of the request."""
    kept = entry["measured"]
    sizes = {key: value for key, value in (kept.get("measured") or {}).items() if key in MEASURED}
    found = {"deployment": entry["name"], "vllm_version": kept.get("vllm_version") or "", **sizes}
    if kept.get("fingerprint"):
        found["fingerprint"] = kept["fingerprint"]
    return found


def _deployment(entry: Mapping[str, Any], model: Mapping[str, Any], held: Sequence[str]) -> dict[str, Any]:
    out = {key: entry[key] for key in _DEPLOYMENT_KEYS if entry.get(key)}
    out["runtime"] = {"version": entry["runtime"]["version"], "build": BUILDS[entry["device"]]}
    if held:
        out["placement"] = {"uuids": list(held)}
    out["model"] = {"id": entry["model"]["id"], "config": model.get("config") or {}}
    for key in ("weights_bytes", "tensors"):
        if model.get(key):
            out["model"][key] = model[key]
    return out
