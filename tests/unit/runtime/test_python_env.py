# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks, interpreters, markers: what decides whether an environment is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _python_env as python_env
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem

SUM = "--hash=sha256:" + "0" * 64
LOCK = "a==1.0 ; python_version < '4' \\\n    %s\nb-c==2.0+cpu \\\n    %s \\\n    %s\n" % (SUM, SUM, SUM)
FOUND = [
    {"path": "/usr/bin/python3.13", "version": "3.13.5", "implementation": "cpython"},
    {"path": "/usr/local/bin/python3.12", "version": "3.12.1", "implementation": "pypy"},
    {"path": "/usr/bin/python3.11", "version": "3.11.2", "implementation": "cpython"},
]


def test_comments_do_not_count_for_the_sum_and_everything_else_does() -> None:
    plain, commented = python_env.Lock(LOCK), python_env.Lock("# installed-bytes: 77\n" + LOCK + "\n# end\n")
    assert plain.sha256 == commented.sha256
    assert (plain.installed_bytes, commented.installed_bytes) == (0, 77)
    assert plain.names() == ["a==1.0 ; python_version < '4'", "b-c==2.0+cpu"]
    assert python_env.Lock(LOCK.replace("1.0", "1.1")).sha256 != plain.sha256
    assert python_env.combined_sum(plain, []) == plain.sha256
    assert python_env.combined_sum(plain, ["x"]) not in (plain.sha256, python_env.combined_sum(plain, ["y"]))


@pytest.mark.parametrize("text", ["", "# only words\n", "a==1.0\n", "a>=1.0 \\\n    %s\n" % SUM])
def test_a_lock_without_versions_or_sums_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        python_env.Lock(text)
    assert caught.value.code == "runtime.bad_lock"


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("3.11.2", ">=3.11,<3.13", True),
        ("3.13.0", ">=3.11,<3.13", False),
        ("3.10.13", ">=3.11", False),
        ("3.9.18", ">=3.11", False),
        ("3.11.2", "==3.11", True),
        ("3.11.2", "==3.11.*", True),
        ("3.12.0", "==3.11.*", False),
        ("3.11.2", "<=3.11", True),
        ("3.11.2", ">3.11", False),
        ("3.11.2", "", True),
        ("3.11.2", ">=3.11.5", False),
    ],
)
def test_version_ranges(version: str, wanted: str, fits: bool) -> None:
    assert python_env.version_fits(version, wanted) is fits


def test_a_range_of_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="3\\.11"):
        python_env.version_fits("3.11.2", "~=3.11")


def test_the_newest_suitable_cpython_is_taken() -> None:
    assert python_env.choose_interpreter(FOUND, ">=3.11", "", "/e")["version"] == "3.13.5"
    assert python_env.choose_interpreter(FOUND, ">=3.11,<3.13", "", "/e")["version"] == "3.11.2"
    chosen = python_env.choose_interpreter(FOUND, ">=3.11", "/usr/bin/python3.11", "/e")
    assert chosen["path"] == "/usr/bin/python3.11"


@pytest.mark.parametrize(
    ("wanted", "request_path", "named"),
    [
        (">=3.14", "", ["/usr/bin/python3.13 is cpython 3.13.5", "/usr/bin/python3.11 is cpython 3.11.2", ">=3.14"]),
        (">=3.12", "/usr/bin/python3.11", ["/usr/bin/python3.11 is cpython 3.11.2"]),
        (">=3.11", "/opt/none", ["/opt/none", "no interpreter is there"]),
        ("==3.12.*", "", ["pypy 3.12.1"]),
    ],
)
def test_an_unsuitable_host_is_told_what_it_has(wanted: str, request_path: str, named: list[str]) -> None:
    with pytest.raises(Problem) as caught:
        python_env.choose_interpreter(FOUND, wanted, request_path, "/opt/e")
    assert caught.value.code == "runtime.python_unsuitable"
    for part in named:
        assert part in str(caught.value)


def test_a_marker_counts_only_when_it_is_whole(tmp_path: Path) -> None:
    assert python_env.read_marker(str(tmp_path)) == {}
    python_env.write_marker(str(tmp_path), {"lock_sha256": "x"})
    assert python_env.read_marker(str(tmp_path)) == {"schema": 1, "lock_sha256": "x"}
    assert (tmp_path / ".gpufleet.json").stat().st_mode & 0o777 == 0o644
    for damaged in ('{"schema": 1', "[]", '{"schema": 2}'):
        (tmp_path / ".gpufleet.json").write_text(damaged)
        assert python_env.read_marker(str(tmp_path)) == {}


def test_too_little_space_names_both_numbers(tmp_path: Path) -> None:
    python_env.require_space(str(tmp_path / "new" / "folder"), 1)
    with pytest.raises(Problem) as caught:
        python_env.require_space(str(tmp_path / "new" / "folder"), 10**18)
    assert caught.value.code == "host.disk"
    assert "1000000000.0 GB" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_bytes_of_a_tree_count_files_and_not_what_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1" * 1000)
    (tmp_path / "y").write_bytes(b"1" * 24)
    (tmp_path / "z").symlink_to("a")
    assert python_env.tree_bytes(str(tmp_path)) == 1024 + 1
    assert python_env.tree_bytes(str(tmp_path / "none")) == 0


def test_python_answers_for_an_alias(tmp_path: Path) -> None:
    python_env.write_metadata_alias(str(tmp_path), "Some-Name", "0.1+cpu", "other")
    code = "import sys; sys.path.insert(0, %r); from importlib.metadata import version; print(version('some_name'))"
    done = subprocess.run([sys.executable, "-c", code % str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.1+cpu"
    assert python_env.distributions(str(tmp_path)) == ["Some_Name-0.1+cpu"]


def test_removal_takes_the_marker_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill in the middle of the removal must not leave a marker on half an environment."""
    target = tmp_path / "e"
    target.mkdir()
    python_env.write_marker(str(target), {})

    def killed(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(python_env.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        python_env.remove_tree(str(target))
    assert target.is_dir()
    assert python_env.read_marker(str(target)) == {}
