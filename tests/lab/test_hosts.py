# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts really boot, are reached, survive a reboot, stand on layers, and leave nothing."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import base, cgroups, clean, host, layers, network, service
from tests.lab.lab import REPOSITORY, Lab, LabError
from tests.lab.testing import fresh_lab, inside, over_ssh

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def bases() -> None:
    for release in base.RELEASES:
        base.ensure(release)


@pytest.fixture
def lab(bases: None, request: pytest.FixtureRequest) -> Iterator[Lab]:
    with fresh_lab(request.node.name.partition("[")[0].replace("_", "-")) as lab:
        yield lab


def wait(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def leftovers(lab: Lab) -> list[str]:
    """Everything on this machine that carries the lab's name or place."""
    found = [
        str(path)
        for path in (cgroups.root() / lab.cgroup_name, network.namespace(lab), lab.run_dir, lab.state)
        if path.exists()
    ]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(lab.state) in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "mountinfo").read_bytes()
        except OSError:
            continue
        if str(lab.state).encode() in text or lab.netns.encode() in text:
            found.append(str(process))
    return found


@pytest.mark.parametrize("release", base.RELEASES)
def test_host_on_the_machines_network_runs_and_has_its_certificates(lab: Lab, release: str) -> None:
    host.start(lab, ["one"], release=release, net="host")
    assert inside(lab, "one", ["systemctl", "is-system-running"]) == "running"
    assert release in over_ssh(lab, "one", "cat /etc/os-release")
    # package clients inside trust what the machine trusts
    assert (
        Path("/etc/ssl/certs/ca-certificates.crt").read_text()
        == Path(f"/proc/{host.leader(lab, 'one')}/root/etc/ssl/certs/ca-certificates.crt").read_text()
    )


def test_bridge_hosts_see_each_other_and_nothing_else(lab: Lab) -> None:
    host.start(lab, ["one", "two"], net="bridge")
    host.start(lab, ["three"], release="trixie", net="bridge")
    for name in ("one", "two", "three"):
        assert over_ssh(lab, name, "hostname") == name
        assert inside(lab, name, ["systemctl", "is-system-running"]) == "running"
    greeting = "import socket; print(socket.create_connection(('10.66.1.3', 22), 5).recv(4))"
    assert inside(lab, "one", ["python3", "-c", greeting]) == "b'SSH-'"
    assert inside(lab, "one", ["ip", "-4", "-o", "route", "get", "10.66.1.2"]).startswith("10.66.1.2 dev host0")
    far = "import errno, socket; print(errno.errorcode[socket.socket().connect_ex(('192.0.2.1', 80))])"
    assert inside(lab, "one", ["python3", "-c", far]) == "ENETUNREACH"
    assert Path(f"/proc/{host.leader(lab, 'one')}/root/etc/resolv.conf").read_text() == ""


def test_a_bridge_host_reaches_the_registries_where_it_was_asked_for(lab: Lab) -> None:
    """Plain requests and tunnels, through the one way out; a neighbour that did not ask has none."""
    host.start(lab, ["open"], net="bridge", packages=True)
    host.start(lab, ["closed"], net="bridge")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = f"127.0.0.1:{server.server_port}"
        code = (
            "import http.client as c, os, sys\n"
            "h, _, p = os.environ['http_proxy'].rpartition('/')[2].partition(':')\n"
            "a = c.HTTPConnection(h, int(p)); a.request('GET', 'http://%s/' % sys.argv[1])\n"
            "b = c.HTTPConnection(h, int(p)); b.set_tunnel(sys.argv[1]); b.request('GET', '/')\n"
            "print(a.getresponse().status, b.getresponse().status)"
        )
        shell = 'set -a; . /etc/environment; exec python3 -c "$0" "$1"'
        told = inside(lab, "open", ["bash", "-c", shell, code, place])
        assert told.split() == ["200", "200"]
        assert "proxy" not in inside(lab, "closed", ["sh", "-c", "cat /etc/environment /etc/apt/apt.conf.d/* || true"])
    finally:
        server.shutdown()
        server.server_close()


def test_two_labs_with_the_same_names_and_addresses_do_not_meet(lab: Lab, bases: None) -> None:
    with fresh_lab("neighbour") as other:
        for each in (lab, other):
            host.start(each, ["one"], net="bridge")
        assert lab.host("one")["address"] == other.host("one")["address"]
        over_ssh(lab, "one", "touch /root/mine")
        with pytest.raises(subprocess.CalledProcessError):
            over_ssh(other, "one", "ls /root/mine")
        clean.destroy(other)
        assert over_ssh(lab, "one", "ls /root/mine") == "/root/mine"


