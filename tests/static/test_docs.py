"""What the documentation says is so."""

from __future__ import annotations

import re

import pytest

from tests.tools import docs
from tests.tools.tracked import ROOT, tracked_files

#: first words of error codes
AREAS = "inventory|host|model|hub|plan|runtime|engine|gpu|instance|unit|webui|verify|teardown"
CODE = re.compile(r"""["'\[]((?:%s)\.[a-z_]+)["'\]]""" % AREAS)
#: strings of the same form that are places in a request
NO_CODES = {"gpu.index", "runtime.device"}


def test_role_tables_are_fresh() -> None:
    assert not docs.stale(), "run `make docs`:\n" + "\n".join(docs.stale())


def used_codes() -> dict[str, str]:
    """Every error code in the collection's code -> a file that uses it."""
    found = {}
    for name in tracked_files("plugins/*.py", "roles/*.yml", "playbooks/*.yml"):
        text = (ROOT / name).read_text()
        for match in CODE.finditer(text):
            if match.group(1) not in NO_CODES:
                found.setdefault(match.group(1), name)
    return found


def listed_codes() -> set[str]:
    return set(re.findall(r"`([a-z]+\.[a-z_]+)`", (ROOT / "docs/errors.md").read_text()))


def test_every_error_code_is_listed() -> None:
    missing = {code: name for code, name in used_codes().items() if code not in listed_codes()}
    assert not missing, "not in docs/errors.md:\n" + "\n".join("%s (%s)" % item for item in sorted(missing.items()))


def test_no_listed_error_code_is_dead() -> None:
    prefixes = {code.split(".")[0] for code in used_codes()}
    dead = {code for code in listed_codes() if code.split(".")[0] in prefixes} - set(used_codes())
    assert not dead, "in docs/errors.md, used nowhere: %s" % ", ".join(sorted(dead))


#: `tests/unit/x/test_y.py::test_z` or a file or folder alone
PROOF = re.compile(r"`((?:tests|molecule)/[\w./-]+)(?:::(\w+))?`")


def proofs(page: str) -> list[tuple[str, str]]:
    return [(match.group(1), match.group(2) or "") for match in PROOF.finditer(page)]


def missing_proofs(page: str) -> list[str]:
    """Named tests that do not exist, of a page of promises."""
    missing = []
    for path, test in proofs(page):
        if not (ROOT / path).exists():
            missing.append(path)
        elif test and not re.search(r"^\s*def %s\(" % test, (ROOT / path).read_text(), re.MULTILINE):
            missing.append("%s::%s" % (path, test))
    return missing


def test_every_named_proof_exists() -> None:
    page = (ROOT / "docs/proved.md").read_text()
    assert len(proofs(page)) > 20
    assert not missing_proofs(page), "\n".join(missing_proofs(page))


def test_every_promise_has_a_proof_or_says_why_not() -> None:
    rows = [
        line
        for line in (ROOT / "docs/proved.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| promise")
    ]
    assert rows
    bare = [line for line in rows if not PROOF.search(line) and "not proved:" not in line]
    assert not bare, "\n".join(bare)


def test_the_check_of_proofs_notices() -> None:
    assert missing_proofs("`tests/unit/nowhere/test_x.py`") == ["tests/unit/nowhere/test_x.py"]
    assert missing_proofs("`tests/static/test_docs.py::test_missing`") == ["tests/static/test_docs.py::test_missing"]
    assert missing_proofs("`tests/static/test_docs.py::test_role_tables_are_fresh`") == []


@pytest.mark.parametrize("name", [name for name in tracked_files("*.md") if not name.startswith("LICENSES/")])
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
    dead = [link for link in links if not (page.parent / link).exists()]
    assert not dead, "%s: %s" % (name, ", ".join(dead))
