"""Planning stays quick: a few hosts of tests/bench/plan_speed, with room for a slow machine."""

from __future__ import annotations

import pytest

from tests.bench import plan_speed

HOSTS = 12
ROOM = 4  # times the aim, of processor time: other work on the same core must not fail this


@pytest.mark.parametrize(
    ("costly", "aim"), [(False, plan_speed.AIM_SECONDS), (True, plan_speed.AIM_COSTLY_SECONDS)], ids=("said", "left")
)
def test_a_host_of_eight_cards_is_planned_in_its_part_of_the_aim(costly: bool, aim: float) -> None:
    seconds, instances, errors = plan_speed.run(HOSTS, costly)
    assert instances + errors == 3 * HOSTS and instances > HOSTS
    assert seconds < ROOM * aim / 1000 * HOSTS
