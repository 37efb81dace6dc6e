# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Behind a proxy: the modules take what the environment of their task says."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import MODEL, Hub, assert_whole, play, run_module

# Nobody can resolve it: what arrives came through the proxy.
NAME = "hub.invalid"


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes on what is for the hub, wherever it is said to be, and notes every request line."""

    seen: list[str]
    target: Hub

    def do_GET(self) -> None:
        self.seen.append("GET %s" % self.path)
        answer = self.target.relay(self.path, dict(self.headers))
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Length", "Content-Range", "Location"):
            if answer.headers.get(name):
                self.send_header(name, answer.headers[name])
        self.end_headers()
        self.wfile.write(answer.read())
        answer.close()

    def do_CONNECT(self) -> None:
        self.seen.append("CONNECT %s" % self.path)
        self.send_error(502)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def proxy(hub: Hub) -> Iterator[tuple[str, list[str]]]:
    """A proxy, and what it saw."""
    seen: list[str] = []
    handler = type("Handler", (Proxy,), {"seen": seen, "target": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield "http://127.0.0.1:%d" % server.server_address[1], seen
    server.shutdown()
    server.server_close()
    thread.join(10)


def arguments(url: str, tmp_path: Path) -> dict[str, object]:
    return {"id": MODEL, "source": "huggingface", "endpoints": {"huggingface": url}, "store": str(tmp_path / "store")}


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
def test_http_proxy(proxy: tuple[str, list[str]], tmp_path: Path, spelling: Callable[[str], str]) -> None:
    url, seen = proxy
    proxies = {spelling("http_proxy"): url, "no_proxy": ""}
    wanted = arguments("http://" + NAME, tmp_path)
    info = run_module("model_info", {**wanted, "read_tensors": False}, proxies=proxies)
    assert info.code == 0, info.text
    asked = len(seen)
    assert asked and all(each.startswith("GET http://%s/" % NAME) for each in seen)
    snapshot = run_module("model_snapshot", wanted, proxies=proxies)
    assert snapshot.code == 0 and snapshot.answer["changed"] is True, snapshot.text
    assert len(seen) > asked
    assert any("/cdn/" in each for each in seen), "what the hub redirects to comes through the proxy too"


def test_https_proxy(proxy: tuple[str, list[str]], tmp_path: Path) -> None:
    url, seen = proxy
    for module in ("model_info", "model_snapshot"):
        wanted = arguments("https://" + NAME, tmp_path)
        assert (
            run_module(module, wanted, proxies={"https_proxy": url, "no_proxy": ""}).answer["code"] == "hub.unreachable"
        )
        assert set(seen) == {"CONNECT %s:443" % NAME}
        seen.clear()


def test_no_proxy(hub: Hub, proxy: tuple[str, list[str]], tmp_path: Path) -> None:
    url, seen = proxy
    wanted = {**arguments(hub.url, tmp_path), "read_tensors": False}
    assert run_module("model_info", wanted, proxies={"http_proxy": url, "no_proxy": "127.0.0.1"}).code == 0
    assert seen == []
    assert run_module("model_info", wanted, proxies={"http_proxy": url, "no_proxy": "example.org"}).code == 0
    assert seen


@pytest.mark.slow
def test_the_playbooks_hand_over_the_proxy(hub: Hub, proxy: tuple[str, list[str]], tmp_path: Path) -> None:
    url, seen = proxy
    model = {"source": ["huggingface"], "id": MODEL}
    proxies = {"gpufleet_proxy_env": {"http_proxy": url}}
    endpoints = {"gpufleet_hub_endpoints": {"huggingface": ["http://" + NAME]}}
    # Whether this machine could be a host does not matter: the models are read before that is judged.
    text = play(
        "preflight", tmp_path, {"vllm_deployments": [{"name": "small", "model": model}], **endpoints, **proxies}
    )
    assert any("/api/models/" in each for each in seen), text
    seen.clear()
    commit = run_module(
        "model_info",
        {
            "id": MODEL,
            "source": "huggingface",
            "endpoints": {"huggingface": hub.url},
            "read_tensors": False,
        },
    ).answer["model"]["revision"]
    spec = {"name": "small", "model": {"id": MODEL, "source": "huggingface", "revision": commit}}
    text = play("fetch_models", tmp_path, {"gpufleet_specs": [spec], **endpoints, **proxies})
    assert any("/cdn/" in each for each in seen), text
    assert_whole(tmp_path / "store" / MODEL / commit, hub.root / MODEL)
