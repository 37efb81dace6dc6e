"""Every Molecule scenario as one test; what it printed is kept in artifacts/molecule."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.tracked import ROOT

#: whole flows come last: what they stand on has been tried by then
LAST = ("site", "rollout")


def scenarios() -> list[str]:
    names = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return sorted(names, key=lambda name: (LAST.index(name) + 1 if name in LAST else 0, name))


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.parametrize("name", scenarios())
def test_scenario(name: str, artifacts: Path) -> None:
    folder = artifacts / "molecule"
    folder.mkdir(exist_ok=True)
    log = folder / (name + ".log")
    environment = dict(os.environ, MOLECULE_GLOB="molecule/*/molecule.yml", PY_COLORS="0", ANSIBLE_NOCOLOR="1")
    command = [str(Path(sys.executable).with_name("molecule")), "test", "-s", name]
    with log.open("w") as stream:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-120:])
        pytest.fail("molecule test -s %s: exit status %d\n%s" % (name, done.returncode, last), pytrace=False)
