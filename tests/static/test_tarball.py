"""The collection as a user gets it: built, installed away from this folder, run by its full name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.tracked import ROOT, tracked_files

#: what a tarball may hold at its top
DELIVERED = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "README.zh-CN.md",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}


def ansible(cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of Ansible that sees only what is under ``cwd``."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHONPATH"))}
    settings = cwd / "ansible.cfg"
    settings.touch()
    environment.update(ANSIBLE_COLLECTIONS_PATH=str(cwd / "collections"), ANSIBLE_CONFIG=str(settings), HOME=str(cwd))
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the built tarball and, in collections/, what it installs to."""
    folder = tmp_path_factory.mktemp("delivered")
    for name in tracked_files():  # not the checkout itself: its caches are large, and must not be needed
        copy = folder / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy)
    source = str(folder / "source")
    built = ansible(folder, "ansible-galaxy", "collection", "build", "--output-path", str(folder), source)
    assert built.returncode == 0, built.stderr
    tarball = next(folder.glob("gpufleet-vllm-*.tar.gz"))
    options = ["--offline", "-p", str(folder / "collections")]
    done = ansible(folder, "ansible-galaxy", "collection", "install", *options, str(tarball))
    assert done.returncode == 0, done.stderr
    yield folder


def test_tarball_holds_only_what_a_user_needs(installed: Path) -> None:
    with tarfile.open(next(installed.glob("*.tar.gz"))) as tarball:
        names = {member.name.split("/")[0] for member in tarball.getmembers()}
        files = [member.name for member in tarball.getmembers() if member.isfile()]
    assert names <= DELIVERED
    assert not [name for name in files if name.endswith(".pyc")]
    assert any(name.endswith("argument_specs.yml") for name in files)


def test_nothing_that_git_tracks_for_users_is_left_out(installed: Path) -> None:
    root = installed / "collections/ansible_collections/gpufleet/vllm"
    listed = subprocess.run(
        ["git", "ls-files", "plugins", "roles", "playbooks", "meta"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    missing = [name for name in listed.stdout.split() if (ROOT / name).exists() and not (root / name).exists()]
    assert not missing


@pytest.mark.slow
def test_every_playbook_parses_by_its_full_name(installed: Path) -> None:
    names = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
    assert {"preflight", "prepare", "plan", "fetch_models", "deploy", "verify", "site", "teardown"} <= set(names)
    for name in names:
        done = ansible(installed, "ansible-playbook", "gpufleet.vllm." + name, "--list-tasks", "-i", "localhost,")
        assert done.returncode == 0, "%s\n%s%s" % (name, done.stdout, done.stderr)


def test_a_module_runs_by_its_full_name(installed: Path) -> None:
    command = ["ansible", "localhost", "-c", "local", "-m", "gpufleet.vllm.gpu_facts"]
    done = ansible(installed, *command, "-e", "ansible_python_interpreter=/usr/bin/python3")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout.rpartition(" => ")[2])
    assert answer["ansible_facts"]["gpufleet"]["schema"] == 1


def test_documentation_of_every_module_renders(installed: Path) -> None:
    names = ["gpufleet.vllm." + path.stem for path in sorted((ROOT / "plugins/modules").glob("*.py"))]
    done = ansible(installed, "ansible-doc", "--json", *names)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == set(names)
