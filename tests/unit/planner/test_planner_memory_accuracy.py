# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accuracy over published readings cannot get worse unseen. tests/bench/plan_accuracy measures and explains it all."""

from __future__ import annotations

import pytest

from tests.bench import plan_figures
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
