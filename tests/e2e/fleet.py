# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a closed network that want one model, and the hub they see."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.site import Site
from tests.lab import network
from tests.lab.lab import REPOSITORY

MODEL = "gpufleet/padded"
STORE = "/var/lib/gpufleet/models"


class Fleet(Site):
    """The site; ``digest`` is the SHA-256 of the model's large file, ``hub`` where it comes from."""

    hub = ""
    digest = ""

    def describe_fleet(self, names: Sequence[str], **more: Any) -> None:
        self.describe(
            names,
            {"gpu_hosts": names},
            vllm_device="cpu",
            gpufleet_hub_endpoints={"huggingface": [self.hub]},
            vllm_deployments=[{"name": "tiny", "model": {"id": MODEL, "source": "huggingface"}}],
            **more,
        )

    def hub_answers(self, route: str, body: Any = None) -> Any:
        """A request to the hub, from inside the closed network."""
        code = (
            "import sys,urllib.request as u\n"
            "d=sys.stdin.buffer.read() or None\n"
            "sys.stdout.write(u.build_opener(u.ProxyHandler({})).open(u.Request(sys.argv[1],d),timeout=20)"
            ".read().decode())"
        )
        command = [*network.prefix(self.lab), sys.executable, "-IS", "-c", code, self.hub + route]
        text = "" if body is None else json.dumps(body)
        return json.loads(subprocess.run(command, input=text, check=True, text=True, stdout=subprocess.PIPE).stdout)

    def size(self) -> int:
        """Bytes of the model."""
        listed = self.hub_answers(f"/api/models/{MODEL}/tree/main?recursive=true")
        return sum(each["size"] for each in listed if each["type"] == "file")

    def sent(self) -> int:
        """Bytes of file content that the hub has sent since the last reset."""
        return int(self.hub_answers("/__log")["sent_bytes"])

    def forget(self, *names: str) -> None:
        """Hosts without models, and a hub that remembers nothing."""
        for name in names:
            self.inside(name, "rm", "-rf", STORE)
        self.hub_answers("/__reset", {})
        self.hub_answers("/__faults", [])

    def whole(self, name: str) -> bool:
        """Whether the host has the model, byte for byte."""
        command = f"cd {STORE}/{MODEL}/*/ && test -f .gpufleet.json && sha256sum padding.bin | cut -c1-64"
        return self.inside(name, "sh", "-c", command) == self.digest

    def traces(self, name: str) -> str:
        """What is left of servers on a host: units, processes, folders."""
        folders = "/run/gpufleet-peer* /run/credentials/gpufleet-peer* /run/private/gpufleet-peer* /tmp/gpufleet-peer*"
        command = f"systemctl list-units --all --no-legend --plain 'gpufleet-peer*'; ls -d {folders} 2>/dev/null; true"
        running = self.inside(name, "ps", "-eo", "args", "-ww").splitlines()
        return self.inside(name, "sh", "-c", command) + "".join(each for each in running if "gpufleet-peer" in each)


def make_model(root: Path, padding: bytes) -> str:
    """A tiny model with a large file beside its weights; answers the SHA-256 of that."""
    subprocess.run([sys.executable, "-m", "tests.fakes.models", "tiny", str(root / MODEL)], cwd=REPOSITORY, check=True)
    (root / MODEL / "padding.bin").write_bytes(padding)
    return hashlib.sha256(padding).hexdigest()
