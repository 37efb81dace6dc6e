"""ansible-test sanity on a copy of what the collection delivers, with nothing ignored.

ansible-test wants a git checkout whose path ends in ansible_collections/gpufleet/vllm, and keeps its caches in $HOME:
both are made under .cache/sanity, one for each pair of ansible-core and Python.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.tools.tracked import ROOT, tracked_files

CACHE = ROOT / ".cache" / "sanity"
#: what sanity is about: the collection as delivered (galaxy.yml), and the lists of what it ignores
DELIVERED = (
    "galaxy.yml",
    "README.md",
    "changelogs/",
    "docs/",
    "meta/",
    "playbooks/",
    "plugins/",
    "roles/",
    "tests/sanity/",
)
GET_PIP = Path(__file__).with_name("get_pip.py")


@dataclass(frozen=True)
class Pair:
    """One ansible-core release on one Python; ``venv`` holds ansible-test."""

    core: str
    python: str
    venv: Path


def _pinned_pip(pair: Pair) -> str:
    """The pip that this ansible-test asks for; part of the file name it looks for."""
    code = (
        "import types; from ansible_test._internal.python_requirements import get_venv_packages as pinned;"
        "print(pinned(types.SimpleNamespace(version='%s'))['pip'])" % pair.python
    )
    done = subprocess.run([pair.venv / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _environment(pair: Pair, home: Path) -> dict[str, str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    search = os.pathsep.join([str(pair.venv / "bin"), os.environ["PATH"]])
    environment.update(HOME=str(home), PATH=search, PYTHONWARNINGS="ignore")
    return environment


def _settings(home: Path) -> None:
    """This machine's pip settings as files: ansible-test drops what comes by the environment, and looks in $HOME."""
    pip = [sys.executable, "-m", "pip"]
    done = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True)
    settings: dict[str, str] = {}
    for line in done.stdout.splitlines():  # global.cert='...', then :env:.cert='...', which wins
        key, _equals, value = line.partition("=")
        settings[key.rpartition(".")[2]] = str(ast.literal_eval(value)).replace("\n", "\n  ")
    cache = subprocess.run([*pip, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    settings["cache-dir"] = cache
    for_pip = "[global]\n" + "".join("%s = %s\n" % pair for pair in sorted(settings.items()))
    for_uv = "system-certs = true\n"
    if "index-url" in settings:
        for_uv += 'index-url = "%s"\n' % settings["index-url"]
    for name, text in {"pip/pip.conf": for_pip, "uv/uv.toml": for_uv}.items():
        path = home / ".config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _copy(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for name in tracked_files():
        if not name.startswith(DELIVERED):
            continue
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy)
    subprocess.run(["git", "init", "-q", "."], cwd=target, check=True)
    subprocess.run(["git", "add", "-A"], cwd=target, check=True)


def run(pair: Pair, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs all sanity tests of ``pair``; the answer holds the exit status and both outputs in one."""
    base = CACHE / pair.core
    target = base / "ansible_collections/gpufleet/vllm"
    home = base / "home"
    _copy(target)
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    _settings(home)
    shutil.copy(GET_PIP, cache / ("get_pip_%s.py" % _pinned_pip(pair).replace(".", "_")))
    command = [str(pair.venv / "bin/ansible-test"), "sanity", "--requirements", "--color", "no"]
    return subprocess.run(
        [*command, "--python", pair.python, *arguments],
        cwd=target,
        env=_environment(pair, home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def second_venv(core: str, python: str) -> Path:
    """A virtual environment for the pair that is not the control node's; made once from its own lock."""
    venv = CACHE / ("venv-" + core)
    lock = ROOT / "requirements" / ("sanity-%s.txt" % core)
    stamp = venv / ".locked"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        subprocess.run([python, "-m", "venv", "--clear", venv], check=True)
        uv = Path(sys.executable).with_name("uv")
        install = [uv, "pip", "install", "--quiet", "--python", venv / "bin/python", "--require-hashes", "-r", lock]
        subprocess.run(install, check=True)
        stamp.write_text(lock.read_text())
    return venv
