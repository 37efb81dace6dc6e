"""The checkers that others wrote, each with all it has to say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.tools.pythons import find
from tests.tools.tracked import tracked_files


def check(root: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        pytest.fail("%s: exit status %d\n%s" % (" ".join(command[:3]), done.returncode, done.stdout), pytrace=False)


def test_ruff(root: Path) -> None:
    check(root, "ruff", "check", "--output-format=concise", ".")


def test_one_format(root: Path) -> None:
    check(root, "ruff", "format", "--check", ".")


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


def test_what_reaches_a_host_imports_on_python_3_9(root: Path) -> None:
    python = find("3.9")
    if python is None:
        pytest.skip("no Python 3.9 on this machine; ruff still refuses newer syntax")
    names = [name for name in tracked_files("plugins/module_utils/*.py") if not name.endswith("__main__.py")]
    parts = ["gpufleet.vllm." + name[: -len(".py")].replace("/", ".").removesuffix(".__init__") for name in names]
    code = (
        "import importlib, sys; sys.path.insert(0, '.cache/collections')\n"
        "for name in sys.argv[1:]: importlib.import_module('ansible_collections.' + name)"
    )
    check(root, python, "-c", code, *parts)
