# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of one run: as numbers, as text, and as the table of docs/planner.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.bench.plan_figures import Error, Figures, error, read_activation
from tests.bench.plan_oracle import Answer
from tests.bench.plan_peers import PUBLISHED
from tests.bench.plan_predict import Prediction
from tests.bench.plan_refusals import Outcome, by_class
from tests.bench.plan_row_facts import GUESSED

DOCS = Path(__file__).parents[2] / "docs" / "planner.md"
BEGIN, END = "<!-- BEGIN accuracy -->", "<!-- END accuracy -->"
SETS = (("H100 0.19.0", True), ("others", False))


def summary(
    figures: Figures, oracle: list[Answer], refused: Outcome, theirs: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """{"ours": {name: number}, "peers": {peer: {name: number}}, lists of what differs and what is left out}."""
    ours = _ours(figures, oracle, refused)
    peers = {}
    if theirs is not None:
        for peer in sorted({name for answer in theirs for name in answer}):
            peers[peer] = _peer(peer, figures, oracle, theirs)
    return {
        "ours": ours,
        "peers": peers,
        "oracle differs": sorted({"%s: %s" % (a.row["model"], a.why) for a in oracle if a.why}),
        "refusals": ["%s, %s: %s" % (row.name, row.error, why) for row, why in refused.refused],
        "refusals by class": by_class(refused),
        "refused for another reason": ["%s, %s: %s" % (row.name, row.error, why) for row, why in refused.otherwise],
        "not refused": ["%s, %s" % (row.name, row.error) for row in refused.missed],
        "started but refused": ["%s: %s" % entry for entry in refused.wrong],
        "readings not planned": ["%s: %s" % (row.name, why) for row, why in figures.refused],
        "left out": [
            "%s (%s): %s" % (row.name, row.error or "line %d" % row.number, row.left_out)
            for row in figures.left_out + refused.left_out
        ],
    }


def _ours(figures: Figures, oracle: list[Answer], refused: Outcome) -> dict[str, Any]:
    out: dict[str, Any] = {"oracle rows": len(oracle), "oracle rows that differ": sum(1 for a in oracle if a.why)}
    exact = {a.row["model"]: (a.parameters, a.row["params"]) for a in oracle}
    out["models of the oracle"] = len(exact)
    out["models whose parameters differ"] = sum(1 for said, read in exact.values() if said != read)
    seen = [(p.weights, p.row.observed.get("weights")) for p in figures.predictions if p.row.number not in GUESSED]
    out.update(_named("weights from the configuration", error(seen)))
    out["weights of readings that the configuration does not give"] = sum(
        1 for said, read in seen if said is None and read is not None
    )
    text = [p for p in figures.predictions if not p.model.multimodal]
    out.update(_named("activation of text models", error(_activation(text))))
    out.update(_named("activation of all models", error(_activation(figures.predictions))))
    for name, ours in SETS:
        chosen = [p for p in figures.predictions if p.row.ours == ours]
        own = [p for p in chosen if p.row.number not in GUESSED]
        out.update(_named("pool %s" % name, error((p.pool, p.observed_pool) for p in chosen)))
        out.update(_named("pool with our weights %s" % name, error((p.own_pool, p.observed_pool) for p in own)))
        stated = [p for p in chosen if not p.row.assumed]
        out.update(_named("pool %s, release stated" % name, error((p.pool, p.observed_pool) for p in stated)))
    for release in sorted({p.shape.version[:2] for p in figures.predictions if p.shape.version >= (0, 20)}):
        chosen = [p for p in figures.predictions if p.shape.version[:2] == release]
        out.update(_named("pool release %d.%d" % release, error((p.pool, p.observed_pool) for p in chosen)))
    out["refusals"] = len(refused.refused) + len(refused.otherwise) + len(refused.missed)
    out["refusals for another reason"] = len(refused.otherwise)
    out["refusals not refused"] = len(refused.missed)
    out["started ones"] = refused.planned + len(refused.wrong)
    out["started ones refused"] = len(refused.wrong)
    return out


def _activation(predictions: list[Prediction]) -> list[tuple[float | None, float | None]]:
    return [(p.figures["activation"], read_activation(p)) for p in predictions]


def _named(name: str, found: Error) -> dict[str, Any]:
    if not found.count:
        return {}
    return {
        name + ", readings": found.count,
        name + ", mean GiB": round(found.gib, 3),
        name + ", median GiB": round(found.middle, 3),
        name + ", worst GiB": round(found.worst, 2),
        name + ", mean %": round(found.percent, 2),
    }


def _peer(peer: str, figures: Figures, oracle: list[Answer], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    said = [answer.get(peer, {}) for answer in theirs]
    count = len(figures.predictions)
    out: dict[str, Any] = {}
    rows = list(zip(figures.predictions, said[:count], strict=True))
    text = [(p, s) for p, s in rows if not p.model.multimodal]
    for name, chosen in (("text", text), ("all", rows)):
        found = error((s.get("activation"), read_activation(p)) for p, s in chosen)
        out.update(_named("activation of %s models" % name, found))
    for name, ours in SETS:
        found = error((s.get("pool"), p.observed_pool) for p, s in rows if p.row.ours == ours)
        out.update(_named("pool %s" % name, found))
    fitting = [(a, s) for a, s in zip(oracle, said[count:], strict=True) if a.row["fits"]]
    out["oracle rows"] = len(fitting)
    out["oracle rows that differ"] = sum(1 for a, s in fitting if s.get("tokens") != a.row["kv_tokens"])
    out["readings refused"] = sum(1 for _p, s in rows if "refused" in s)
    out.update(_named("weights from the configuration",
                      error((s.get("weights"), p.row.observed.get("weights")) for p, s in rows)))  # fmt: skip
    return out


_LISTS = (
    "oracle differs",
    "refusals by class",
    "refused for another reason",
    "not refused",
    "started but refused",
    "readings not planned",
    "left out",
)


def text(summary: dict[str, Any]) -> str:
    names = list(summary["ours"])
    peers = list(summary["peers"])
    width = max(len(name) for name in names)
    lines = ["%-*s %12s %s" % (width, "", "ours", " ".join("%14s" % peer for peer in peers))]
    for name in names:
        others = " ".join("%14s" % summary["peers"][peer].get(name, "-") for peer in peers)
        lines.append("%-*s %12s %s" % (width, name, summary["ours"][name], others))
    for title in _LISTS:
        lines.append("\n%s (%d)" % (title, len(summary[title])))
        lines += ["  " + entry for entry in summary[title]]
    lines.append("\npublished by others of themselves, not measured here")
    lines += ["  %s: %s" % entry for entry in PUBLISHED]
    return "\n".join(lines)


def rows(figures: Figures) -> str:
    """Each reading, worst pool first: said / read."""
    return "\n".join(_line(p) for p in sorted(figures.predictions, key=lambda p: -abs(_off(p) or 0)))


def _off(p: Prediction) -> float | None:
    return None if p.pool is None or p.observed_pool is None else p.pool - p.observed_pool


def _line(p: Prediction) -> str:
    off, seen = _off(p), p.row.observed
    parts = {"weights": p.weights, **{name: p.figures[name] for name in ("activation", "non_torch", "graphs")}}
    shown = ", ".join(
        "%s %s/%s" % (name, "-" if said is None else "%.2f" % said, seen.get(name, "-")) for name, said in parts.items()
    )
    card = p.row.request["gpus"][0]["name"]
    return "%s GiB %s %s %s tp%d: %s, set aside %.2f %s" % (
        "  -  " if off is None else "%+5.2f" % off, p.row.name, p.row.version, card, p.shape.tensor, shown,
        p.figures["estimate"], p.row.assumed)  # fmt: skip


def write_docs(summary: dict[str, Any]) -> None:
    """Replace the table between the markers of docs/planner.md."""
    page = DOCS.read_text()
    table = BEGIN + "\n" + markdown(summary) + "\n" + END
    if BEGIN not in page:
        raise SystemExit("docs/planner.md lacks %s" % BEGIN)
    DOCS.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _match: table, page, flags=re.S))


