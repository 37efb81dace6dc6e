"""The interface of every role, and that its checkers would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tools import specs

ROLES = specs.roles()
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@each_role
def test_spec_and_defaults_agree_by_value(role: Path) -> None:
    entries = specs.entry_points(role)
    assert "main" in entries, "meta/argument_specs.yml has no entry point main"
    problems = specs.compare(entries, specs.load(role / "defaults/main.yml") or {}, role.name)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("spec", "default"),
    [
        ({"type": "int", "default": 1}, {"r_x": "1"}),
        ({"type": "bool", "default": True}, {"r_x": 1}),
        ({"type": "int", "default": 1}, {"r_x": 2}),
        ({"type": "int"}, {"r_x": 2}),
        ({"type": "int", "default": 2}, {}),
        ({"type": "int", "default": 2, "required": True}, {"r_x": 2}),
        ({"type": "list", "default": ["a"]}, {"r_x": []}),
    ],
)
def test_the_comparison_notices(spec: dict[str, Any], default: dict[str, Any]) -> None:
    assert specs.compare({"main": {"options": {"r_x": spec}}}, default, "r")


def test_the_comparison_notices_names() -> None:
    assert specs.compare({"main": {"options": {}}}, {"r_x": 1}, "r")
    assert specs.compare({"main": {"options": {"x": {"type": "str"}}}}, {}, "r")
    assert not specs.compare({"main": {"options": {"r_x": {"default": 1}}}}, {"r_x": 1}, "r")


@each_role
def test_role_says_what_it_owns(role: Path) -> None:
    entries = specs.owned(role)
    assert entries is not None, "vars/main.yml has no __%s_owns" % role.name
    problems = specs.misowned(entries)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "/etc/x", "kind": "file"},
        {"path": "/etc/x", "kind": "socket", "mode": "0644"},
        {"path": "etc/x", "kind": "file", "mode": "0644"},
        {"path": "/etc/x", "kind": "file", "mode": 420},
        {"path": "/etc/x", "kind": "file", "mode": "0844"},
        {"path": "/etc/x", "kind": "file", "mode": "0644", "colour": "red"},
        "/etc/x",
    ],
)
def test_the_check_of_owned_things_notices(entry: Any) -> None:
    assert specs.misowned([entry])


@each_role
def test_role_stands_alone(role: Path) -> None:
    meta = specs.load(role / "meta/main.yml") or {}
    assert meta.get("dependencies") == []
    assert meta.get("galaxy_info", {}).get("description")
    # a role may use systemd_unit and nothing else of the collection; composing is the playbooks' work
    for path in sorted(role.glob("tasks/*.yml")):
        text = path.read_text()
        assert "groups[" not in text, path
        assert "hostvars" not in text, path
        for task in specs.load(path) or []:
            for key in ("ansible.builtin.include_role", "ansible.builtin.import_role"):
                used = (task.get(key) or {}).get("name")
                assert used in (None, "gpufleet.vllm.systemd_unit"), "%s includes %s" % (path, used)


#: names a task file of a role may have (architecture, law 8)
STAGES = ("main", "assert", "install", "configure", "service", "remove")
#: parts of a stage, and entry points beside main, that earned a name of their own
PARTS = ("fill", "packages", "restore", "rollback", "start")


@each_role
def test_task_files_have_the_fixed_names(role: Path) -> None:
    odd = [
        path.name
        for path in role.glob("tasks/*.yml")
        if path.stem not in STAGES + PARTS
        and not path.stem.startswith(("provider_", *(stage + "_" for stage in STAGES + PARTS)))
    ]
    assert not odd
