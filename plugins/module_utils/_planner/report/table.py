# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The answer as text for people."""

from __future__ import annotations

import textwrap
from typing import Any, Mapping

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
    lines: list[str] = []
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


def _instance(instance: Mapping[str, Any], width: int) -> list[str]:
    where = (
        ", ".join(instance["gpu_uuids"]) or ", ".join("GPU %d" % index for index in instance["gpu_indices"]) or "CPU"
    )
    lines = ["%s: vLLM %s on %s" % (instance["name"], instance["vllm_version"], where), ""]
    decisions = instance["decisions"]
    first = max(len(entry["setting"]) for entry in decisions)
    second = max(len(str(entry["value"])) for entry in decisions)
    second = min(second, 24)
    for entry in decisions:
        head = "  %-*s  %-*s  %-8s  " % (first, entry["setting"], second, entry["value"], entry["source"])
        reason = textwrap.wrap(entry["reason"], max(30, width - len(head))) or [""]
        lines.append((head + reason[0]).rstrip())
        lines += [" " * len(head) + more for more in reason[1:]]
    memory, kv = instance["memory"], instance["kv"]
    lines += ["", "  memory of %s" % ("the host" if instance["device"] == "cpu" else "one GPU")]
    lines += ["    %-22s %9.2f GiB" % (label, memory[key] / GIB) for label, key in _PARTS]
    lines += [
        "",
        "  KV cache: %d tokens in %d blocks of %d, %d bytes a token; %.1f requests of full length at once"
        % (kv["tokens"], kv["num_blocks"], kv["block_size"], kv["bytes_per_token"], kv["max_concurrency"]),
        "",
    ]
    for warning in instance["warnings"]:
        lines += _wrapped(warning, "  warning: ", width)
    return lines + [""]
