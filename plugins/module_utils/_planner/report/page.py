# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""A host's plan as one HTML page that opens from a file: nothing is loaded, and it needs no script."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping

from .page_memory import gib, host_memory, memory_of_gpus, text
from .page_style import STYLE
from .table import place, replicas

_CODE = re.compile(r"\[([a-z]+\.[a-z_]+)\] ")
_FIGURES = {
    "weights_bytes": "Weights", "activation_peak_bytes": "Activation peak", "non_torch_bytes": "Libraries",
    "cuda_graph_bytes": "CUDA graphs", "kv_available_bytes": "KV cache", "kv_tokens": "Tokens in the KV cache",
}  # fmt: skip


def render_page(artifact: Mapping[str, Any]) -> str:
    """The page of ``artifact`` (report.artifact); ends with a newline."""
    host = text(artifact["host"])
    body = [
        _header(artifact),
        _problems(artifact),
        memory_of_gpus(artifact),
        host_memory(artifact),
        _instances(artifact),
        _besides(artifact),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<title>Plan of %s</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n%s\n</main>\n</body>\n</html>\n"
        % (host, STYLE, "\n".join(part for part in body if part))
    )


def _header(artifact: Mapping[str, Any]) -> str:
    plan = artifact["plan"]
    count = len(plan["instances"])
    wrong = _wrong(artifact)
    if wrong:
        verdict = '<p class="verdict bad">Cannot be deployed: %s</p>' % _plural(len(wrong), "problem")
    elif count:
        verdict = '<p class="verdict good">%s can be deployed</p>' % _plural(count, "engine")
    else:
        verdict = '<p class="verdict">Nothing to run</p>'
    releases = sorted({instance["vllm_version"] for instance in plan["instances"]})
    facts = ["vLLM " + ", ".join(releases)] if releases else []
    facts += [_plural(len(artifact["gpus"]), "GPU")] if artifact["gpus"] else ["no GPU"]
    if artifact.get("driver_version"):
        facts.append("driver " + artifact["driver_version"])
    return '<header><h1>Plan of %s</h1>%s<p class="soft">%s</p></header>' % (
        text(artifact["host"]), verdict, text(" · ".join(facts)))  # fmt: skip


