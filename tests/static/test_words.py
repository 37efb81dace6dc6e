"""Words that must not be in the repository, and numbers that must be in one place only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.tracked import ROOT, tracked_files

#: what must not be written down: this test holds the words in pieces so that it passes itself
FORBIDDEN = {
    "a folder of one developer's machine": r"/(?:work|home/\w+|root/\.pyenv)/(?:main|shared|\.)",
    "a package folder of one machine": r"/opt/(?:wheel|pyp)" + "[a-z]*",
    "a registry's host": r"(?:pypi|pythonhosted|npmjs|deb\.debian|security\.debian)" + r"\.(?:org|com)",
    "a private key": "-----BEGIN " + "[A-Z ]*PRIVATE KEY",
    "a token": r"\b(?:hf_[A-Za-z0-9]{30,}|ghp_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9]{32,}|AKIA[A-Z0-9]{16})\b",
    "an unfinished place": r"\b(?:TO" + "DO|FIX" + "ME|X" + r"XX)\b",
}
HERE = Path(__file__).relative_to(ROOT).as_posix()


def texts() -> list[tuple[str, str]]:
    found = []
    for name in tracked_files():
        data = (ROOT / name).read_bytes()
        if b"\0" not in data[:4096] and name != HERE and not name.startswith("LICENSES/"):
            found.append((name, data.decode("utf-8")))
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nowhere(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    hits = [
        "%s:%d: %s" % (name, number, line.strip()[:120])
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not hits, "%s is in:\n%s" % (what, "\n".join(hits))


#: default that pins a release: role file, variable
PINNED = re.compile(r"^([a-z]\w*_version): [\"']?([0-9][\w.+-]*)[\"']?$")


#: a playbook that looks ahead at a role's release repeats its default, as argument_specs do
FALLBACK = re.compile(r"(\w+_version) \| default\('([^']+)'\)")


def pins() -> list[tuple[str, int, str, str, str]]:
    """(file, line number, variable, version, line above) of every release pinned in a role's defaults."""
    found = []
    for name in tracked_files(":(glob)roles/*/defaults/main.yml"):
        lines = (ROOT / name).read_text().splitlines()
        for number, line in enumerate(lines):
            match = PINNED.match(line)
            if match:
                found.append((name, number + 1, match.group(1), match.group(2), lines[number - 1]))
    return found


def test_a_bot_can_find_every_pinned_version() -> None:
    bare = ["%s:%d %s" % pin[:3] for pin in pins() if not pin[4].startswith("# renovate: datasource=")]
    assert not bare, "no `# renovate:` comment above:\n%s" % "\n".join(bare)


def test_a_version_is_pinned_in_one_place() -> None:
    """The same release number stands in no second default, template, task or playbook."""
    doubled = []
    for file, _number, variable, version, _above in pins():
        pattern = re.compile(r"(?<![\w.])%s(?![\w.])" % re.escape(version))
        for name in tracked_files("roles/*.yml", "roles/*.j2", "playbooks/*.yml"):
            # argument_specs repeat defaults by law, and are compared with them by value
            if name == file or name.endswith("argument_specs.yml"):
                continue
            for line in (ROOT / name).read_text().splitlines():
                if pattern.search(line) and not line.lstrip().startswith("#") and not FALLBACK.search(line):
                    doubled.append("%s (%s of %s): %s" % (name, variable, file, line.strip()))
    assert not doubled, "\n".join(doubled)


def test_fallbacks_of_playbooks_are_the_defaults_of_roles() -> None:
    known = {variable: version for _file, _number, variable, version, _above in pins()}
    found = [
        match.groups()
        for name in tracked_files("playbooks/*.yml")
        for match in FALLBACK.finditer((ROOT / name).read_text())
    ]
    assert not [(variable, version) for variable, version in found if known.get(variable) != version]
