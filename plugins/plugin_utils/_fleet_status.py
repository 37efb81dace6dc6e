# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This plugin util is PRIVATE to the collection.

"""What one host is at, as a table for people."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ._progress_line import duration, size

HEAD = ("what", "name", "state", "bytes", "rate", "time left")


def table(store: Mapping[str, Any], instances: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a table: models that are there, models on their way, instances. ``instances`` have name and state."""
    rows = [HEAD]
    busy = {(each["id"], each["revision"]) for each in store.get("under_way") or []}
    for each in store.get("whole") or []:
        if (each["id"], each["revision"]) not in busy:
            state = "damaged: %d files" % len(each["damaged"]) if each["damaged"] else "whole"
            rows.append(("model", _model(each), state, size(each["total_bytes"]), "", ""))
    for each in store.get("under_way") or []:
        done, total, rate = each["done_bytes"], each["total_bytes"], each["rate"]
        percent = " (%d %%)" % (100 * done // total) if total else ""
        state = each["stage"] if each["state"] == "running" else "stopped"
        left = duration((total - done) / rate) if rate and each["state"] == "running" else ""
        speed = "%s/s" % size(rate) if rate else ""
        rows.append(("model", _model(each), state, "%s of %s%s" % (size(done), size(total), percent), speed, left))
    for each in instances:
        cause = each.get("cause") or ""
        rows.append(("instance", each["name"], each["state"] + (": " + cause if cause else ""), "", "", ""))
    if len(rows) == 1:
        return ["no models and no instances"]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _model(each: Mapping[str, Any]) -> str:
    return "%s@%s" % (each["id"], str(each["revision"])[:12])
