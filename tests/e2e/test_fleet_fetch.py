# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model comes to three hosts of a closed network once, and each host takes it from the one before."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import Result, Site, start_hosts, start_hub
from tests.lab import network
from tests.lab.lab import REPOSITORY
from tests.lab.testing import fresh_lab

pytestmark = pytest.mark.lab

HOSTS = ("gpu1", "gpu2", "gpu3")
MODEL = "gpufleet/padded"
STORE = "/var/lib/gpufleet/models"
PAD_BYTES = 48 << 20


class Fleet(Site):
    """Three hosts that want one model, and the hub they see."""

    hub = ""

    def describe_fleet(self, names: tuple[str, ...] = HOSTS, **more: Any) -> None:
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

    def sent(self) -> int:
        """Bytes of file content that the hub has sent since the last reset."""
        return int(self.hub_answers("/__log")["sent_bytes"])

    def forget(self, *names: str) -> None:
        """Hosts without models, and a hub that remembers nothing."""
        for name in names or HOSTS:
            self.inside(name, "rm", "-rf", STORE)
        self.hub_answers("/__reset", {})
        self.hub_answers("/__faults", [])

    def slow(self, rate: int) -> None:
        """Let the hub send large files at so many bytes per second to each who asks."""
        self.hub_answers("/__faults", [{"match": "/cdn/|padding", "rate": rate}])

    def whole(self, name: str) -> bool:
        command = f"cd {STORE}/{MODEL}/*/ && test -f .gpufleet.json && sha256sum padding.bin | cut -c1-64"
        return self.inside(name, "sh", "-c", command) == self.digest

    def traces(self, name: str) -> str:
        """What is left of servers on a host: units, processes, folders."""
        folders = "/run/gpufleet-peer* /run/credentials/gpufleet-peer* /run/private/gpufleet-peer* /tmp/gpufleet-peer*"
        command = f"systemctl list-units --all --no-legend --plain 'gpufleet-peer*'; ls -d {folders} 2>/dev/null; true"
        running = self.inside(name, "ps", "-eo", "args", "-ww").splitlines()
        return self.inside(name, "sh", "-c", command) + "".join(each for each in running if "gpufleet-peer" in each)

    digest = ""


def make_model(root: Path) -> None:
    subprocess.run([sys.executable, "-m", "tests.fakes.models", "tiny", str(root / MODEL)], cwd=REPOSITORY, check=True)
    (root / MODEL / "padding.bin").write_bytes(random.Random("padding").randbytes(PAD_BYTES))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    import hashlib

    root = tmp_path_factory.mktemp("hub")
    make_model(root)
    with fresh_lab("e2e-fleet-fetch") as lab:
        start_hosts(lab, HOSTS, net="bridge")
        fleet = Fleet(lab, tmp_path_factory.mktemp("fleet"), [])
        fleet.hub = start_hub(lab, root, bridge=True)
        fleet.digest = hashlib.sha256((root / MODEL / "padding.bin").read_bytes()).hexdigest()
        fleet.describe_fleet()
        yield fleet


@pytest.fixture(scope="module")
def size(fleet: Fleet) -> int:
    """Bytes of the model."""
    listed = fleet.hub_answers(f"/api/models/{MODEL}/tree/main?recursive=true")
    return sum(each["size"] for each in listed if each["type"] == "file")


@pytest.fixture(scope="module")
def once(fleet: Fleet, size: int) -> Result:
    """The first run, talkative."""
    fleet.forget()
    return fleet.run("fetch_models", "-vvv").must_pass()


def test_check_mode_says_who_would_fetch_from_whom_and_how_much(fleet: Fleet, size: int) -> None:
    fleet.forget()
    result = fleet.run("fetch_models", "--check").must_pass()
    for said in (f"fetches {MODEL}", f"{size} bytes from {fleet.hub}", "bytes from gpu1", "bytes from gpu2"):
        assert said in result.output, result.output[-3000:]
    assert fleet.sent() < 0.1 * size
    assert fleet.inside("gpu1", "sh", "-c", f"ls {STORE} 2>/dev/null; true") == ""


def test_the_hub_sends_the_model_once(fleet: Fleet, once: Result, size: int) -> None:
    assert all(fleet.whole(name) for name in HOSTS)
    assert fleet.sent() <= 1.1 * size


def test_nothing_of_it_is_left_when_the_play_is_over(fleet: Fleet, once: Result) -> None:
    for name in HOSTS:
        assert fleet.traces(name) == ""
        assert fleet.inside(name, "sh", "-c", "ls ~/.ansible_async 2>/dev/null | grep -v '^$'; true") == ""


def test_a_second_run_changes_nothing_and_opens_nothing(fleet: Fleet, once: Result) -> None:
    result = fleet.run("fetch_models").must_pass()
    assert set(result.count("changed").values()) == {0}
    assert "Serve to neighbours" not in result.output


def test_who_has_the_model_serves_it_and_the_hub_is_not_asked_for_it(fleet: Fleet, once: Result, size: int) -> None:
    fleet.forget("gpu1", "gpu3")
    result = fleet.run("fetch_models", "--forks", "1").must_pass()
    assert f"has {MODEL}" in result.output
    assert all(fleet.whole(name) for name in HOSTS)
    assert fleet.sent() < 0.1 * size


def test_with_hub_each_host_asks_the_hub(fleet: Fleet, once: Result, size: int) -> None:
    fleet.forget()
    fleet.run("fetch_models", variables={"gpufleet_fetch_from": "hub"}).must_pass()
    assert 2.9 * size < fleet.sent() < 3.3 * size
