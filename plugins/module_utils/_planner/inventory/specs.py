# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Instance specs: what role vllm_instance renders, one for each deployment, with its revision."""

from __future__ import annotations

import hashlib
import json
from math import ceil
from typing import Any, Mapping, Sequence

from ..arguments.config_file import config_file
from ..errors import InventoryError

MODELS_DIR = "/var/lib/gpufleet/models"
RUNTIMES_DIR = "/opt/gpufleet/runtimes"
BUILDS = {"cpu": "cpu", "cuda": "cu130"}
SLOW_DISK_BYTES_PER_SECOND = 100 * 10**6  # a network disk on a bad day; a local one is ten times as fast
START_SECONDS = {"cpu": 300, "cuda": 600}  # imports, then on a GPU compiling and capturing graphs, all of it cold
START_STEP_SECONDS = 60
OFFLINE_ENV = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
# On a CPU vLLM runs eagerly, but single functions would still be compiled at the first request that needs them (log
# probabilities, for one): a host without a C++ compiler loses its engine then.
DEVICE_ENV = {"cpu": {"TORCHDYNAMO_DISABLE": "1"}, "cuda": {}}


def build_specs(
    answer: Mapping[str, Any],
    deployments: Sequence[Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
    bind_address: str = "127.0.0.1",
    allow_from: Sequence[str] = ("localhost",),
    key_digest: str = "",
    unit_digest: str = "",
    models_dir: str = MODELS_DIR,
    runtimes_dir: str = RUNTIMES_DIR,
) -> list[dict[str, Any]]:
    """Specs of all ``deployments`` (as merge_deployments returns them), in their order.

    ``answer`` is the plan's, ``models`` maps a deployment's name to what model_info found. ``key_digest`` is a keyed
    hash of the API key and ``unit_digest`` one of the unit's template: both only enter the revision. Raises
    InventoryError where a deployment that shall be present was not planned.
    """
    instances = {entry["name"]: entry for entry in answer.get("instances", ())}
    specs = []
    for deployment in deployments:
        if deployment["state"] == "absent":
            specs.append(_finished(_absent(deployment, bind_address), key_digest, unit_digest))
            continue
        instance = instances.get(deployment["name"])
        if instance is None:
            raise _unplanned(answer, deployment["name"])
        spec = _spec(
            instance,
            deployment,
            models.get(deployment["name"]) or {},
            bind_address,
            allow_from,
            models_dir,
            runtimes_dir,
        )
        specs.append(_finished(spec, key_digest, unit_digest))
    return specs


def model_path(model: Mapping[str, Any], models_dir: str = MODELS_DIR) -> str:
    """Folder of a model on the host: its own for source ``path``, else the store's for id and revision."""
    if model.get("path"):
        return str(model["path"])
    return "%s/%s/%s" % (models_dir, model["id"], model["revision"])


def start_timeout_seconds(weights_bytes: int, device: str) -> int:
    """Longest start that is not yet a failure, in seconds: read all weights from a slow disk, then warm up."""
    seconds = START_SECONDS[device] + weights_bytes / SLOW_DISK_BYTES_PER_SECOND
    return ceil(seconds / START_STEP_SECONDS) * START_STEP_SECONDS


def _absent(deployment: Mapping[str, Any], bind_address: str) -> dict[str, Any]:
    return {
        "name": deployment["name"],
        "state": "absent",
        "served_name": deployment["served_name"],
        "host": bind_address,
        "port": deployment["port"],
        "device": deployment["device"],
    }


def _spec(
    instance: Mapping[str, Any],
    deployment: Mapping[str, Any],
    found: Mapping[str, Any],
    bind_address: str,
    allow_from: Sequence[str],
    models_dir: str,
    runtimes_dir: str,
) -> dict[str, Any]:
    wished = deployment["model"]
    source = found.get("source") or wished["source"][0]
    model = {
        "id": found.get("id") or wished["id"],
        "source": source,
        "revision": found.get("revision") or wished.get("revision"),
        "path": (found.get("path") or wished.get("path")) if source == "path" else None,
    }
    if model["path"] is None and not model["revision"]:
        raise InventoryError(
            "inventory.missing_key",
            "The model of deployment '%s' needs a revision" % deployment["name"],
            "Neither the inventory nor the hub gave one",
            "Set model.revision to a commit",
        )
    model["path"] = model_path(model, models_dir)
    device = instance["device"]
    build = BUILDS[device]
    version = deployment["runtime"]["version"]
    runtime = "%s/%s-%s-%s" % (runtimes_dir, deployment["runtime"]["provider"], version, build)
    config = dict(instance["settings"])
    config.update(
        {
            "model": model["path"],
            "served-model-name": deployment["served_name"],
            "host": bind_address,
            "port": deployment["port"],
        }
    )
    return {
        "name": deployment["name"],
        "state": deployment["state"],
        "runtime": {
            "provider": deployment["runtime"]["provider"],
            "version": version,
            "build": build,
            "exec": [runtime + "/bin/vllm", "serve"],
        },
        "model": model,
        "served_name": deployment["served_name"],
        "host": bind_address,
        "port": deployment["port"],
        # Sorted: the order in which the hosts were found must not make a new revision.
        "allow_from": sorted(set(allow_from)),
        "device": device,
        "gpu_uuids": list(instance["gpu_uuids"]),
        "config": config_file(config, version),
        "env": {**OFFLINE_ENV, **DEVICE_ENV[device], **instance.get("env", {}), **deployment["env"]},
        "start_timeout_seconds": deployment.get("start_timeout_seconds")
        or start_timeout_seconds(instance["memory"]["weights_bytes"] * max(1, len(instance["gpu_indices"])), device),
    }


def _finished(spec: dict[str, Any], key_digest: str, unit_digest: str) -> dict[str, Any]:
    """``spec`` with its revision. The state is left out: a stopped instance that is started again is the same one."""
    basis = {key: value for key, value in spec.items() if key != "state"}
    basis["key_digest"] = key_digest
    basis["unit_digest"] = unit_digest
    return {**spec, "revision": revision(basis)}


def revision(value: Any) -> str:
    """sha256 of canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _unplanned(answer: Mapping[str, Any], name: str) -> InventoryError:
    for error in answer.get("errors", ()):
        if error.get("deployment") == name:
            return InventoryError(
                str(error["code"]),
                "Deployment '%s' shall run" % name,
                str(error["message"]).rstrip("."),
                ". ".join(str(remedy).rstrip(".") for remedy in error["remedies"]) or "Change the deployment",
            )
    return InventoryError(
        "plan.missing",
        "Deployment '%s' shall run" % name,
        "The plan has no instance of that name",
        "Make the plan from the same deployments",
    )