def test_reboot_and_power_off_keep_the_files(lab: Lab) -> None:
    host.start(lab, ["one"], net="bridge")
    inside(lab, "one", ["touch", "/root/kept"])
    machine_id = inside(lab, "one", ["cat", "/etc/machine-id"])
    inside(lab, "one", ["systemctl", "reboot"])
    wait(lambda: lab.status("one")["boots"] == 2 and lab.status("one")["phase"] == "running")
    assert inside(lab, "one", ["ls", "/root/kept"]) == "/root/kept"
    host.stop(lab, ["one"])
    assert lab.status("one")["phase"] == "stopped"
    host.start(lab, ["one"])
    assert inside(lab, "one", ["ls", "/root/kept"]) == "/root/kept"
    assert inside(lab, "one", ["cat", "/etc/machine-id"]) == machine_id


def test_layer_carries_files_but_no_identity(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUFLEET_LAB_LAYERS", str(tmp_path))
    host.start(lab, ["maker"], net="host")
    inside(lab, "maker", ["sh", "-c", "mkdir -p /opt/thing && echo one > /opt/thing/a && rm -r /usr/share/doc/bash"])
    with pytest.raises(LabError, match="stop it before"):
        layers.snapshot(lab, "maker", "ground")
    host.stop(lab, ["maker"])
    layers.snapshot(lab, "maker", "ground")
    host.start(lab, ["left", "right"], net="bridge", layer="ground")
    for name in ("left", "right"):
        assert over_ssh(lab, name, "cat /opt/thing/a; ls /usr/share/doc | grep -cx bash || true") == "one\n0"
    ids = {inside(lab, name, ["cat", "/etc/machine-id"]) for name in ("left", "right")}
    keys = {lab.host(name)["host_key"] for name in ("left", "right", "maker")}
    assert (len(ids), len(keys)) == (2, 3)
    inside(lab, "left", ["sh", "-c", "echo two > /opt/thing/a"])
    assert inside(lab, "right", ["cat", "/opt/thing/a"]) == "one"
    # and the machine's network settings of the maker are gone
    assert inside(lab, "left", ["cat", "/etc/pip.conf", "/etc/environment"]) == ""
    with pytest.raises(LabError, match="in use"):
        layers.remove("ground")
    host.start(lab, ["maker"])
    assert inside(lab, "maker", ["cat", "/opt/thing/a"]) == "one"
    clean.destroy(lab)
    layers.remove("ground")


def test_service_serves_the_bridge_and_ends_with_the_lab(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("hello")
    host.start(lab, ["one"], net="bridge")
    pid = service.start(
        lab, "web", [sys.executable, "-m", "http.server", "--directory", str(tmp_path), "8099"], bridge=True
    )
    get = "import urllib.request as u; print(u.urlopen('http://10.66.0.1:8099/hello', timeout=5).read().decode())"

    def answers() -> bool:
        try:
            return inside(lab, "one", ["python3", "-c", get]) == "hello"
        except subprocess.CalledProcessError:
            return False

    service.await_until(lab, "web", answers)
    clean.destroy(lab)
    assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    assert leftovers(lab) == []


@pytest.mark.parametrize("moment", ["record", "keeper", "booting", "running"])
def test_destroy_clears_what_a_killed_launcher_left(lab: Lab, moment: str) -> None:
    """The starting command and every keeper die by SIGKILL at some moment; then only `destroy` runs."""
    command = subprocess.Popen(
        [sys.executable, "-m", "tests.lab", "--state", str(lab.state), "start", "--net", "bridge", "one", "two"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    reached: dict[str, Callable[[], bool]] = {
        "record": lambda: bool(lab.names()),
        "keeper": lambda: (lab.hosts_dir / "one" / "status.json").exists(),
        "booting": lambda: "one" in lab.names() and lab.status("one")["leader"] is not None,
        "running": lambda: (
            {"one", "two"} == set(lab.names())
            and all(lab.status(name)["phase"] == "running" for name in ("one", "two"))
        ),
    }
    wait(reached[moment])
    command.kill()
    command.wait()
    for name in lab.names():
        keeper = lab.status(name).get("keeper")
        if keeper and lab.status(name)["phase"] != "stopped":
            os.kill(keeper, signal.SIGKILL)
    assert lab.state.exists()
    subprocess.run(
        [sys.executable, "-m", "tests.lab", "--state", str(lab.state), "destroy", "--all"], cwd=REPOSITORY, check=True
    )
    assert leftovers(lab) == []


def test_a_host_whose_keeper_was_killed_starts_again(lab: Lab) -> None:
    host.start(lab, ["one"], net="bridge")
    inside(lab, "one", ["touch", "/root/kept"])
    os.kill(lab.status("one")["keeper"], signal.SIGKILL)
    wait(lambda: lab.status("one")["phase"] == "stopped")
    host.start(lab, ["one"])
    assert inside(lab, "one", ["ls", "/root/kept"]) == "/root/kept"


def test_more_hosts_than_the_default_inotify_limit_allows(lab: Lab) -> None:
    names = [f"host{number}" for number in range(24)]
    host.start(lab, names, net="bridge")
    assert {lab.status(name)["phase"] for name in names} == {"running"}
    assert over_ssh(lab, "host23", "systemctl is-system-running") == "running"
