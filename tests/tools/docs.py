"""`make docs`: writes the parts of the documentation that are made from data.

Between the markers of every role's README stand its variables, from meta/argument_specs.yml, and what it owns on a
host, from vars/main.yml. `stale()` tells the tests which files are behind.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.tools import specs
from tests.tools.tracked import ROOT

BEGIN, END = "<!-- BEGIN_ANSIBLE_DOCS -->", "<!-- END_ANSIBLE_DOCS -->"
_NESTED = "&nbsp;&nbsp;"


def _plain(markup: str) -> str:
    """Ansible's mark-up as Markdown."""
    text = re.sub(r"\b(?:O|V|C|RV|E|I)\(([^()]*)\)", r"`\1`", markup)
    text = re.sub(r"\bM\(([^()]*)\)", r"`\1`", text)
    return text.replace("|", "\\|").strip()


def _sentence(description: Any) -> str:
    parts = description if isinstance(description, list) else [description or ""]
    return " ".join(_plain(str(part)).replace("\n", " ") for part in parts)


def _kind(spec: dict[str, Any]) -> str:
    kind = str(spec.get("type", "str"))
    return "%s of %s" % (kind, spec["elements"]) if "elements" in spec else kind


def _default(spec: dict[str, Any]) -> str:
    if spec.get("required"):
        return "required"
    if "default" not in spec:
        return ""
    value = spec["default"]
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return "`%s`" % text.replace("|", "\\|").replace("\n", " ")


def _rows(options: dict[str, Any], depth: int = 0) -> list[str]:
    rows = []
    for name, spec in options.items():
        choices = spec.get("choices")
        meaning = _sentence(spec.get("description"))
        if choices:
            meaning += " One of %s." % ", ".join("`%s`" % choice for choice in choices)
        rows.append("| %s`%s` | %s | %s | %s |" % (_NESTED * depth, name, _kind(spec), _default(spec), meaning))
        rows += _rows(spec.get("options") or {}, depth + 1)
    return rows


def tables(role: Path) -> str:
    """What stands between the markers of a role's README."""
    lines = []
    for name, entry in specs.entry_points(role).items():
        options = entry.get("options") or {}
        lines += ["### Variables" if name == "main" else "### Variables of entry point `%s`" % name, ""]
        if options:
            lines += ["| variable | type | default | meaning |", "|-|-|-|-|", *_rows(options), ""]
        else:
            lines += ["None.", ""]
    owned = specs.owned(role)
    lines += ["### Owns on the host", ""]
    if owned:
        rows = ["| `%s` | %s | `%s` |" % (entry["path"], entry["kind"], entry["mode"]) for entry in owned]
        lines += ["| path | kind | mode |", "|-|-|-|", *rows]
    else:
        lines += ["Nothing."]
    return "\n".join(lines)


def rendered(role: Path) -> str:
    """The role's README with fresh tables; raises ValueError where it lacks the markers."""
    text = (role / "README.md").read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError("%s/README.md lacks the line %s or %s" % (role.name, BEGIN, END))
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    return "%s%s\n\n%s\n\n%s%s" % (head, BEGIN, tables(role), END, tail)


def stale() -> list[str]:
    """READMEs that differ from what `make docs` would write, or that it cannot write; one sentence each."""
    found = []
    for role in specs.roles():
        try:
            if rendered(role) != (role / "README.md").read_text():
                found.append("roles/%s/README.md is not what `make docs` writes" % role.name)
        except (ValueError, FileNotFoundError) as error:
            found.append(str(error))
    return found


def main() -> int:
    failed = 0
    for role in specs.roles():
        readme = role / "README.md"
        try:
            text = rendered(role)
        except (ValueError, FileNotFoundError) as error:
            print(error, file=sys.stderr)
            failed = 1
            continue
        if text != readme.read_text():
            readme.write_text(text)
            print("wrote %s" % readme.relative_to(ROOT))
    return failed


if __name__ == "__main__":
    sys.exit(main())
