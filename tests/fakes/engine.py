#!/usr/bin/env python3
"""A tiny stand-in for ``vllm serve``: speaks just enough of the OpenAI API to try units, readiness and failures.

Called like the real one: ``engine.py serve --config FILE``. Reads from that file, which it takes as JSON or as flat
``key: value`` lines: ``model``, ``served-model-name``, ``host``, ``port``. How it behaves is in the environment's
FAKE_ENGINE, a JSON object:

    start_seconds   silence before the port opens
    log             lines to print at once, as an engine would before it dies
    exit            exit status to end with after the log
    abort           end by SIGKILL of itself instead
    hang            never open the port, print nothing more
    mute            open the port, list the model, but never answer a completion
    wrong_name      serve another model name
    no_sampler      fail at a completion that is not greedy
    slow_lists      seconds that each of the first lists of models takes, as a busy engine does: [2, 2]

The key is the environment's VLLM_API_KEY. Standard library only; runs on Python 3.9.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def read_config(path: str) -> dict[str, Any]:
    """The engine's config file: JSON (which is YAML), or flat ``key: value`` lines with JSON or bare values."""
    text = Path(path).read_text(encoding="utf-8")
    try:
        return dict(json.loads(text))
    except ValueError:
        pass
    config: dict[str, Any] = {}
    for line in text.splitlines():
        key, sep, value = line.partition(":")
        if not sep or line.lstrip().startswith("#"):
            continue
        try:
            config[key.strip()] = json.loads(value)
        except ValueError:
            config[key.strip()] = value.strip().strip("'\"")
    return config


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, config: dict[str, Any], script: dict[str, Any]) -> None:
        self.model = "something-else" if script.get("wrong_name") else config.get("served-model-name", config["model"])
        self.mute = bool(script.get("mute"))
        self.no_sampler = bool(script.get("no_sampler"))
        self.slow_lists = list(script.get("slow_lists", []))
        self.key = os.environ.get("VLLM_API_KEY", "")
        super().__init__((config.get("host", "127.0.0.1"), int(config.get("port", 8000))), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def answer(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def allowed(self) -> bool:
        guarded = self.path.startswith("/v1") and self.server.key
        if guarded and self.headers.get("Authorization") != "Bearer " + self.server.key:
            self.answer(401, {"error": "Unauthorized"})
            return False
        return True

    def do_GET(self) -> None:
        if not self.allowed():
            return
        if self.path == "/health":
            self.answer(200, {})
        elif self.path == "/v1/models":
            if self.server.slow_lists:
                time.sleep(self.server.slow_lists.pop(0))
            self.answer(200, {"object": "list", "data": [{"id": self.server.model, "object": "model"}]})
        else:
            self.answer(404, {"error": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if not self.allowed():
            return
        while self.server.mute:
            time.sleep(1)
        if self.server.no_sampler and body.get("temperature", 1) > 0:
            self.answer(500, {"error": "[Errno 2] No such file or directory: 'ninja'"})
            return
        if self.path == "/v1/completions":
            choice: dict[str, Any] = {"index": 0, "text": " there", "finish_reason": "length"}
        elif self.path == "/v1/chat/completions":
            message = {"role": "assistant", "content": "The capital of France is Paris."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
        else:
            self.answer(404, {"error": "Not Found"})
            return
        self.answer(200, {"model": body.get("model"), "choices": [choice], "usage": {"completion_tokens": 1}})

    def log_message(self, format: str, *args: Any) -> None:
        print("INFO:     %s" % (format % args), flush=True)


def main() -> int:
    config = read_config(sys.argv[sys.argv.index("--config") + 1])
    script = json.loads(os.environ.get("FAKE_ENGINE") or "{}")
    for line in script.get("log", []):
        print(line, flush=True)
    if script.get("abort"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in script:
        return int(script["exit"])
    time.sleep(float(script.get("start_seconds", 0)))
    while script.get("hang"):
        time.sleep(60)
    server = Server(config, script)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("INFO:     Application startup complete.", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
