# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The plan of a host as text. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ._preflight import gib

_PARTS = (
    ("weights", "weights_bytes"),
    ("activations", "activation_peak_bytes"),
    ("process", "non_torch_bytes"),
    ("graphs", "cuda_graph_bytes"),
    ("KV cache", "kv_available_bytes"),
)


def report(plan: Mapping[str, Any], specs: Sequence[Mapping[str, Any]], host: str) -> str:
    """All instances of `host`, then the plan's warnings."""
    instances = {entry["name"]: entry for entry in plan["instances"]}
    blocks = []
    for spec in specs:
        if spec["state"] == "absent":
            blocks.append("%s  %s: to be removed" % (host, spec["name"]))
        else:
            blocks.append("\n".join(_instance(host, spec, instances[spec["name"]])))
    blocks += ["Warning: %s" % warning for warning in plan["warnings"]]
    return "\n".join(blocks) if blocks else "%s  nothing to run" % host


def _instance(host: str, spec: Mapping[str, Any], instance: Mapping[str, Any]) -> list[str]:
    model, runtime, memory, kv = spec["model"], spec["runtime"], instance["memory"], instance["kv"]
    place = ", ".join(spec["gpu_uuids"]) if spec["device"] == "cuda" else "processors"
    parts = ["%s %s" % (name, gib(memory[key])) for name, key in _PARTS if memory[key] > 0]
    lines = [
        "%s  %s (%s)  http://%s:%d/v1  revision %s"
        % (host, spec["name"], spec["state"], spec["host"], spec["port"], spec["revision"][:12]),
        "  model    %s @ %s from %s" % (model["id"], model["revision"], model["source"]),
        "  runtime  vLLM %s %s on %s" % (runtime["version"], runtime["build"], place),
        "  memory   %s" % ", ".join(parts),
        "  KV cache %d tokens, %.1f full contexts at once" % (kv["tokens"], kv["max_concurrency"]),
    ]
    decisions = [(entry["setting"], _shown(entry["value"]), entry["source"], entry["reason"])
                 for entry in instance["decisions"]]  # fmt: skip
    widths = [max(len(row[column]) for row in decisions) for column in range(3)] if decisions else [0, 0, 0]
    lines += ["  %-*s  %-*s  %-*s  %s" % (widths[0], a, widths[1], b, widths[2], c, d) for a, b, c, d in decisions]
    return lines + ["  Warning: %s" % warning for warning in instance["warnings"]]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
