"""Files stay small enough to be read in one go."""

from __future__ import annotations

import re

from tests.tools.tracked import ROOT, tracked_files

LIMITS = (
    ("*.py", 400),
    ("roles/*/tasks/*.yml", 60),
    ("playbooks/tasks/*.yml", 60),
)


def test_files_are_short() -> None:
    long = []
    for pattern, limit in LIMITS:
        for name in tracked_files(":(glob)**/" + pattern if pattern == "*.py" else ":(glob)" + pattern):
            lines = (ROOT / name).read_text().count("\n")
            if lines > limit:
                long.append("%s has %d lines, %d are allowed" % (name, lines, limit))
    assert not long, "\n".join(long)


#: the frame that leads to a scenario's own values
FRAME = re.compile(r"(---|scenario:|  name: \w+|provisioner:|  inventory:|    group_vars:|      all:)?$")


def test_molecule_scenarios_add_little_to_the_shared_base() -> None:
    long = []
    for name in tracked_files(":(glob)molecule/*/molecule.yml"):
        lines = (ROOT / name).read_text().splitlines()
        own = [line for line in lines if not FRAME.match(line) and not line.lstrip().startswith("#")]
        if len(own) > 10:
            long.append("%s has %d lines of its own, 10 are allowed" % (name, len(own)))
    assert not long, "\n".join(long)