def markdown(summary: dict[str, Any]) -> str:
    """The figures that matter, ours beside the peers'; an empty cell where a peer has no such figure."""
    peers = list(summary["peers"])
    lines = ["| | readings | planner | " + " | ".join(peers) + " |", "|-|-|-|" + "-|" * len(peers)]
    for label, name in _SHOWN + _releases(summary["ours"]):
        if name not in summary["ours"]:
            continue
        count = summary["ours"].get(name.rsplit(",", 1)[0] + ", readings", "")
        count = summary["ours"].get(_COUNTS.get(name, ""), count)
        others = [str(summary["peers"][peer].get(name, "")) for peer in peers]
        lines.append("| %s | %s | %s | %s |" % (label, count, summary["ours"][name], " | ".join(others)))
    return "\n".join(lines)


def _releases(ours: dict[str, Any]) -> list[tuple[str, str]]:
    names = [name for name in ours if name.startswith("pool release") and name.endswith("mean GiB")]
    return [("KV pool, release %s: mean GiB off" % name.split()[2].rstrip(","), name) for name in names]


_COUNTS = {
    "oracle rows that differ": "oracle rows",
    "models whose parameters differ": "models of the oracle",
    "refusals not refused": "refusals",
    "refusals for another reason": "refusals",
    "started ones refused": "started ones",
}
_SHOWN = [
    ("KV cache: rows of vLLM's own arithmetic that differ", "oracle rows that differ"),
    ("parameters from config.json: models that differ from vLLM's own count", "models whose parameters differ"),
    ("weights from config.json alone, mean % off the logs", "weights from the configuration, mean %"),
    ("the same, mean GiB", "weights from the configuration, mean GiB"),
    ("activation peak of text models: mean GiB off", "activation of text models, mean GiB"),
    ("the same, mean %", "activation of text models, mean %"),
    ("activation peak of all models: mean GiB off", "activation of all models, mean GiB"),
    ("KV pool, H100 with 0.19.0: mean GiB off", "pool H100 0.19.0, mean GiB"),
    ("the same, worst GiB", "pool H100 0.19.0, worst GiB"),
    ("the same, mean %", "pool H100 0.19.0, mean %"),
    ("the same with weights from config.json: mean GiB", "pool with our weights H100 0.19.0, mean GiB"),
    ("KV pool, other cards and releases: mean GiB off", "pool others, mean GiB"),
    ("the same, median GiB", "pool others, median GiB"),
    ("the same, worst GiB", "pool others, worst GiB"),
    ("the same, mean %", "pool others, mean %"),
    ("the same with weights from config.json: mean GiB", "pool with our weights others, mean GiB"),
    ("the same, release stated by the source: mean GiB", "pool others, release stated, mean GiB"),
    ("published refusals of vLLM that are planned", "refusals not refused"),
    ("published refusals of vLLM that are refused for another reason", "refusals for another reason"),
    ("engines that started and are refused", "started ones refused"),
]
