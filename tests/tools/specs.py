"""What roles say of themselves: argument_specs, defaults, what they own on a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.tools.tracked import ROOT

KINDS = ("file", "directory", "unit", "link")
OWNS_KEYS = {"path", "kind", "mode", "owner", "group"}


def roles() -> list[Path]:
    """Folders of all roles, by name; a folder that git has not got yet is not a role."""
    return sorted(path.parents[1] for path in ROOT.glob("roles/*/tasks/main.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


def entry_points(role: Path) -> dict[str, Any]:
    found = load(role / "meta/argument_specs.yml") or {}
    specs: dict[str, Any] = found.get("argument_specs", {})
    return specs


def _same(one: Any, other: Any) -> bool:
    """Equal in value and in type: 1, "1" and true are three things."""
    return type(one) is type(other) and bool(one == other)


def compare(specs: dict[str, Any], defaults: dict[str, Any], role: str) -> list[str]:
    """Every way in which argument specs and defaults disagree; a sentence each.

    An option without a default must have no value in defaults/main.yml, and the other way round.
    """
    problems = []
    described: dict[str, Any] = {}
    for name, entry in specs.items():
        options = entry.get("options") or {}
        described.update(options)
        for option, spec in options.items():
            if not option.startswith(role + "_"):
                problems.append("%s: option %s lacks the role's prefix" % (name, option))
            if "default" in spec and option not in defaults:
                problems.append("%s has a default in the spec, none in defaults/main.yml" % option)
            if "default" in spec and spec.get("required"):
                problems.append("%s is required and has a default" % option)
            if "default" not in spec and option in defaults:
                problems.append("%s has a value in defaults/main.yml, none in the spec" % option)
            if "default" in spec and option in defaults and not _same(spec["default"], defaults[option]):
                values = (option, spec["default"], defaults[option])
                problems.append("%s is %r in the spec and %r in defaults/main.yml" % values)
    problems += ["%s is not in any spec" % name for name in defaults if name not in described]
    return problems


def owned(role: Path) -> Any:
    """The role's list of what it owns; None where it has none."""
    found = load(role / "vars/main.yml") or {}
    return found.get("__%s_owns" % role.name)


def misowned(entries: Any) -> list[str]:
    """What is wrong with a list of owned things; a sentence each."""
    if not isinstance(entries, list):
        return ["is not a list"]
    problems = []
    for number, entry in enumerate(entries):
        where = "entry %d" % number
        if not isinstance(entry, dict):
            problems.append("%s is no mapping" % where)
            continue
        for key in sorted({"path", "kind", "mode"} - set(entry)):
            problems.append("%s lacks %s" % (where, key))
        for key in sorted(set(entry) - OWNS_KEYS):
            problems.append("%s has the unknown key %s" % (where, key))
        if entry.get("kind") not in KINDS:
            problems.append("%s is of kind %r, not one of %s" % (where, entry.get("kind"), ", ".join(KINDS)))
        if not str(entry.get("path", "")).startswith(("/", "{{")):
            problems.append("%s has no absolute path: %r" % (where, entry.get("path")))
        mode = entry.get("mode")
        if not (isinstance(mode, str) and mode.isdigit() and len(mode) == 4 and set(mode) <= set("01234567")):
            problems.append("%s has the mode %r, not four octal digits in quotes" % (where, mode))
    return problems
