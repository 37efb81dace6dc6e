# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The plan of a host as text. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ._planner.report.table import place, replicas, shown
from ._preflight import gib

_PARTS = (
    ("weights", "weights_bytes"),
    ("activations", "activation_peak_bytes"),
    ("process", "non_torch_bytes"),
    ("graphs", "cuda_graph_bytes"),
    ("KV cache", "kv_available_bytes"),
)
WIDTH = 118


def report(artifact: Mapping[str, Any]) -> str:
    """One table of the host: its cards, its engines with every setting, what is wrong, what else would fit."""
    plan, host = artifact["plan"], artifact["host"]
    specs = {spec["name"]: spec for spec in artifact["specs"]}
    blocks = [_cards(host, artifact["gpus"])] if artifact["gpus"] else []
    for instance in plan["instances"]:
        compared = artifact["compared"].get(instance["name"], ())
        blocks.append("\n".join(_instance(host, instance, specs.get(instance["name"]), compared)))
    blocks += [
        "%s  %s: to be removed" % (host, spec["name"]) for spec in artifact["specs"] if spec["state"] == "absent"
    ]
    blocks += ["Warning: %s" % warning for warning in plan["warnings"]]
    blocks += [_error(host, error) for error in plan["errors"]]
    told = {error["code"] for error in plan["errors"]}
    blocks += [problem["message"] for problem in artifact["problems"] if problem["code"] not in told]
    blocks += [_besides(artifact["besides"])] if artifact["besides"] else []
    return "\n".join(blocks) if blocks else "%s  nothing to run" % host


def _cards(host: str, gpus: Sequence[Mapping[str, Any]]) -> str:
    rows = [("GPU", "", "memory", "others", "left", "engines")]
    for gpu in gpus:
        held = ", ".join(share["instance"] for share in gpu["instances"]) or "-"
        others = gib(gpu["others_bytes"]) if gpu["others_bytes"] else "-"
        rows.append((str(gpu["index"]), gpu["name"], gib(gpu["usable_bytes"]), others, gib(gpu["left_bytes"]), held))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for row in rows:
        left = "%-*s  %-*s" % (widths[0], row[0], widths[1], row[1])
        right = "  ".join("%*s" % (widths[column], row[column]) for column in range(2, 5))
        lines.append(("%s  %s  %s  %s" % (host, left, right, row[5])).rstrip())
    return "\n".join(lines)


def _instance(
    host: str, instance: Mapping[str, Any], spec: Mapping[str, Any] | None, compared: Sequence[Mapping[str, Any]]
) -> list[str]:
    memory, kv, many = instance["memory"], instance["kv"], replicas(instance)
    parts = ["%s %s" % (name, gib(memory[key])) for name, key in _PARTS if memory[key] > 0]
    if spec is None:
        where = "  runtime  vLLM %s on %s" % (instance["vllm_version"], place(instance))
        lines = ["%s  %s" % (host, instance["name"]), where]
    else:
        lines = _where(host, instance, spec)
    lines += [
        "  memory   %s" % ", ".join(parts),
        "  KV cache %d tokens, %.1f full contexts at once" % (many * kv["tokens"], many * kv["max_concurrency"]),
    ]
    lines += _decisions(instance["decisions"])
    lines += [_compared(row) for row in compared]
    return lines + ["  Warning: %s" % warning for warning in instance["warnings"]]


def _where(host: str, instance: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    model, runtime = spec["model"], spec["runtime"]
    return [
        "%s  %s (%s)  http://%s:%d/v1  revision %s"
        % (host, spec["name"], spec["state"], spec["host"], spec["port"], spec["revision"][:12]),
        "  model    %s @ %s from %s" % (model["id"], model["revision"], model["source"]),
        "  runtime  vLLM %s %s on %s" % (runtime["version"], runtime["build"], place(instance)),
    ]


def _decisions(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [(entry["setting"], shown(entry["value"]), entry["source"], entry["reason"]) for entry in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    widths[1] = min(widths[1], 30)
    return ["  %-*s  %-*s  %-*s  %s" % (widths[0], a, widths[1], b, widths[2], c, d) for a, b, c, d in rows]


def _compared(row: Mapping[str, Any]) -> str:
    unit = gib if row["figure"].endswith("_bytes") else str
    mark = "  <- look" if row["warn"] else ""
    return "  measured %s: %s, predicted %s (%+.1f %%)%s" % (
        row["figure"], unit(row["measured"]), unit(row["predicted"]), 100 * row["deviation"], mark)  # fmt: skip


def _error(host: str, error: Mapping[str, Any]) -> str:
    lines = textwrap.wrap("[%s] %s: %s" % (error["code"], host, error["message"]), WIDTH)
    for remedy in error["remedies"]:
        lines += textwrap.wrap(remedy, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join(lines)


def _besides(entries: Sequence[Mapping[str, Any]]) -> str:
    lines = ["What else would fit:"]
    for entry in entries:
        what = "another %s" % entry["another"] if entry["another"] else entry["model"]
        share = "%d %% of " % round(100 * entry["share"]) if entry["share"] else ""
        where = "%sGPU %s" % (share, ", ".join(map(str, entry["gpu_indices"])))
        lines.append("  %s on %s: %d tokens of context, %d at once" % (what, where, entry["context"], entry["users"]))
    return "\n".join(lines)
