# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen hosts through one slow line. It takes some minutes and wants the machine for itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.bench import fleet_fetch

pytestmark = [pytest.mark.lab, pytest.mark.full]


def test_sixteen_hosts_take_little_longer_than_one_and_the_hub_sends_the_model_once() -> None:
    options = SimpleNamespace(hosts=[1, 16], mib=96, rate=1.6e6, forks=5, separate=False)
    one, many = fleet_fetch.run(options)
    assert (one["hosts"], many["hosts"]) == (1, 16)
    assert max(one["egress"], many["egress"]) <= fleet_fetch.MOST_EGRESS
    assert many["seconds"] <= fleet_fetch.MOST_TIME * one["seconds"]