def _wrong(artifact: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Problems of the host and errors of the plan, each once: the former repeat the latter as one line."""
    errors = [dict(error) for error in artifact["plan"]["errors"]]
    told = {error["code"] for error in errors}
    for problem in artifact["problems"]:
        if problem["code"] not in told:
            errors.append({"code": problem["code"], "message": _uncoded(problem["message"]), "remedies": []})
    return errors


def _uncoded(message: str) -> str:
    match = _CODE.match(message)
    return message[match.end() :] if match else message


def _problems(artifact: Mapping[str, Any]) -> str:
    wrong, warnings = _wrong(artifact), artifact["plan"]["warnings"]
    if not wrong and not warnings:
        return ""
    out = ["<section><h2>%s</h2>" % ("What is wrong" if wrong else "Warnings")]
    for error in wrong:
        sizes = ""
        if error.get("needed_bytes") and error.get("available_bytes") is not None:
            sizes = '<p class="small">Needed %s, available %s</p>' % (
                gib(error["needed_bytes"]), gib(error["available_bytes"]))  # fmt: skip
        remedies = "".join("<li>%s</li>" % text(remedy) for remedy in error["remedies"])
        out.append(
            '<div class="note bad"><strong>%s</strong> <code>%s</code><p>%s</p>%s%s</div>'
            % (text(error.get("deployment") or "Host"), text(error["code"]), text(error["message"]), sizes,
               "<ul>%s</ul>" % remedies if remedies else "")
        )  # fmt: skip
    out += [_warning(warning) for warning in warnings]
    return "".join(out) + "</section>"


def _warning(warning: Any) -> str:
    """A warning, a sentence with or without its code in front."""
    code, message = "", warning
    if isinstance(warning, Mapping):
        code, message = str(warning.get("code") or ""), str(warning.get("message") or "")
    else:
        match = _CODE.match(message)
        if match:
            code, message = match.group(1), message[match.end() :]
    return '<div class="note">%s%s</div>' % ("<code>%s</code> " % text(code) if code else "", text(message))


def _instances(artifact: Mapping[str, Any]) -> str:
    specs = {spec["name"]: spec for spec in artifact["specs"]}
    instances = artifact["plan"]["instances"]
    parts = [
        _instance(entry, specs.get(entry["name"]), artifact["compared"].get(entry["name"], ())) for entry in instances
    ]
    gone = ["<p>%s: to be removed</p>" % text(spec["name"]) for spec in artifact["specs"] if spec["state"] == "absent"]
    return "".join(["<section><h2>Engines</h2>", *parts, *gone, "</section>"]) if parts or gone else ""


def _instance(
    instance: Mapping[str, Any], spec: Mapping[str, Any] | None, compared: Iterable[Mapping[str, Any]]
) -> str:
    kv = instance["kv"]
    decided = {entry["setting"]: entry["value"] for entry in instance["decisions"]}
    many = replicas(instance)
    lines = ["vLLM %s on %s" % (text(instance["vllm_version"]), place(instance))]
    if many > 1:
        lines.append("%d replicas" % many)
    if spec is not None and spec["state"] != "absent":
        model = spec["model"]
        lines.append("<code>%s</code> at %s" % (text(model["id"]), text(str(model["revision"])[:12])))
        lines.append("<code>http://%s:%s/v1</code> as <code>%s</code>"
                     % (text(spec["host"]), text(spec["port"]), text(spec["served_name"])))  # fmt: skip
    figures = (
        ("Context", "%s tokens" % number(decided.get("max-model-len"))),
        ("Requests of that length at once", "%.1f" % (many * kv["max_concurrency"])),
        ("KV cache", "%s tokens" % number(many * kv["tokens"])),
        ("One token", "%s bytes" % number(kv["bytes_per_token"])),
    )
    rows = "".join(
        '<tr><td class="setting"><code>%s</code></td><td class="value">%s</td>'
        '<td><span class="source %s">%s</span></td><td class="reason">%s</td></tr>'
        % (text(entry["setting"]), text(entry["value"]), text(entry["source"]), text(entry["source"]),
           text(entry["reason"]))
        for entry in instance["decisions"]
    )  # fmt: skip
    return (
        '<article class="sheet"><h3>%s</h3><p class="soft">%s</p><dl class="figures">%s</dl>%s%s'
        '<div class="scroll"><table class="stack"><caption>Every setting and why</caption><thead><tr>'
        "<th>Setting</th><th>Value</th><th>From</th><th>Reason</th></tr></thead><tbody>%s</tbody></table></div></article>"
        % (
            text(instance["name"]),
            " · ".join(lines),
            "".join("<div><dt>%s</dt><dd>%s</dd></div>" % figure for figure in figures),
            "".join(_warning(warning) for warning in instance["warnings"]),
            _compared(compared),
            rows,
        )
    )


def _compared(rows: Iterable[Mapping[str, Any]]) -> str:
    """Predicted figures beside those of the last start."""
    cells = []
    for row in rows:
        shown = gib if row["figure"].endswith("_bytes") else number
        cells.append(
            '<tr><td>%s</td><td class="number">%s</td><td class="number">%s</td><td class="number%s">%+.1f %%</td></tr>'
            % (text(_FIGURES.get(row["figure"], row["figure"])), shown(row["predicted"]), shown(row["measured"]),
               " off" if row["warn"] else "", 100 * row["deviation"])
        )  # fmt: skip
    if not cells:
        return ""
    return (
        '<div class="scroll"><table><caption>Predicted, and measured at the last start</caption>'
        "<thead><tr><th>Part</th>"
        '<th class="number">Predicted</th><th class="number">Measured</th><th class="number">Off by</th></tr></thead>'
        "<tbody>%s</tbody></table></div><br>" % "".join(cells)
    )


def _besides(artifact: Mapping[str, Any]) -> str:
    if not artifact["gpus"] or _wrong(artifact):
        return ""
    rows = "".join(_beside(entry) for entry in artifact["besides"])
    what = (
        '<div class="scroll"><table class="stack"><thead><tr><th>Model</th><th>On</th><th>Context and requests</th>'
        "</tr></thead><tbody>%s</tbody></table></div>" % rows
        if rows
        else "<p>Nothing that this planner tried, while everything above stays as it is.</p>"
    )
    return '<section><h2>What else would fit</h2><div class="sheet">%s</div></section>' % what


def _beside(entry: Mapping[str, Any]) -> str:
    what = "another <strong>%s</strong>" % text(entry["another"]) if entry["another"] else text(entry["model"])
    share = "%d %% of " % round(100 * entry["share"]) if entry["share"] else ""
    where = "%sGPU %s" % (share, ", ".join(map(str, entry["gpu_indices"])))
    size = "%s tokens, %s at once" % (number(entry["context"]), number(entry["users"]))
    return "<tr><td>%s</td><td>%s</td><td>%s</td></tr>" % (what, where, size)


def number(value: Any) -> str:
    """A count with separators; anything else as it is."""
    return format(value, ",") if isinstance(value, int) and not isinstance(value, bool) else text(value)


def _plural(count: int, noun: str) -> str:
    return "%d %s%s" % (count, noun, "" if count == 1 else "s")
