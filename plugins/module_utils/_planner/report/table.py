# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The answer as text for people."""

from __future__ import annotations

import json
import textwrap
from typing import Any, Mapping, Sequence

GIB = 2**30
_PARTS = (
    ("weights", "weights_bytes"),
    ("activation peak", "activation_peak_bytes"),
    ("libraries and process", "non_torch_bytes"),
    ("CUDA graphs", "cuda_graph_bytes"),
    ("KV cache", "kv_available_bytes"),
    ("left over", "headroom_bytes"),
)


def render(answer: Mapping[str, Any], width: int = 118) -> str:
    """Settings with reasons, memory by part and errors; ends with a newline."""
    lines = _summary(answer["instances"])
    for instance in answer["instances"]:
        lines += _instance(instance, width)
    for error in answer["errors"]:
        lines += ["%s: cannot be planned" % error["deployment"], ""]
        lines += _wrapped("[%s] %s" % (error["code"], error["message"]), "  ", width)
        for remedy in error["remedies"]:
            lines += _wrapped(remedy, "  - ", width)
        lines.append("")
    for warning in answer["warnings"]:
        lines += _wrapped(warning, "warning: ", width)
    return "\n".join(lines).rstrip("\n") + "\n"


def _wrapped(text: str, prefix: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=prefix, subsequent_indent=" " * len(prefix)) or [prefix.rstrip()]


def _summary(instances: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each instance; nothing where there is one only."""
    if len(instances) < 2:
        return []
    rows = [("", "on", "context", "at once", "KV tokens", "left of a GPU")]
    for instance in instances:
        decided = {entry["setting"]: entry["value"] for entry in instance["decisions"]}
        kv, many = instance["kv"], replicas(instance)
        rows.append(
            (
                instance["name"],
                place(instance),
                str(decided.get("max-model-len", "")),
                "%.1f" % (many * kv["max_concurrency"]),
                str(many * kv["tokens"]),
                "%.2f GiB" % (instance["memory"]["headroom_bytes"] / GIB),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        left = "%-*s  %-*s" % (widths[0], row[0], widths[1], row[1])
        lines.append("  ".join([left] + ["%*s" % (widths[column], row[column]) for column in range(2, len(row))]))
    return [*lines, ""]


def place(instance: Mapping[str, Any]) -> str:
    """Where an instance runs, for people: GPUs by index, runs of them as first-last."""
    runs: list[list[int]] = []
    for index in sorted(instance["gpu_indices"]):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    if not runs:
        return "processors"
    return "GPU " + ", ".join(str(run[0]) if len(run) == 1 else "%d-%d" % (run[0], run[-1]) for run in runs)


def replicas(instance: Mapping[str, Any]) -> int:
    """Copies of the model that share the requests; the answer's KV cache is that of one."""
    return int(instance["settings"].get("data-parallel-size") or 1)


def shown(value: Any) -> str:
    """A value as one writes it in the configuration."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _instance(instance: Mapping[str, Any], width: int) -> list[str]:
    lines = ["%s: vLLM %s on %s" % (instance["name"], instance["vllm_version"], place(instance)), ""]
    decisions = [(entry, shown(entry["value"])) for entry in instance["decisions"]]
    first = max(len(entry["setting"]) for entry, _value in decisions)
    second = min(max(len(value) for _entry, value in decisions), 24)
    for entry, value in decisions:
        values = textwrap.wrap(value, second) or [""]
        left = "  %-*s  " % (first, entry["setting"])
        head = left + "%-*s  %-8s  " % (second, values[0], entry["source"])
        reasons = textwrap.wrap(entry["reason"], max(30, width - len(head))) or [""]
        lines.append((head + reasons[0]).rstrip())
        for row in range(1, max(len(values), len(reasons))):
            more = values[row] if row < len(values) else ""
            why = reasons[row] if row < len(reasons) else ""
            lines.append((" " * len(left) + "%-*s" % (len(head) - len(left), more) + why).rstrip())
    memory, kv, many = instance["memory"], instance["kv"], replicas(instance)
    lines += ["", "  memory of %s" % ("the host" if instance["device"] == "cpu" else "one GPU")]
    lines += ["    %-22s %9.2f GiB" % (label, memory[key] / GIB) for label, key in _PARTS]
    lines += [
        "",
        "  KV cache%s: %d tokens in %d blocks of %d, %d bytes a token; %.1f requests of full length at once"
        % (" of each of %d replicas" % many if many > 1 else "", kv["tokens"], kv["num_blocks"], kv["block_size"],
           kv["bytes_per_token"], kv["max_concurrency"]),
        "",
    ]  # fmt: skip
    for warning in instance["warnings"]:
        lines += _wrapped(warning, "  warning: ", width)
    return lines + [""]
