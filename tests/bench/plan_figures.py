# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings and predictions side by side, and the errors of one calculator over a set of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import mean, median
from typing import Iterable

from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest, PlanError

from tests.bench.plan_predict import Prediction, predict
from tests.bench.plan_rows import Row


@dataclass
class Figures:
    """``predictions`` of the readings that can be compared; ``refused`` those that our planner cannot read."""

    predictions: list[Prediction] = field(default_factory=list)
    refused: list[tuple[Row, str]] = field(default_factory=list)
    left_out: list[Row] = field(default_factory=list)


def gather(rows: Iterable[Row]) -> Figures:
    figures = Figures()
    for row in rows:
        if row.left_out:
            figures.left_out.append(row)
            continue
        try:
            figures.predictions.append(predict(row))
        except (PlanError, InvalidRequest) as error:
            figures.refused.append((row, str(error)))
    return figures


@dataclass(frozen=True)
class Error:
    """Errors of one figure over ``count`` readings: GiB, and percent of what was read."""

    count: int = 0
    gib: float = 0.0
    middle: float = 0.0
    worst: float = 0.0
    percent: float = 0.0


def error(pairs: Iterable[tuple[float | None, float | None]]) -> Error:
    """Of (said, read) pairs; those that miss one are passed over."""
    known = [(said, read) for said, read in pairs if said is not None and read is not None]
    if not known:
        return Error()
    absolute = [abs(said - read) for said, read in known]
    relative = [abs(said - read) / read * 100 for said, read in known if read > 0]
    return Error(len(known), mean(absolute), median(absolute), max(absolute), mean(relative) if relative else 0.0)


def read_activation(prediction: Prediction) -> float | None:
    """The activation that a log printed, less the graph estimate that releases from 0.27 on add to it."""
    seen = prediction.row.observed.get("activation")
    if seen is None or prediction.shape.version < (0, 27):
        return seen
    return seen - prediction.figures["estimate"]


def pool_reading(prediction: Prediction) -> float | None:
    return prediction.observed_pool
