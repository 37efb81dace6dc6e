# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model comes to three hosts of a closed network once, and each host takes it from the one before."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.fleet import MODEL, STORE, Fleet, make_model
from tests.e2e.site import Result, start_hosts, start_hub, wait_for
from tests.lab import network
from tests.lab.lab import REPOSITORY
from tests.lab.testing import fresh_lab

pytestmark = pytest.mark.lab

HOSTS = ("gpu1", "gpu2", "gpu3")
PAD_BYTES = 64 << 20
# The server's own file list names no paths: what it serves is asked for by these two hashes.
ASK = """
import hashlib, http.client, sys
address, port, token, name, commit = sys.argv[1:]
key = hashlib.sha256(("%s@%s" % (name, commit)).encode()).hexdigest()
file = hashlib.sha256(b"padding.bin").hexdigest()
link = http.client.HTTPConnection(address, int(port), timeout=20)
link.request("GET", "/v1/%s/%s" % (key, file), headers={"Authorization": "Bearer " + token, "Range": "bytes=0-9"})
print(link.getresponse().status)
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("hub")
    digest = make_model(root, random.Random("padding").randbytes(PAD_BYTES))
    with fresh_lab("e2e-fleet-fetch") as lab:
        start_hosts(lab, HOSTS, net="bridge")
        fleet = Fleet(lab, tmp_path_factory.mktemp("fleet"), [])
        fleet.hub, fleet.digest = start_hub(lab, root, bridge=True), digest
        fleet.describe_fleet(HOSTS)
        yield fleet


@pytest.fixture(scope="module")
def size(fleet: Fleet) -> int:
    return fleet.size()


@pytest.fixture(scope="module")
def once(fleet: Fleet, size: int) -> Result:
    """The first run, talkative."""
    fleet.forget(*HOSTS)
    return fleet.run("fetch_models", "-vvv").must_pass()


def slow(fleet: Fleet, rate: float) -> None:
    """Let the hub send at so many bytes per second to all together."""
    fleet.hub_answers("/__faults", [{"match": "/cdn/|/resolve/", "shared_rate": rate}])


def plain(result: Result) -> str:
    """What was printed, without the quotes and line breaks that Ansible adds."""
    return re.sub(r"\s+", " ", result.output.replace("\\", ""))


class Running:
    """fetch_models.yml in the background."""

    def __init__(self, fleet: Fleet, *arguments: str) -> None:
        self.fleet = fleet
        self.log = fleet.folder / "running.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                fleet.command("playbooks/fetch_models.yml", *arguments),
                cwd=REPOSITORY,
                env=fleet.environment(),
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> Result:
        return Result(self.process.wait(), self.log.read_text())

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()

    def until_host_has(self, name: str, least: int) -> None:
        """Wait until so many bytes of the large file are on their way on a host."""
        command = f"cat {STORE}/.work/*/progress.json 2>/dev/null || true"

        def has() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            text = self.fleet.inside(name, "sh", "-c", command)
            return bool(text) and json.loads(text)["done_bytes"] >= least

        wait_for(has, 120)


def server_of(fleet: Fleet, name: str) -> int:
    """PID of the server on a host, as seen there."""
    return int(json.loads(fleet.inside(name, "sh", "-c", "cat /run/gpufleet-peer-*/ready.json"))["pid"])


def test_check_mode_says_who_would_fetch_from_whom_and_how_much(fleet: Fleet, size: int) -> None:
    fleet.forget(*HOSTS)
    result = fleet.run("fetch_models", "--check").must_pass()
    said = plain(result)
    for words in (f"fetches {MODEL}", f"{size} bytes from {fleet.hub}", "bytes from gpu1,", "bytes from gpu2,"):
        assert words in said, result.output[-3000:]
    assert fleet.sent() < 0.1 * size
    assert fleet.inside("gpu1", "sh", "-c", f"ls {STORE} 2>/dev/null; true") == ""


def test_the_hub_sends_the_model_once(fleet: Fleet, once: Result, size: int) -> None:
    assert all(fleet.whole(name) for name in HOSTS)
    assert fleet.sent() <= 1.1 * size


def test_progress_is_told_per_host(fleet: Fleet, once: Result) -> None:
    for name in HOSTS:
        assert re.search(rf"^{name} \| model_snapshot \| 6\d MB of 6\d MB \| done$", once.output, re.M)


def test_nothing_of_it_is_left_when_the_play_is_over(fleet: Fleet, once: Result) -> None:
    for name in HOSTS:
        assert fleet.traces(name) == ""
        assert fleet.inside(name, "sh", "-c", "ls ~/.ansible_async 2>/dev/null; true") == ""


def test_a_second_run_changes_nothing_and_opens_nothing(fleet: Fleet, once: Result) -> None:
    result = fleet.run("fetch_models").must_pass()
    assert set(result.count("changed").values()) == {0}
    assert "Serve to neighbours" not in result.output


def test_who_has_the_model_serves_it_and_the_hub_is_not_asked_for_it(fleet: Fleet, once: Result, size: int) -> None:
    """Also with one fork."""
    fleet.forget("gpu1", "gpu3")
    result = fleet.run("fetch_models", "--forks", "1").must_pass()
    assert f"has {MODEL}" in result.output
    assert all(fleet.whole(name) for name in HOSTS)
    assert fleet.sent() < 0.1 * size


def test_with_hub_each_host_asks_the_hub(fleet: Fleet, once: Result, size: int) -> None:
    fleet.forget(*HOSTS)
    fleet.run("fetch_models", variables={"gpufleet_fetch_from": "hub"}).must_pass()
    assert 2.9 * size < fleet.sent() < 3.3 * size


class Eventful:
    """A run on a slow line, half way through which the server of gpu2 is killed, and what was seen meanwhile."""

    def __init__(self, fleet: Fleet, size: int, run: Running) -> None:
        run.until_host_has("gpu3", size // 4)
        self.address = fleet.lab.host("gpu1")["address"]
        self.port = json.loads(fleet.inside("gpu1", "sh", "-c", "cat /run/gpufleet-peer-*/ready.json"))["port"]
        commit = fleet.inside("gpu1", "sh", "-c", f"ls {STORE}/.work").rpartition("--")[2]
        config = json.loads(fleet.inside("gpu1", "sh", "-c", "cat /run/credentials/gpufleet-peer-*/config"))
        self.token = config["token"]
        ask = ("python3", "-c", ASK, self.address, str(self.port))
        self.answers = [
            fleet.inside("gpu2", *ask, token, MODEL, commit) for token in (self.token, "wrong", self.token[:-1])
        ]
        self.listening = fleet.inside("gpu1", "ss", "-Hltn", f"sport = :{self.port}").split()[3]
        self.processes = "".join(fleet.inside(name, "ps", "-eo", "args", "-ww") for name in HOSTS)
        self.status = fleet.run("status").must_pass()
        fleet.inside("gpu2", "kill", "-9", str(server_of(fleet, "gpu2")))
        self.result = run.end().must_pass()
        self.sent = fleet.sent()


@pytest.fixture(scope="module")
def eventful(fleet: Fleet, once: Result, size: int) -> Iterator[Eventful]:
    fleet.forget(*HOSTS)
    slow(fleet, 2.5e6)
    run = Running(fleet, "-vvv")
    try:
        yield Eventful(fleet, size, run)
    finally:
        run.kill()


def test_a_neighbour_that_dies_is_replaced_and_the_hub_sends_the_model_once(
    fleet: Fleet, eventful: Eventful, size: int
) -> None:
    assert all(fleet.whole(name) for name in HOSTS)
    assert eventful.sent <= 1.1 * size
    told = r'"gpu1": \{"bytes": (\d+), "dropped": ""\}, "gpu2": \{"bytes": (\d+),'
    taken = re.search(told, plain(eventful.result))
    assert taken is not None, eventful.result.output[-4000:]
    assert min(int(taken[1]), int(taken[2])) > 0.1 * size


def test_a_wrong_token_gets_403_and_other_addresses_nothing(eventful: Eventful) -> None:
    assert eventful.answers == ["206", "403", "403"]
    assert eventful.listening == f"{eventful.address}:{eventful.port}"


def test_the_token_is_nowhere(fleet: Fleet, eventful: Eventful) -> None:
    """Not in the most talkative log, not in processes and units, not in the journal, not in files that stay."""
    assert len(eventful.token) == 43
    assert eventful.token not in eventful.result.output
    assert eventful.token not in eventful.processes
    for name in HOSTS:
        assert eventful.token not in fleet.inside(name, "journalctl", "--no-pager", "--output=cat")
        found = f"grep -rlF -e {eventful.token} /run /tmp /var /root /etc 2>/dev/null; true"
        assert fleet.inside(name, "sh", "-c", found) == ""


def test_status_tells_from_a_second_terminal_how_far_each_host_is(eventful: Eventful) -> None:
    told = re.findall(r"download +\d+ MB of 6\d MB \(\d+ %\) +[\d.]+ [kM]?B/s +\d+ s", plain(eventful.status))
    assert len(told) == len(HOSTS), eventful.status.output
    assert set(eventful.status.count("changed").values()) == {0}


def test_after_it_nothing_is_left_either(fleet: Fleet, eventful: Eventful) -> None:
    assert all(fleet.traces(name) == "" for name in HOSTS)


def test_a_neighbour_with_a_flipped_byte_is_dropped(fleet: Fleet, once: Result, size: int) -> None:
    """gpu1 and gpu2 have the model, gpu1 with another byte than the hub's; gpu3 notices and takes it from gpu2."""
    fleet.forget(*HOSTS)
    fleet.run("fetch_models").must_pass()
    fleet.forget("gpu3")
    flip = (
        "printf x | dd of=$(ls /var/lib/gpufleet/models/gpufleet/padded/*/padding.bin) bs=1 seek=7000000 conv=notrunc"
    )
    fleet.inside("gpu1", "sh", "-c", f"{flip} 2>/dev/null")
    result = fleet.run("fetch_models").must_pass()
    assert fleet.whole("gpu3")
    assert fleet.sent() < 0.1 * size
    assert re.search(r'"gpu1": \{"bytes": \d+, "dropped": "its files do not have', result.output), result.output[-3000:]


