"""The checkers that others wrote, each with all it has to say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.tools.tracked import tracked_files


def check(root: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        pytest.fail("%s: exit status %d\n%s" % (" ".join(command[:3]), done.returncode, done.stdout), pytrace=False)


def test_ruff(root: Path) -> None:
    check(root, "ruff", "check", "--output-format=concise", ".")


def test_mypy(root: Path) -> None:
    # by its full name, so that the relative imports of the plugins resolve
    check(root, "mypy", "-p", "ansible_collections.gpufleet.vllm.plugins.module_utils")


def test_yamllint(root: Path) -> None:
    check(root, "yamllint", "--strict", *tracked_files("*.yml", "*.yaml", ".yamllint", ".ansible-lint"))


def test_ansible_lint(root: Path) -> None:
    check(root, "ansible-lint", "--offline", "--profile=production", "--nocolor", "-q")


def test_changelog_fragments(root: Path) -> None:
    check(root, "antsibull-changelog", "lint")


def test_shell_scripts_parse(root: Path) -> None:
    for name in tracked_files("*.sh", ".ci/run"):
        check(root, "sh" if "bin/sh" in (root / name).read_text()[:20] else "bash", "-n", name)
