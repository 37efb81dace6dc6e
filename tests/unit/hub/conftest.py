# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub of our own, a model in it, and ways to run the modules against it."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._fetch import Settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._snapshot import Outcome, Wish, ensure_present

from tests.fakes.hub import server
from tests.fakes.hub.repositories import Repositories

ROOT = Path(__file__).resolve().parents[3]
MODULES = "ansible_collections.gpufleet.vllm.plugins.modules"
MODEL = "acme/small"
SOURCES = ("huggingface", "modelscope")
CONFIG = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}


@dataclass
class Hub:
    """A running hub. ``root`` is what it serves."""

    root: Path
    server: server.Hub
    thread: threading.Thread

    @property
    def url(self) -> str:
        return "http://127.0.0.1:%d" % self.server.server_address[1]

    def _post(self, route: str, value: Any) -> None:
        request = urllib.request.Request(self.url + route, json.dumps(value).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def fault(self, *faults: dict[str, Any]) -> None:
        """Set the faults, and forget what was seen so far."""
        self._post("/__reset", {})
        self._post("/__faults", faults)

    def report(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + "/__log", timeout=10) as answer:
            report: dict[str, Any] = json.load(answer)
            return report

    def relay(self, url: str, headers: dict[str, str]) -> Any:
        """The open answer to what a proxy was asked for, with whatever status, redirects included."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=10)
        connection.request("GET", parts._replace(scheme="", netloc="").geturl(), headers=headers)
        return connection.getresponse()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@dataclass
class Result:
    """How a module run as its own process ended."""

    code: int
    text: str
    answer: dict[str, Any] = field(default_factory=dict)


def run_module(name: str, arguments: dict[str, Any], check: bool = False, **more: Any) -> Result:
    process = start_module(name, arguments, check, **more)
    text, _none = process.communicate(timeout=120)
    try:
        answer = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        answer = {}
    return Result(process.returncode, text, answer)


def start_module(
    name: str,
    arguments: dict[str, Any],
    check: bool = False,
    proxies: dict[str, str] | None = None,
    umask: int = 0o022,
    prelude: str = "",
) -> subprocess.Popen[str]:
    """Start a module as Ansible would on a host: arguments as JSON on standard input, answer on standard output.

    ``proxies`` are all that its environment says of proxies; without them there are none. ``prelude`` runs first in
    the same process.
    """
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment.update({"PYTHONPATH": str(ROOT / ".cache" / "collections"), "no_proxy": "*"} | (proxies or {}))
    program = (
        "import ansible.module_utils.basic as basic, runpy\n"
        "basic._ANSIBLE_PROFILE = 'legacy'\n"
        "%s\n"
        "runpy.run_module('%s.%s', run_name='__main__')" % (prelude, MODULES, name)
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        umask=umask,
    )
    assert process.stdin
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}))
    process.stdin.close()
    process.stdin = None
    return process


def play(name: str, tmp_path: Path, variables: dict[str, object]) -> str:
    """Run one of the playbooks against this machine, with nothing about proxies but what ``variables`` say."""
    more = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "gpufleet_gpu_hosts": "here",
        "gpufleet_webui_hosts": "none",
        "vllm_device": "cpu",
        "gpufleet_secrets_dir": str(tmp_path / "secrets"),
        "model_store_path": str(tmp_path / "store"),
        "ansible_async_dir": str(tmp_path / "async"),
        **variables,
    }
    (tmp_path / "variables.json").write_text(json.dumps(more))
    (tmp_path / "hosts").write_text("here\n")
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        str(tmp_path / "hosts"),
        "-e",
        "@%s" % (tmp_path / "variables.json"),
        name + ".yml" if name.startswith("/") else "playbooks/%s.yml" % name,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    return done.stdout + done.stderr


def size_of(directory: Path) -> int:
    """Bytes of all files below."""
    return sum(each.stat().st_size for each in directory.rglob("*") if each.is_file())


def make_model(directory: Path, shards: tuple[int, ...] = (3_000_000, 700_001)) -> None:
    """A model that looks like one: weights of the given sizes, small files, an empty one, a nested one."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(CONFIG))
    (directory / "generation_config.json").write_text('{"temperature": 0.6}')
    (directory / "empty.txt").touch()
    (directory / "docs" / "图").mkdir(parents=True)
    (directory / "docs" / "图" / "read me#1.md").write_text("nested, with a space and a hash\n")
    for number, size in enumerate(shards):
        source = random.Random("%s %d" % (directory.name, number))
        (directory / ("model-%05d.safetensors" % number)).write_bytes(source.randbytes(size))


@pytest.fixture
def start_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Starts hubs over ``tmp_path/root`` on free ports; all are gone after the test, however it ends."""
    hubs: list[Hub] = []

    def start(token: str | None = None, page: int = 1000) -> Hub:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        served = server.Hub(("127.0.0.1", 0), Repositories(root, lfs_bytes=1 << 20), token, page)
        thread = threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        hubs.append(Hub(root, served, thread))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.stop()


@pytest.fixture
def hub(start_hub: Callable[..., Hub], tmp_path: Path) -> Hub:
    """A hub with one model."""
    make_model(tmp_path / "root" / MODEL)
    return start_hub()


@pytest.fixture
def wish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Wish]:
    """Makes a Wish for MODEL from the given hubs, Hugging Face dialect unless said otherwise."""
    monkeypatch.setenv("no_proxy", "*")

    def make(*hubs: Hub | str, source: str = "huggingface", **more: Any) -> Wish:
        urls = [each if isinstance(each, str) else each.url for each in hubs]
        known: dict[str, Any] = {"store": str(tmp_path / "store"), "timeout": 10.0, "endpoints": {source: urls}}
        return Wish(**{"model_id": MODEL, "sources": [source], **known, **more})

    return make


def fetch(wish: Wish, check: bool = False, retries: int = 4) -> Outcome:
    """Have the snapshot, with pauses short enough for a test."""
    return ensure_present(wish, Progress(None), check, Settings(retries=retries, backoff=0.01))


def assert_whole(path: str | Path, original: Path) -> None:
    """The snapshot has exactly the files of the original, byte for byte, and the manifest."""
    directory = Path(path)
    wanted = {each.relative_to(original).as_posix() for each in original.rglob("*") if each.is_file()}
    found = {each.relative_to(directory).as_posix() for each in directory.rglob("*") if each.is_file()}
    assert found == wanted | {".gpufleet.json"}
    for name in wanted:
        assert (directory / name).read_bytes() == (original / name).read_bytes(), name


def assert_nothing_published(store: Path) -> None:
    """No file is anywhere in the store but in its hidden directories."""
    files = [each.relative_to(store).as_posix() for each in store.rglob("*") if each.is_file()]
    assert [each for each in files if not each.startswith(".")] == []
