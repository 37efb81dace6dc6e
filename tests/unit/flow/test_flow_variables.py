"""Private variables of the playbooks: each that is used is defined somewhere, and each that is defined is used."""

from __future__ import annotations

import re
from pathlib import Path

PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"
NAME = re.compile(r"\b__flow_[a-z_]+\b")
# As a key of a mapping, as what register or loop_var names, or as the one word of such a line.
DEFINED = re.compile(r"^\s*(?:- )?(__flow_[a-z_]+):|(?:register|loop_var): (__flow_[a-z_]+)", re.MULTILINE)


def names() -> tuple[set[str], dict[str, int]]:
    defined: set[str] = set()
    uses: dict[str, int] = {}
    for path in PLAYBOOKS.rglob("*.yml"):
        text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
        defined.update(name for match in DEFINED.findall(text) for name in match if name)
        for name in NAME.findall(text):
            uses[name] = uses.get(name, 0) + 1
    return defined, uses


def test_every_private_variable_is_defined_and_used() -> None:
    defined, uses = names()
    assert len(defined) > 30
    assert set(uses) - defined == set()
    assert {name for name, count in uses.items() if count == 1} == set()
