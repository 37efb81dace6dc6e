# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accuracy over published readings cannot get worse unseen. tests/bench/plan_accuracy measures and explains it all."""

from __future__ import annotations

import pytest

from tests.bench import plan_figures, plan_refusals
from tests.bench.plan_figures import Figures, error, read_activation
from tests.bench.plan_rows import observations


@pytest.fixture(scope="module")
def figures() -> Figures:
    return plan_figures.gather(observations())


def test_every_reading_is_either_compared_or_left_out_with_a_reason(figures: Figures) -> None:
    assert not figures.refused
    assert len(figures.predictions) >= 70
    assert all(row.left_out for row in figures.left_out)


def test_the_pool_of_the_set_that_the_best_peer_was_fitted_to(figures: Figures) -> None:
    found = error((p.pool, p.observed_pool) for p in figures.predictions if p.row.ours)
    assert found.count >= 30
    assert found.gib < 0.03 and found.percent < 0.15


def test_the_pool_of_other_cards_and_releases(figures: Figures) -> None:
    found = error((p.pool, p.observed_pool) for p in figures.predictions if not p.row.ours)
    assert found.count >= 34
    assert found.gib < 0.22 and found.middle < 0.08


def test_the_activation_of_text_models(figures: Figures) -> None:
    text = [p for p in figures.predictions if not p.model.multimodal]
    assert error((p.figures["activation"], read_activation(p)) for p in text).gib < 0.04


def test_refusals_of_vllm_are_refused_for_its_reason_and_nothing_that_started(figures: Figures) -> None:
    outcome = plan_refusals.run(figures)
    assert not outcome.wrong
    # On two GH200 its log has 2.8 GiB less for the cache than is found here: not explained.
    assert {row.name for row in outcome.missed} <= {"DeepSeek-V4-Flash"}
    assert len(outcome.refused) >= 38
    assert {row.error for row, _why in outcome.refused} == set(plan_refusals.CODES) - {"quant_shard_shape"}
    assert all(row.left_out for row in outcome.left_out)
    # One engine was started on a slice of a card; the planner gives out whole cards only.
    assert [why.split(":")[0] for _row, why in outcome.otherwise] == ["plan.mig_unsupported"]
