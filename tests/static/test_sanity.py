"""ansible-test sanity, with nothing ignored, on the oldest and the newest pair that is supported."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from tests.tools import sanity
from tests.tools.pythons import find
from tests.tools.tracked import ROOT, tracked_files

pytestmark = pytest.mark.slow


def run(pair: sanity.Pair, artifacts: Path) -> None:
    done = sanity.run(pair)
    log = artifacts / ("sanity-%s.log" % pair.core)
    log.write_text(done.stdout)
    if done.returncode:
        pytest.fail("ansible-test sanity: exit status %d\n%s" % (done.returncode, done.stdout), pytrace=False)
    # a run that had nothing to test ends well, too
    assert 'Running sanity test "validate-modules"' in done.stdout or "validate-modules" in done.stdout


def test_nothing_is_ignored() -> None:
    lists = tracked_files("tests/sanity/ignore-*.txt")
    assert [name.rpartition("-")[2] for name in lists] == ["2.19.txt", "2.21.txt"]
    assert not [name for name in lists if (ROOT / name).read_text().strip()]


def test_core_2_19_on_the_control_nodes_python(artifacts: Path) -> None:
    python = "%d.%d" % sys.version_info[:2]
    run(sanity.Pair("2.19", python, Path(sys.executable).parents[1]), artifacts)


def test_core_2_21_on_python_3_13(artifacts: Path) -> None:
    python = find("3.13")
    if python is None:
        reason = "no Python 3.13 on this machine: ansible-core 2.21 is NOT checked"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    run(sanity.Pair("2.21", "3.13", sanity.second_venv("2.21", python)), artifacts)
