# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A package index in a folder, and the module run on this machine as a playbook would run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import wheels

REPOSITORY = Path(__file__).resolve().parents[3]


def make_wheel(folder: Path, name: str, version: str, code: str = "") -> str:
    """Write a wheel of one module; answers its sha256."""
    return wheels.make_wheel(folder, name, version, {"%s.py" % name: code})[1]


def clean_environment() -> dict[str, str]:
    """This process's environment without what tells pip and uv where packages are."""
    return {key: value for key, value in os.environ.items() if not re.match("PIP_|UV_", key)}


class Host:
    """This machine as a host: environments in a scratch folder, packages from a folder, nothing from any network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        self.environment = folder / "runtimes" / "tool-1"
        self.async_folder = folder / "async"
        uv = shutil.which("uv")
        assert uv, "make bootstrap brings uv"
        self.uv = uv

    def pip_settings(self, text: str) -> dict[str, str]:
        """Write a pip.conf; answers the variables that make it count."""
        path = self.folder / "pip.conf"
        path.write_text(text)
        return {"PIP_CONFIG_FILE": str(path)}

    def lock(self, *versions: str) -> str:
        """A lock of wheels that are made on the spot: "tool==1.0"."""
        lines = []
        for pin in versions:
            name, version = pin.split("==")
            lines.append("%s \\\n    --hash=sha256:%s\n" % (pin, make_wheel(self.wheels, name, version)))
        return "".join(lines)

    def module(
        self, arguments: Mapping[str, Any], *flags: str, settings: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], str]:
        """The module's answer, and all that Ansible printed. pip's settings name the folder of wheels, as on a host."""
        settings = settings or self.pip_settings("[global]\nno-index = true\nfind-links = %s\n" % self.wheels)
        given = {
            "path": str(self.environment),
            "uv": self.uv,
            "cache_path": str(self.folder / "cache"),
            **arguments,
        }
        command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-i", "localhost,", "-c", "local"]
        command += ["-m", "gpufleet.vllm.uv_environment", "-a", json.dumps(given), *flags]
        command += [
            "-e",
            "ansible_python_interpreter=/usr/bin/python3",
            "-e",
            "ansible_async_dir=%s" % self.async_folder,
        ]
        done = subprocess.run(
            command,
            env={
                **clean_environment(),
                **settings,
                "ANSIBLE_LOAD_CALLBACK_PLUGINS": "0",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        found = re.search(r"^localhost \| \w+!? => (\{.*^\})", done.stdout, re.M | re.S)
        assert found, done.stdout + done.stderr
        return json.loads(found.group(1)), done.stdout + done.stderr

    def plain_module(self, arguments: Mapping[str, Any], umask: int) -> dict[str, Any]:
        """The module's answer when it runs without the background job, which has a umask of its own."""
        settings = self.pip_settings("[global]\nno-index = true\nfind-links = %s\n" % self.wheels)
        given = {"path": str(self.environment), "uv": self.uv, "cache_path": str(self.folder / "cache"), **arguments}
        name = "ansible_collections.gpufleet.vllm.plugins.modules.uv_environment"
        done = subprocess.run(
            [sys.executable, "-m", name],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
            env={**clean_environment(), **settings, "PYTHONPATH": str(REPOSITORY / ".cache" / "collections")},
            umask=umask,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def run(self, code: str) -> str:
        """What the environment's Python prints."""
        command = [str(self.environment / "bin" / "python"), "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)
