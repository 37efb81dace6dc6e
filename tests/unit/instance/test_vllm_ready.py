"""The readiness check against a scripted engine, as systemd would run it."""

from __future__ import annotations

import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
READY = ROOT / "roles/vllm_instance/files/vllm-ready"
ENGINE = ROOT / "tests/fakes/engine.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Unit:
    """The engine's process and the readiness check beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.engine: subprocess.Popen[bytes] | None = None

    def start(self, fake: str = "{}", key: str = "sk-1234") -> None:
        config = self.folder / "config.yaml"
        config.write_text("model: /m\nserved-model-name: chat\nhost: 127.0.0.1\nport: %d\n" % self.port)
        environment = dict(os.environ, FAKE_ENGINE=fake, VLLM_API_KEY=key)
        command = [sys.executable, str(ENGINE), "serve", "--config", str(config)]
        self.engine = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    def ready(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        assert self.engine is not None
        values = {
            "MAINPID": str(self.engine.pid),
            "RUNTIME_DIRECTORY": str(self.folder),
            "GPUFLEET_URL": "http://127.0.0.1:%d" % self.port,
            "GPUFLEET_SERVED_NAME": "chat",
            "GPUFLEET_REVISION": "abc",
            "VLLM_API_KEY": "sk-1234",
            # A proxy in the environment must not be asked.
            "http_proxy": "http://127.0.0.1:9",
            **environment,
        }
        command = [sys.executable, str(READY), *arguments]
        return subprocess.Popen(command, env=dict(os.environ, **values), stdout=subprocess.PIPE, text=True)

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        out, _err = process.communicate(timeout=30)
        return process.returncode, out

    def revision(self) -> str | None:
        path = self.folder / "revision"
        return path.read_text().strip() if path.exists() else None


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    unit = Unit(tmp_path)
    yield unit
    if unit.engine is not None:
        unit.engine.kill()
        unit.engine.wait()


def test_revision_appears_only_after_a_completion(unit: Unit) -> None:
    unit.start('{"start_seconds": 1}')
    process = unit.ready()
    assert unit.revision() is None
    code, out = unit.finish(process)
    assert code == 0 and unit.revision() == "abc"
    assert "/v1/completions" in out and "sk-1234" not in out


def test_starting_revision_is_noted_before_the_engine(unit: Unit) -> None:
    unit.start('{"hang": true}')
    assert unit.finish(unit.ready("--starting"))[0] == 0
    assert (unit.folder / "starting").read_text() == "abc\n" and unit.revision() is None


def test_listing_the_model_is_not_enough(unit: Unit) -> None:
    unit.start('{"mute": true}')
    process = unit.ready()
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=3)
    assert unit.revision() is None
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("fake", "environment", "words"),
    [
        ('{"wrong_name": true}', {}, "serves ['something-else'], not 'chat'"),
        ("{}", {"VLLM_API_KEY": "wrong"}, "refuses the key (401)"),
        ('{"no_sampler": true}', {}, "500"),
        ('{"exit": 3}', {}, "is gone after"),
        ('{"abort": true}', {}, "is gone after"),
    ],
)
def test_gives_up_at_once_when_waiting_is_in_vain(unit: Unit, fake: str, environment: Any, words: str) -> None:
    unit.start(fake)
    code, out = unit.finish(unit.ready(**environment))
    assert code == 1 and words in out
    assert unit.revision() is None


def test_notices_an_engine_that_dies_while_it_loads(unit: Unit) -> None:
    unit.start('{"hang": true}')
    process = unit.ready()
    assert unit.engine is not None
    unit.engine.send_signal(signal.SIGKILL)
    # The engine stays a zombie of this test: that must count as gone.
    code, out = unit.finish(process)
    assert code == 1 and "is gone" in out


@pytest.mark.parametrize("toolkit", [True, False])
@pytest.mark.parametrize("within_runtime", [True, False])
def test_link_to_the_cuda_compiler(tmp_path: Path, toolkit: bool, within_runtime: bool) -> None:
    host, venv, link = tmp_path / "cuda-13.0", tmp_path / "venv", tmp_path / "cuda"
    nvidia = venv / "lib/python3.11/site-packages/nvidia/cu13"
    for there, folder in ((toolkit, host), (within_runtime, nvidia)):
        if there:
            (folder / "bin").mkdir(parents=True)
            (folder / "bin/nvcc").touch()
    ready = runpy.run_path(str(READY))
    for _again in range(2):
        ready["link_cuda"](link, host, str(venv / "bin"))
    assert os.readlink(link) == str(nvidia if within_runtime and not toolkit else host)


def test_link_to_the_cuda_compiler_is_made_before_the_engine_of_a_gpu(unit: Unit) -> None:
    unit.start('{"hang": true}')
    path = os.environ["PATH"]
    assert unit.finish(unit.ready("--starting", PATH=path))[0] == 0
    assert not (unit.folder / "cuda").is_symlink()
    assert unit.finish(unit.ready("--starting", PATH=path, CUDA_HOME=str(unit.folder / "cuda")))[0] == 0
    assert (unit.folder / "cuda").is_symlink()
