"""A real HTTP server that is slow to list its models, asked as the module asks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _instance
from ansible_collections.gpufleet.vllm.plugins.modules import instance_info

ROOT = Path(__file__).resolve().parents[3]
KEY = "sk-1234"
ACTIVE = "LoadState=loaded\nActiveState=active\nSubState=running\n"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = tmp_path / "config.yaml"
    config.write_text("model: /m\nserved-model-name: chat\nhost: 127.0.0.1\nport: %d\n" % port)
    command = [sys.executable, str(ROOT / "tests/fakes/engine.py"), "serve", "--config", str(config)]
    environment = dict(os.environ, FAKE_ENGINE='{"slow_lists": [4, 4, 1]}', VLLM_API_KEY=KEY)
    engine = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None and "startup complete" in engine.stdout.readline()
    yield "http://127.0.0.1:%d" % port
    engine.kill()
    engine.wait()


def test_slow_engine_is_waited_for(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_instance, "LIST_TIMEOUT", 0.3)
    (tmp_path / "run/gpufleet/chat").mkdir(parents=True)
    (tmp_path / "run/gpufleet/chat/revision").write_text("r1\n")
    api = instance_info.HttpApi(url, KEY, instance_info.open_url)
    instance = _instance.Instance(lambda command: (0, ACTIVE, ""), "chat", api, root=str(tmp_path))
    reports: list[str] = []
    waiting = _instance.Waiting(instance, time.monotonic, time.sleep, lambda stage, text: reports.append(stage), 0.1)
    assert instance.look(0.3).slow
    seen = waiting.patiently(20, "r1")
    assert seen.state == "ready" and not seen.needs_start("r1")
    # Beyond the first time-out in this look, then within the longer one.
    assert reports == ["answer"]
