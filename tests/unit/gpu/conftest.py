"""A compiled stand-in for NVIDIA's library and a scripted nvidia-smi."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.tools.debian import need

HERE = Path(__file__).parent
#: prints what the module would put into its fact; a process of its own, because a loaded library stays loaded
PROBE = """
import json, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import probe
def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr
print(json.dumps(probe(run, sys.argv[2], sys.argv[3])))
"""


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds a libnvidia-ml.so.1 built from fake_nvml.c."""
    folder = tmp_path_factory.mktemp("nvml")
    compiler = need("gcc", "gcc", "libc6-dev")
    source = str(HERE / "fake_nvml.c")
    target = str(folder / "libnvidia-ml.so.1")
    command = [compiler, "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", target, source]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def probe(nvml_library: Path, tmp_path: Path, root: Path) -> Callable[..., dict[str, Any]]:
    """probe(values, backend="nvml", machine="/nowhere"): the fact for an NVML that answers ``values``."""

    def call(values: dict[str, Any], backend: str = "nvml", machine: str = "/nowhere") -> dict[str, Any]:
        description = tmp_path / "cards.txt"
        description.write_text("".join("%s=%s\n" % pair for pair in values.items()))
        environment = dict(os.environ, LD_LIBRARY_PATH=str(nvml_library), FAKE_NVML=str(description))
        command = [sys.executable, "-c", PROBE, str(root / ".cache/collections"), backend, machine]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return call


class Smi:
    """A nvidia-smi that answers what it is told: {arguments: (status, output, errors)}."""

    def __init__(self, answers: dict[str, tuple[int, str, str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, command: list[str]) -> tuple[int, str, str]:
        assert command[:1] == ["timeout"], "a card that hangs must not hang the play"
        arguments = " ".join(command[command.index("nvidia-smi") + 1 :])
        self.asked.append(arguments)
        return self.answers.get(arguments, (2, "", "unknown option"))


@pytest.fixture
def smi() -> type[Smi]:
    return Smi