def test_when_the_control_node_dies_the_servers_end_by_themselves(fleet: Fleet, once: Result, size: int) -> None:
    """Nobody serves any more when the lease is over, and no host goes on alone to the hub; a new run finishes."""
    fleet.forget(*HOSTS)
    slow(fleet, 1e6)
    run = Running(fleet, "-e", json.dumps({"__flow_fetch_lease_seconds": 30}))
    try:
        run.until_host_has("gpu3", size // 10)
    finally:
        run.kill()
    wait_for(lambda: all(fleet.traces(name) == "" for name in HOSTS), 90)
    wait_for(lambda: "model.run_over" in fleet.inside("gpu3", "sh", "-c", "cat ~/.ansible_async/*"), 60)
    sent = fleet.sent()
    assert sent < 1.1 * size
    slow(fleet, 1e9)
    fleet.run("fetch_models").must_pass()
    assert all(fleet.whole(name) for name in HOSTS)
    assert fleet.sent() <= 1.2 * size


def test_the_control_node_fetches_for_all(fleet: Fleet, once: Result, size: int, tmp_path: Path) -> None:
    """It stands in the closed network for this, has no systemd, and keeps what it fetched for the next run."""
    store = tmp_path / "store"
    variables = {
        "gpufleet_fetch_seed": "localhost",
        "gpufleet_fetch_seed_address": network.GATEWAY,
        "gpufleet_fetch_seed_store": str(store),
    }
    command = [*network.prefix(fleet.lab), *fleet.command("playbooks/fetch_models.yml", "-e", json.dumps(variables))]
    for most in (1.1, 0.1):
        fleet.forget(*HOSTS)
        done = subprocess.run(command, cwd=REPOSITORY, env=fleet.environment(), text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        result = Result(done.returncode, done.stdout).must_pass()
        assert "from localhost" in result.output
        assert all(fleet.whole(name) for name in HOSTS)
        assert fleet.sent() <= most * size
    assert sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) >= size
    listening = network.enter(fleet.lab, ["ss", "-Hltn", f"src {network.GATEWAY}"]).stdout.splitlines()
    assert [line.split()[3] for line in listening] == [fleet.hub.removeprefix("http://")]


def test_a_host_that_goes_away_ends_the_fetch_of_nobody_else(fleet: Fleet, once: Result, size: int) -> None:
    """Half way its network is gone: the others finish and tidy up, and it is told in the end."""
    fleet.forget(*HOSTS)
    slow(fleet, 2.5e6)
    link = fleet.inside("gpu2", "sh", "-c", "ip -o route get 10.66.0.1 | sed 's/.* dev \\([^ ]*\\).*/\\1/'").strip()
    run = Running(fleet, "-e", json.dumps({"__flow_fetch_patience": 20, "__flow_fetch_lease_seconds": 90}))
    try:
        run.until_host_has("gpu3", size // 8)
        fleet.inside("gpu2", "ip", "link", "set", link, "down")
        result = run.end()
    finally:
        run.kill()
        fleet.inside("gpu2", "ip", "link", "set", link, "up")
    assert fleet.whole("gpu1") and fleet.whole("gpu3"), result.output[-4000:]
    assert re.search(r"^gpu2 \| model_snapshot \| no connection for .*trying again", result.output, re.M)
    assert "[host.lost] gpu2" in plain(result)
    assert result.status != 0
    assert all(fleet.traces(name) == "" for name in ("gpu1", "gpu3"))
    wait_for(lambda: fleet.traces("gpu2") == "", 120)
