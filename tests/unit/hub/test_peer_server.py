# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server of a host gives, to whom, and for how long."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import time
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._part import Part
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_client import snapshot_key
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peer_unit import PeerServer, check_address

from tests.unit.hub.peer_row import COMMIT, MODEL, TOKEN, Row, neighbours, no_command, where


def test_the_wrong_token_gets_nothing(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    path = where("model-2.safetensors")
    assert row.ask(0, path, Range="bytes=0-9")[0] == 206
    assert row.ask(0, path, token="wrong", Range="bytes=0-9")[0] == 403
    assert row.ask(0, path, token="", Range="bytes=0-9")[0] == 403
    assert row.ask(0, path + "/pieces", token="wrong")[0] == 403


def test_only_ranges_of_files_of_the_snapshot_are_given(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    outside = Path(row.place(0).store) / "secret"
    outside.write_text("secret")
    (Path(row.place(0).final) / "more.txt").write_text("not of the snapshot")
    path = where("model-2.safetensors")
    assert row.ask(0, path)[0] == 400
    assert row.ask(0, path, Range="bytes=5-")[0] == 400
    assert row.ask(0, path, Range="bytes=0-700001")[0] == 416
    assert row.ask(0, path, Range="bytes=9-3")[0] == 416
    for name in ("/v1/%s/../../secret" % snapshot_key(MODEL, COMMIT), "/secret", where("more.txt"), where("../secret"),
                 "/v1/%s/model-2.safetensors" % snapshot_key(MODEL, COMMIT), "/"):  # fmt: skip
        assert row.ask(0, name, Range="bytes=0-3")[0] == 404, name


def test_a_link_in_the_store_leads_nowhere(row: Row) -> None:
    row.publish(0)
    file = Path(row.place(0).final) / "model-2.safetensors"
    file.unlink()
    file.symlink_to("/etc/passwd")
    row.serve(1)
    assert row.ask(0, where("model-2.safetensors"), Range="bytes=0-9")[0] == 204


def test_it_only_reads(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD"):
        connection = http.client.HTTPConnection("127.0.0.1", row.members[0]["port"], timeout=10)
        connection.request(method, where("model-2.safetensors"), headers={"Authorization": "Bearer " + TOKEN})
        assert connection.getresponse().status == 501
        connection.close()


def test_strangers_are_not_even_answered(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    server = PeerServer("stranger0000", no_command)
    server.managed, server.folder = False, str(row.folder / "closed")
    known = server.start(row.config(0, allow=["10.0.0.1"]))
    row.servers.append(server)
    row.members[0]["port"] = known["port"]
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        row.ask(0, where("model-2.safetensors"), Range="bytes=0-9")


def test_the_server_ends_when_nobody_renews_its_lease(row: Row) -> None:
    row.watched = False
    row.serve(1, lease_seconds=1.0)
    server = row.servers[0]
    begun = time.monotonic()
    while time.monotonic() - begun < 1.6:
        assert server.renew()
        time.sleep(0.1)
    known = server.ready()
    assert known
    deadline = time.monotonic() + 10
    while os.path.exists(server.folder):
        assert time.monotonic() < deadline, os.listdir(server.folder)
        time.sleep(0.05)
    assert not server.renew()
    while True:
        try:
            row.ask(0, "/")
        except ConnectionRefusedError:
            break
        except (http.client.HTTPException, OSError):
            assert time.monotonic() < deadline  # it is just ending


def test_the_token_is_in_no_argument_list(row: Row) -> None:
    row.serve(1)
    known = row.servers[0].ready()
    assert known
    pid = known["pid"]
    for name in ("cmdline", "environ"):
        assert TOKEN.encode() not in Path("/proc/%d/%s" % (pid, name)).read_bytes()
    for file in Path(row.servers[0].folder).iterdir():
        assert TOKEN not in file.read_text()


REFUSED = ["8.8.8.8", "0.0.0.0", "::", "2001:4860::1", "host", "", "127.0.0.1", "::1", "169.254.169.254", "fe80::1"]
REFUSED += ["240.0.0.1", "192.0.2.1", "203.0.113.9", "198.18.0.1", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", REFUSED)
def test_a_public_address_is_refused(address: str) -> None:
    with pytest.raises(Problem) as caught:
        check_address(address)
    assert caught.value.code == "model.peer_address"


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.0.9", "172.16.0.1", "100.64.0.1", "fd00::1"])
def test_a_private_address_is_taken(address: str) -> None:
    check_address(address)


def test_the_server_knows_the_files_of_ranges(row: Row) -> None:
    """Its own reading of ``.ranges`` agrees with who writes it."""
    row.serve(1)
    path = "model-1.safetensors"
    entry = next(each for each in row.files if each.path == path)
    part = Part(row.place(0).part(path), entry)
    assert part.ranges == 4
    part.open()
    part.write(2, row.content[path][2 << 20 : (2 << 20) + 3 * (1 << 16) + 5])
    part.close()
    time.sleep(0.1)
    while True:
        _status, headers, body = row.ask(0, where(path) + "/pieces?known=0,0,1,0", X_Gpufleet_Wait="10")
        if len(json.loads(body)[2]) == 2:
            break
        assert json.loads(body)[2], "it waits until there is a new one"
    begin = 2 << 20
    expected = [
        hashlib.sha256(row.content[path][begin + number * (1 << 16) : begin + (number + 1) * (1 << 16)]).hexdigest()
        for number in (1, 2)
    ]
    assert json.loads(body) == [[], [], expected, []]
    assert headers["X-Gpufleet-Have"] == str(3 * (1 << 16) + 5)
    assert row.ask(0, where(path), Range="bytes=%d-%d" % (begin, begin + 9))[2] == row.content[path][begin : begin + 10]
    assert row.ask(0, where(path), Range="bytes=0-9")[0] == 204


def test_a_patience_without_end_is_none(row: Row) -> None:
    row.serve(1)
    begun = time.monotonic()
    for patience in ("nan", "inf", "-inf", "much"):
        status = row.ask(0, where("model-2.safetensors"), Range="bytes=0-9", X_Gpufleet_Wait=patience)[0]
        assert status == 204, patience
    assert time.monotonic() - begun < 5


def test_a_neighbour_has_so_many_connections_and_no_more(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    idle = [socket.create_connection(("127.0.0.1", row.members[0]["port"]), 10) for _number in range(128)]
    path = where("model-2.safetensors")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        row.ask(0, path, Range="bytes=0-9")
    for each in idle:
        each.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            assert row.ask(0, path, Range="bytes=0-9")[0] == 206
            return
        except (http.client.HTTPException, ConnectionResetError):
            assert time.monotonic() < deadline  # it is still closing those


def test_an_address_is_the_same_however_it_is_written(row: Row) -> None:
    row.publish(0)
    row.serve(1)
    server = PeerServer("sameaddress0", no_command)
    server.managed, server.folder = False, str(row.folder / "six")
    try:
        known = server.start(row.config(0, address="::1", allow=["0:0::0:1"]))
    except Problem:
        pytest.skip("no IPv6 here")
    row.servers.append(server)
    connection = http.client.HTTPConnection("::1", known["port"], timeout=10)
    connection.request("GET", where("model-2.safetensors") + "/state", headers={"Authorization": "Bearer " + TOKEN})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["X-Gpufleet-State"]) == (204, "whole")
    connection.close()


__all__ = ["neighbours"]
