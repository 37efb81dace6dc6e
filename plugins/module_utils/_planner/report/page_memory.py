# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Pictures of memory: one bar for each GPU, or for the host, and the same figures as a table for who cannot see it."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Mapping, Sequence

GIB = 2**30
# Part of the answer, its name for people, its colour's name.
PARTS = (
    ("weights_bytes", "Weights", "weights"),
    ("activation_peak_bytes", "Activation peak", "activation"),
    ("non_torch_bytes", "Libraries", "libraries"),
    ("cuda_graph_bytes", "CUDA graphs", "graphs"),
    ("context_bytes", "CUDA context", "context"),
    ("kv_available_bytes", "KV cache", "cache"),
)
# With more cards than these the figures of each are folded; the bars tell enough at first sight.
UNFOLDED = 4
OTHERS, LEFT = ("Held by others", "others"), ("Left", "left")


def text(value: Any) -> str:
    """Anything as text that is safe between tags and in quotes."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escape(shown.encode("utf-8", "replace").decode("utf-8"), quote=True)


def gib(size: int) -> str:
    """Bytes for people."""
    return "%.2f GiB" % (size / GIB) if abs(size) >= GIB // 100 else "%d MiB" % (size // 2**20)


def memory_of_gpus(artifact: Mapping[str, Any]) -> str:
    """A sheet for each GPU, with a legend."""
    if not artifact["gpus"]:
        return ""
    folded = len(artifact["gpus"]) > UNFOLDED
    sheets = "".join(_gpu(gpu, folded) for gpu in artifact["gpus"])
    return '<section><h2>Memory of each GPU</h2>%s<div class="gpus">%s</div></section>' % (_legend(), sheets)


def host_memory(artifact: Mapping[str, Any]) -> str:
    """The host's own memory, where engines run on its processors."""
    instances = [entry for entry in artifact["plan"]["instances"] if entry["device"] == "cpu"]
    total = artifact.get("host_memory_bytes")
    if not instances or not total:
        return ""
    shares = [
        {"instance": entry["name"], **{part: max(0, entry["memory"].get(part, 0)) for part, _name, _colour in PARTS}}
        for entry in instances
    ]
    left = total - sum(share[part] for share in shares for part, _name, _colour in PARTS)
    title = "<h3>Processors</h3>"
    sheet = _sheet(title, total, 0, shares, left)
    return '<section><h2>Memory of the host</h2>%s<div class="gpus">%s</div></section>' % (_legend(), sheet)


def _legend() -> str:
    entries = [(name, colour) for _part, name, colour in PARTS] + [OTHERS, LEFT]
    return '<ul class="legend small" aria-hidden="true">%s</ul>' % "".join(
        '<li><span class="key %s"></span>%s</li>' % (colour, name) for name, colour in entries
    )


def _gpu(gpu: Mapping[str, Any], folded: bool) -> str:
    title = "<h3>GPU %d: %s</h3>" % (gpu["index"], text(gpu["name"]))
    if gpu["display"]:
        title += '<span class="soft small">drives a display</span>'
    return _sheet(title, gpu["usable_bytes"], gpu["others_bytes"], gpu["instances"], gpu["left_bytes"], folded)


def _sheet(
    title: str, total: int, others: int, shares: Sequence[Mapping[str, Any]], left: int, folded: bool = False
) -> str:
    pieces = [_piece(others, total, OTHERS[1], OTHERS[0])]
    rows = []
    for share in shares:
        name = text(share["instance"])
        present = [(part, label, colour) for part, label, colour in PARTS if share[part] > 0]
        for position, (part, label, colour) in enumerate(present):
            pieces.append(_piece(share[part], total, colour, "%s: %s" % (name, label), position == 0))
            rows.append(_row(label, colour, share[part], name if len(shares) > 1 else ""))
    if others:
        rows.append(_row(OTHERS[0], OTHERS[1], others, ""))
    rows.append(_row(LEFT[0], LEFT[1], left, ""))
    spoken = "%s of %s left" % (gib(left), gib(total))
    who = ", ".join("<strong>%s</strong>" % text(share["instance"]) for share in shares) or "idle"
    several = len(shares) > 1
    table = (
        '<table class="small"><thead><tr><th>Part</th>%s<th class="number">Memory</th></tr></thead>'
        "<tbody>%s</tbody></table>"
        % ("<th>Engine</th>" if several else "", "".join(_cells(row, several) for row in rows))
    )
    if folded:
        table = '<details><summary class="small">%s</summary>%s</details>' % (spoken, table)
    return (
        '<div class="sheet"><div class="head">%s<span class="soft small">%s</span></div><p class="small">%s</p>'
        '<div class="bar" role="img" aria-label="%s">%s</div>%s</div>'
        % (title, gib(total), who, spoken, "".join(pieces), table)
    )


def _piece(size: int, total: int, colour: str, label: str, first: bool = False) -> str:
    if size <= 0 or total <= 0:
        return ""
    share = min(100.0, 100.0 * size / total)
    return '<span class="%s%s" style="width:%.3f%%" title="%s, %s"></span>' % (
        colour, " first" if first else "", share, label, gib(size))  # fmt: skip


def _row(label: str, colour: str, size: int, instance: str) -> tuple[str, str, str, str]:
    return label, colour, gib(size), instance


def _cells(row: tuple[str, str, str, str], several: bool) -> str:
    label, colour, size, instance = row
    return '<tr><td><span class="key %s"></span>%s</td>%s<td class="number">%s</td></tr>' % (
        colour, label, '<td class="name">%s</td>' % instance if several else "", size)  # fmt: skip
