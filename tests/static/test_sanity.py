"""ansible-test sanity, with nothing ignored, on the oldest and the newest pair that is supported."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools import sanity
from tests.tools.pythons import find
from tests.tools.tracked import ROOT, tracked_files

pytestmark = pytest.mark.slow
Runs = dict[str, "Future[subprocess.CompletedProcess[str]]"]


def oldest() -> subprocess.CompletedProcess[str]:
    """ansible-core 2.19 on the control node's own Python."""
    python = "%d.%d" % sys.version_info[:2]
    return sanity.run(sanity.Pair("2.19", python, Path(sys.executable).parents[1]))


def newest(python: str) -> subprocess.CompletedProcess[str]:
    """ansible-core 2.21 on Python 3.13."""
    return sanity.run(sanity.Pair("2.21", "3.13", sanity.second_venv("2.21", python)))


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Both runs side by side: each waits for downloads half of its time."""
    second = find("3.13")
    with ThreadPoolExecutor() as pool:
        started = {"2.19": pool.submit(oldest)}
        if second:
            started["2.21"] = pool.submit(newest, second)
        yield started


def judge(runs: Runs, core: str, artifacts: Path) -> None:
    done = runs[core].result()
    (artifacts / ("sanity-%s.log" % core)).write_text(done.stdout)
    if done.returncode:
        pytest.fail("ansible-test sanity: exit status %d\n%s" % (done.returncode, done.stdout), pytrace=False)
    # a run that had nothing to test ends well, too
    assert 'Running sanity test "validate-modules"' in done.stdout, done.stdout


def test_nothing_is_ignored() -> None:
    lists = tracked_files("tests/sanity/ignore-*.txt")
    assert [name.rpartition("-")[2] for name in lists] == ["2.19.txt", "2.21.txt"]
    assert not [name for name in lists if (ROOT / name).read_text().strip()]


def test_core_2_19_on_the_control_nodes_python(runs: Runs, artifacts: Path) -> None:
    judge(runs, "2.19", artifacts)


def test_core_2_21_on_python_3_13(runs: Runs, artifacts: Path) -> None:
    if "2.21" not in runs:
        reason = "no Python 3.13 on this machine: ansible-core 2.21 is NOT checked"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    judge(runs, "2.21", artifacts)
