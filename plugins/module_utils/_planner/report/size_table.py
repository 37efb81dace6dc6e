# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The answer of size() as text for people: a line for each card, and the questions that one asks of it."""

from __future__ import annotations

import textwrap
from typing import Any, Mapping, Sequence

GIB = 2**30
_READ = {True: "the weights of the experts that it is sent to", False: "all the weights"}
_LABELS = {
    "plan.does_not_fit": "Too small, however many of them",
    "plan.free_memory": "Too small, however many of them",
    "plan.capability_too_low": "Too old for vLLM's build",
}
_SHORT = {"plan.not_divisible": ".", "plan.does_not_fit": "-", "plan.free_memory": "-"}


def render_size(answer: Mapping[str, Any], width: int = 110) -> str:
    """Table and sentences; ends with a newline."""
    rows = answer["rows"]
    lines = [_title(answer), ""]
    if any(row["fits"] for row in rows):
        lines += _table(rows) + [""] + _left_out(rows, width)
        lines += textwrap.wrap(_legend(answer), width) + [""]
    for sentence in sentences(answer):
        lines += textwrap.wrap(sentence, width)
    for error in answer["errors"]:
        lines += textwrap.wrap("[%s] %s" % (error["code"], error["message"]), width)
        for remedy in error["remedies"]:
            lines += textwrap.wrap(remedy, width, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def _title(answer: Mapping[str, Any]) -> str:
    context = "%s tokens" % _number(answer["context"]) if answer["context"] else "the longest context that fits"
    users = ", %s users at once" % _number(answer["users"]) if answer["users"] else ""
    return "%s with vLLM %s: %s%s" % (answer["model"] or "The model", answer["vllm_version"], context, users)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = sorted({row["count"] for row in rows})
    cards: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        cards.setdefault(row["card"], {})[row["count"]] = row
    table = [["GPU", "", "GiB"] + ["%d GPU%s" % (count, "s" if count > 1 else "") for count in counts]]
    for card, by_count in cards.items():
        if not any(row["fits"] for row in by_count.values()):
            continue
        first = next(iter(by_count.values()))
        memory = "%s%.1f" % ("" if first["memory_measured"] else "~", first["memory_bytes"] / GIB)
        table.append([card, first["kind"], memory] + [_cell(by_count.get(count)) for count in counts])
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    out = []
    for line in table:
        left = ["%-*s" % (widths[column], line[column]) for column in (0, 1)]
        right = ["%*s" % (widths[column], line[column]) for column in range(2, len(line))]
        out.append("  ".join(left + right).rstrip())
    out.insert(1, "-" * max(map(len, out)))
    return out


def _left_out(rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Cards of which no number will do, by the reason."""
    good = {row["card"] for row in rows if row["fits"]}
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["card"] not in good:
            label = _LABELS.get(row["error"]["code"], "Refused (--format json says why)")
            reasons.setdefault(label, [])
            if all(row["card"] not in cards for cards in reasons.values()):
                reasons[label].append(row["card"])
    out = []
    for label, cards in reasons.items():
        if cards:
            out += textwrap.wrap("%s: %s." % (label, ", ".join(cards)), width) + [""]
    return out


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    if not row["fits"]:
        return _SHORT.get(row["error"]["code"], "no")
    return "%s / %s%s" % (_thousands(row["tokens"]), _number(row["users"]), "" if row["enough"] else "*")


def _legend(answer: Mapping[str, Any]) -> str:
    good = {row["card"] for row in answer["rows"] if row["fits"]}
    shown = {_cell(row) for row in answer["rows"] if row["card"] in good}
    parts = ["Tokens that the KV cache holds / requests of full length at once."]
    if any(cell.endswith("*") for cell in shown):
        parts.append("*: of the %s users the others wait." % _number(answer["users"]))
    if "-" in shown:
        parts.append("-: does not fit.")
    if "." in shown:
        parts.append(".: the model cannot be split so.")
    if "no" in shown:
        parts.append("no: refused; --format json says why.")
    parts.append("GiB: what CUDA sees of one GPU (~: estimated).")
    return " ".join(parts)


def sentences(answer: Mapping[str, Any]) -> list[str]:
    """The questions answered: the smallest card, users at once, what happens to more, and why memory is no speed."""
    smallest = answer["smallest"]
    if smallest is None:
        return []
    out = ["Smallest for one user at a time: %s, with %s tokens of context."
           % (_cards(smallest), _number(smallest["context"]))]  # fmt: skip
    users, enough = answer["users"], answer["smallest_for_users"]
    if users and users > 1:
        wanted = "%s requests of that length" % _number(users)
        out.append("Smallest for %s at once: %s." % (wanted, _cards(enough)) if enough else
                   "No host of this list holds %s at once." % wanted)  # fmt: skip
        out += _queue(answer, users)
    return out + [_speed(answer, smallest)]


def _queue(answer: Mapping[str, Any], users: int) -> list[str]:
    short = [row for row in answer["rows"] if row["fits"] and not row["enough"]]
    if not short:
        return []
    row = min(short, key=lambda row: (row["memory_bytes"] * row["count"], row["count"]))
    return [
        "With %s users on %s: answered at once %s, waiting in the engine's queue %s, refused none."
        % (_number(users), _cards(row), _number(row["users"]), _number(users - row["users"]))
    ]


def _speed(answer: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    text = (
        "More memory for the KV cache means more users or longer contexts (%s bytes a token), not a faster answer: "
        "each token of an answer reads %s once more."
        % (_number(chosen["token_bytes"]), _READ[answer["routed_experts"]])
    )
    if answer["routed_experts"]:
        return text
    return text + (
        " On %s that is %.2f GiB at %d GB/s: at most %d tokens/s for one user, whatever gpu-memory-utilization is."
        % (_cards(chosen), chosen["weights_bytes"] / GIB, chosen["bandwidth_bytes"] // 10**9,
           chosen["bandwidth_bytes"] / chosen["weights_bytes"])
    )  # fmt: skip


def _cards(chosen: Mapping[str, Any]) -> str:
    return "%d x %s" % (chosen["count"], chosen["card"])


def _plural(count: int, noun: str) -> str:
    return "%s %s%s" % (_number(count), noun, "" if count == 1 else "s")


def _number(count: int) -> str:
    return format(count, ",")


def _thousands(count: int) -> str:
    """At most three digits and a unit: 942, 17.4k, 254k, 1.2M."""
    for limit, unit in ((10**6, "M"), (10**3, "k")):
        if count >= limit:
            value = count / limit
            return "%.1f%s" % (value, unit) if value < 100 else "%d%s" % (value, unit)
    return str(count)
