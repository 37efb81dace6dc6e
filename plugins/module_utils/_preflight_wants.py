# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""What a host is to carry, as claims on ports, disk, memory and interpreters. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Bytes of an installed environment, as its lock states them, rounded up.
RUNTIME_BYTES = {"cpu": 2_500_000_000, "cuda": 8_000_000_000, "open-webui": 3_000_000_000}
# Open-WebUI 0.12 holds 780 MiB after its first start.
WEBUI_MEMORY_BYTES = 1024**3
WEBUI_UNIT = "open-webui.service"


def port_claims(deployments: Sequence[Mapping[str, Any]], webui_port: int | None) -> list[dict[str, Any]]:
    """Ports that shall be listened on: {who, port, unit, gone, remedy}.

    `gone` are units that have left the port before the claimant starts: instances are removed first, then stopped, then
    started by name, each after the one before it has answered on its own port; Open-WebUI comes last.
    """
    ended = {engine_unit(entry) for entry in deployments if entry["state"] != "present"}
    claims = [
        {
            "who": "Deployment '%s'" % entry["name"],
            "port": entry["port"],
            "unit": engine_unit(entry),
            "gone": ended | {engine_unit(other) for other in deployments if other["name"] < entry["name"]},
            "remedy": "Set `port:` of the deployment to another one, or stop that process",
        }
        for entry in deployments
        if entry["state"] == "present"
    ]
    if webui_port is not None:
        remedy = "Set open_webui_port to another one, or stop that process"
        moved = {engine_unit(entry) for entry in deployments if entry["port"] != webui_port}
        claims.append(
            {"who": "Open-WebUI", "port": webui_port, "unit": WEBUI_UNIT, "gone": ended | moved, "remedy": remedy}
        )
    return claims


def engine_unit(deployment: Mapping[str, Any]) -> str:
    """The unit of a deployment."""
    return "vllm@%s.service" % deployment["name"]


def disk_needs(
    deployments: Sequence[Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
    markers: Mapping[str, bool],
    webui_marker: str | None,
    runtimes_dir: str,
    models_dir: str,
) -> list[dict[str, Any]]:
    """What is still to be written: {what, path, bytes}. What has its completion marker already needs nothing more."""
    needs = {}
    for entry in deployments:
        if entry["state"] == "absent":
            continue
        runtime = runtime_marker(entry, runtimes_dir)
        if not markers.get(runtime):
            what = "vLLM %s for %s" % (entry["runtime"]["version"], entry["device"])
            needs[runtime] = {"what": what, "path": runtimes_dir, "bytes": RUNTIME_BYTES[entry["device"]]}
        model = models.get(entry["name"])
        if model and model["source"] != "path":
            marker = model_marker(model, models_dir)
            if not markers.get(marker):
                what = "model %s" % model["id"]
                needs[marker] = {"what": what, "path": models_dir, "bytes": model["total_bytes"]}
    if webui_marker and not markers.get(webui_marker):
        needs[webui_marker] = {"what": "Open-WebUI", "path": runtimes_dir, "bytes": RUNTIME_BYTES["open-webui"]}
    return list(needs.values())


def cache_needs(
    needs: Sequence[Mapping[str, Any]],
    filesystems: Mapping[str, Mapping[str, Any]],
    runtimes_dir: str,
    cache_dir: str,
) -> list[dict[str, Any]]:
    """What uv's cache takes beside `needs`: nothing on one file system, where it shares its files with the runtimes."""
    if filesystems[runtimes_dir]["device"] == filesystems[cache_dir]["device"]:
        return []
    return [
        {"what": "uv's cache of %s" % need["what"], "path": cache_dir, "bytes": need["bytes"]}
        for need in needs
        if need["path"] == runtimes_dir
    ]


def runtime_marker(deployment: Mapping[str, Any], runtimes_dir: str) -> str:
    """The file that says that a deployment's runtime is complete."""
    build = {"cpu": "cpu", "cuda": "cu130"}[deployment["device"]]
    runtime = deployment["runtime"]
    return "%s/%s-%s-%s/.gpufleet.json" % (runtimes_dir, runtime["provider"], runtime["version"], build)


def model_marker(model: Mapping[str, Any], models_dir: str) -> str:
    """The file that says that a model's snapshot is complete."""
    return "%s/%s/%s/.gpufleet.json" % (models_dir, model["id"], model["revision"])


def markers(
    deployments: Sequence[Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
    webui_marker: str | None,
    runtimes_dir: str,
    models_dir: str,
) -> list[str]:
    """All completion markers that tell what need not be written again."""
    wanted = [entry for entry in deployments if entry["state"] != "absent"]
    found = {runtime_marker(entry, runtimes_dir) for entry in wanted}
    found.update(model_marker(model, models_dir) for model in models.values() if model["source"] != "path")
    if webui_marker:
        found.add(webui_marker)
    return sorted(found)


def memory_needs(plan: Mapping[str, Any], webui: bool) -> list[dict[str, Any]]:
    """Main memory of the services: {what, bytes}. The plan itself refuses what one deployment alone cannot have."""
    parts = ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "kv_available_bytes")
    needs = [
        {"what": entry["name"], "bytes": sum(entry["memory"][part] for part in parts)}
        for entry in plan.get("instances", ())
        if entry["device"] == "cpu"
    ]
    if webui:
        needs.append({"what": "Open-WebUI", "bytes": WEBUI_MEMORY_BYTES})
    return needs


def runtimes(deployments: Sequence[Mapping[str, Any]], webui: bool) -> list[str]:
    """Runtimes whose interpreter is judged: vllm-cpu, vllm-cuda, open-webui."""
    wanted = sorted({"vllm-%s" % entry["device"] for entry in deployments if entry["state"] != "absent"})
    return wanted + (["open-webui"] if webui else [])
