# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""What an engine says in its log about the memory it took, and how far that is from what was planned.

Pure: lines in, bytes out. The words are those of vLLM 0.8.5 to 0.33; what a release does not print stays unknown.
"""

from __future__ import annotations

import re
import typing as t

GIB = 2**30
#: a deviation is told from this share of the predicted figure on ...
TOLERANCE = 0.05
#: ... unless it is less than this share of all that was predicted: 30 MiB more of graphs do not matter on a card
NOTICED = 0.005
#: tokens of a block where a release prints blocks only (0.8's older engine)
OLD_BLOCK_TOKENS = 16

PARTS = ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "cuda_graph_bytes", "kv_available_bytes")

_SIZE = r"([\d.]+) ?GiB"
# Figure -> what prints it. Sizes are GiB with two to four digits, counts have commas.
_LINES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("weights", re.compile(r"Model loading took %s" % _SIZE)),
    ("kv_available", re.compile(r"Available KV cache memory: %s" % _SIZE)),
    ("kv_tokens", re.compile(r"(?:GPU|CPU) KV cache size: ([\d,]+) tokens")),
    ("context", re.compile(r"Maximum concurrency for ([\d,]+) tokens per request")),
    ("concurrency", re.compile(r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x")),
    ("graphs", re.compile(r"Graph capturing finished in [\d.]+ secs, took %s" % _SIZE)),
    ("graphs_estimated", re.compile(r"CUDA graph pool memory: [\d.]+ GiB \(actual\), ([\d.]+) GiB \(estimated\)")),
    ("graphs_estimated", re.compile(r"Estimated CUDA graph memory: %s total" % _SIZE)),
    ("blocks", re.compile(r"# (?:GPU|cuda) blocks: ([\d,]+)")),
    # the engine of old: one line after profiling
    ("weights", re.compile(r"model weights take %s" % _SIZE)),
    ("non_torch", re.compile(r"non_torch_memory takes %s" % _SIZE)),
    ("activation", re.compile(r"PyTorch activation peak memory takes %s" % _SIZE)),
    ("kv_available", re.compile(r"reserved for KV Cache is %s" % _SIZE)),
    # the summary after the graphs; from 0.28 on weights and libraries are one figure
    ("activation", re.compile(r"Actual usage is .*?%s for peak activation" % _SIZE)),
    ("non_torch", re.compile(r"Actual usage is .*?%s for non-torch memory" % _SIZE)),
    ("consumed", re.compile(r"Actual usage is %s for consumed memory" % _SIZE)),
)
#: figures of which the largest rank counts; of the others the smallest does, as it does for the engine
_LARGEST = {"weights", "activation", "non_torch", "graphs", "graphs_estimated", "consumed"}


def measured(lines: t.Sequence[str]) -> dict[str, t.Any]:
    """Figures of the last start in ``lines`` (journal of one start, oldest first); only what was printed.

    Keys: those of ``PARTS`` in bytes, ``kv_tokens``, ``max_concurrency``, ``max_model_len``. Several ranks print the
    same lines; as in the plan the fullest one counts.
    """
    seen: dict[str, list[float]] = {}
    for line in lines:
        for name, pattern in _LINES:
            match = pattern.search(line)
            if match:
                seen.setdefault(name, []).append(float(match.group(1).replace(",", "")))
    figure = {name: max(values) if name in _LARGEST else min(values) for name, values in seen.items()}
    if "consumed" in figure:
        # here the peak holds the graphs that were set apart, and the libraries stand with the weights
        if "activation" in figure:
            figure["activation"] = max(0.0, figure["activation"] - figure.get("graphs_estimated", 0.0))
        if "weights" in figure:
            figure["non_torch"] = max(0.0, figure["consumed"] - figure["weights"])
    found: dict[str, t.Any] = {}
    for part, name in zip(PARTS, ("weights", "activation", "non_torch", "graphs", "kv_available")):
        if name in figure:
            found[part] = int(figure[name] * GIB)
    if "kv_tokens" in figure:
        found["kv_tokens"] = int(figure["kv_tokens"])
    elif "blocks" in figure:
        found["kv_tokens"] = int(figure["blocks"]) * OLD_BLOCK_TOKENS
    if "concurrency" in figure:
        found["max_concurrency"] = figure["concurrency"]
    if "context" in figure:
        found["max_model_len"] = int(figure["context"])
    return found


def predicted(instance: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The figures of an instance in the planner's answer, under the names of ``measured``."""
    found = {part: (instance.get("memory") or {}).get(part) for part in PARTS}
    return dict(found, kv_tokens=(instance.get("kv") or {}).get("tokens"))


def compare(predicted: t.Mapping[str, t.Any], found: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Predicted beside measured, for what both know: ``figure``, ``predicted``, ``measured``, ``deviation``, ``warn``.

    ``predicted``: the keys of ``PARTS`` and ``kv_tokens``. ``deviation`` is a share of the predicted figure.
    """
    whole = sum(predicted.get(part) or 0 for part in PARTS)
    rows = []
    for name in (*PARTS, "kv_tokens"):
        planned, real = predicted.get(name), found.get(name)
        if planned is None or real is None:
            continue
        off = abs(real - planned)
        deviation = off / planned if planned else float(bool(off))
        notable = name == "kv_tokens" or off > NOTICED * whole
        rows.append(
            {
                "figure": name,
                "predicted": planned,
                "measured": real,
                "deviation": round(deviation if real >= planned else -deviation, 4),
                "warn": bool(notable and deviation > TOLERANCE),
            }
        )
    return rows


def warnings(name: str, rows: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """One sentence for each deviation that matters."""
    out = []
    for row in rows:
        if row["warn"]:
            unit = "tokens" if row["figure"] == "kv_tokens" else "GiB"
            scale = 1 if unit == "tokens" else GIB
            digits = "%d" if unit == "tokens" else "%.2f"
            out.append(
                (
                    "[plan.deviation] instance '%s': %s was planned as "
                    + digits
                    + " %s and is "
                    + digits
                    + " %s (%+.1f %%)."
                )
                % (
                    name,
                    row["figure"],
                    row["predicted"] / scale,
                    unit,
                    row["measured"] / scale,
                    unit,
                    100 * row["deviation"],
                )
            )
    return out
