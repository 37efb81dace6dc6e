"""What host_info reads, on made-up file system roots and on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _host

COLLECTIONS = Path(__file__).resolve().parents[3] / ".cache" / "collections"


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_os_release_keeps_what_quotes_hold(tmp_path: Path) -> None:
    put(
        tmp_path, "etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n# ID=x\n'
    )
    assert _host.os_release(str(tmp_path)) == {
        "id": "debian",
        "version": "12",
        "name": "Debian GNU/Linux 12 (bookworm)",
    }


def test_os_release_falls_back_to_usr_lib_and_then_to_nothing(tmp_path: Path) -> None:
    assert _host.os_release(str(tmp_path)) == {"id": "", "version": "", "name": ""}
    put(tmp_path, "usr/lib/os-release", "ID=alpine\n")
    assert _host.os_release(str(tmp_path))["id"] == "alpine"


def test_memory_is_lowered_by_the_hosts_own_cgroup(tmp_path: Path) -> None:
    put(tmp_path, "proc/meminfo", "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    800 kB\n")
    assert _host.memory_bytes(str(tmp_path)) == {"total_bytes": 1024000, "available_bytes": 819200}
    put(tmp_path, "sys/fs/cgroup/memory.max", "512000\n")
    put(tmp_path, "sys/fs/cgroup/memory.current", "500000\n")
    assert _host.memory_bytes(str(tmp_path)) == {"total_bytes": 512000, "available_bytes": 12000}
    put(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    assert _host.memory_bytes(str(tmp_path))["total_bytes"] == 1024000


@pytest.mark.parametrize(
    ("booted", "answer", "expected"),
    [
        (True, (0, "systemd 252 (252.22-1~deb12u1)\n+PAM\n"), {"running": True, "version": 252}),
        (False, (0, "systemd 257 (257)\n"), {"running": False, "version": 257}),
        (False, (127, ""), {"running": False, "version": None}),
    ],
)
def test_systemd(tmp_path: Path, booted: bool, answer: tuple, expected: dict) -> None:
    if booted:
        (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert _host.systemd_state(lambda _command: answer, str(tmp_path)) == expected


def test_a_path_that_does_not_exist_yet_is_answered_by_its_nearest_parent(tmp_path: Path) -> None:
    found = _host.filesystem_of(str(tmp_path / "not/there/yet"))
    assert found["nearest"] == str(tmp_path)
    assert found["device"] == tmp_path.stat().st_dev
    assert 0 < found["free_bytes"] <= found["total_bytes"]


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listener_is_found_with_its_owner(family: int, address: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as server:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip("no such address family here")
        server.listen()
        port = server.getsockname()[1]
        mine = [item for item in _host.listeners() if item["port"] == port]
    assert [(item["address"], item["pid"]) for item in mine] == [(address, os.getpid())]
    assert mine[0]["process"]


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        port = client.getsockname()[1]
        assert [item for item in _host.listeners() if item["port"] == port] == []


def test_the_unit_of_a_listener_is_the_innermost_service(tmp_path: Path) -> None:
    header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n"
    put(tmp_path, "proc/net/tcp", header + row)
    put(tmp_path, "proc/77/comm", "python3\n")
    put(tmp_path, "proc/77/cgroup", "0::/system.slice/system-vllm.slice/vllm@qwen3-4b.service\n")
    (tmp_path / "proc/77/fd").mkdir()
    (tmp_path / "proc/77/fd/3").symlink_to("socket:[4242]")
    (tmp_path / "proc/77/fd/4").symlink_to("/dev/null")
    assert _host.listeners(str(tmp_path)) == [
        {"address": "127.0.0.1", "port": 8000, "pid": 77, "process": "python3", "unit": "vllm@qwen3-4b.service"},
    ]


def test_interpreters_are_each_listed_once_and_virtual_environments_left_out(tmp_path: Path) -> None:
    answers = {
        "python3.11": "cpython 3.11.2 False",
        "python3.9": "cpython 3.9.18 False",
        "python3.12": "cpython 3.12.1 True",
    }
    for name in answers:
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "python3").symlink_to("python3.11")
    (tmp_path / "python3-config").touch(mode=0o755)
    (tmp_path / "python3.10").touch(mode=0o644)

    found = _host.interpreters(lambda command: (0, answers[Path(command[0]).name]), [str(tmp_path), "/no/such"])

    assert [(Path(item["path"]).name, item["version"]) for item in found] == [
        ("python3.11", "3.11.2"),
        ("python3.9", "3.9.18"),
    ]


def test_a_broken_interpreter_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "python3").touch(mode=0o755)
    assert _host.interpreters(lambda _command: (1, "boom"), [str(tmp_path)]) == []


def test_instances_are_read_from_their_files(tmp_path: Path) -> None:
    assert _host.instances(str(tmp_path)) == []
    put(tmp_path, "etc/gpufleet/instances/chat/config.yaml", "# managed\nmodel: /m\nport: 8003\nseed: 0\n")
    put(tmp_path, "etc/gpufleet/instances/chat/env", 'CUDA_VISIBLE_DEVICES="GPU-1,GPU-2"\nNO_COLOR="1"\n')
    put(tmp_path, "etc/gpufleet/instances/half/config.yaml", "hf-overrides:\n  port: 7\n")
    put(tmp_path, "etc/gpufleet/instances/note", "")
    put(tmp_path, "var/lib/gpufleet/chat/measured.json", '{"schema": 1, "measured": {"kv_tokens": 17440}}')
    put(tmp_path, "var/lib/gpufleet/half/measured.json", '{"schema": 1, "mea')
    kept = {"schema": 1, "measured": {"kv_tokens": 17440}}
    assert _host.instances(str(tmp_path)) == [
        {"name": "chat", "port": 8003, "gpu_uuids": ["GPU-1", "GPU-2"], "measured": kept},
        {"name": "half", "port": None, "gpu_uuids": [], "measured": None},
    ]


def test_the_first_path_that_keeps_others_out_is_named() -> None:
    # Not below tmp_path, which pytest keeps to its owner.
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        root.chmod(0o755)
        model = root / "shelf" / "model"
        put(model, "config.json", "{}")
        for path, mode in ((root / "shelf", 0o755), (model, 0o755), (model / "config.json", 0o644)):
            path.chmod(mode)
        (root / "link").symlink_to(model)

        def closed() -> str | None:
            found = _host.readable_by_all(str(root / "link"))
            assert found["real"] == str(model)
            return found["closed"]

        assert closed() is None
        for path, shut, open_mode in (
            (root / "shelf", 0o700, 0o755),
            (model, 0o751, 0o755),
            (model / "config.json", 0o640, 0o644),
        ):
            path.chmod(shut)
            assert closed() == str(path)
            path.chmod(open_mode)
        assert _host.readable_by_all(str(root / "not" / "there")) == {"real": str(root / "not/there"), "closed": None}


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")
@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("true", "None"),
        ("ip link add v0 type veth peer name v1 && ip addr add 10.9.8.6/24 dev v0 && ip link set v0 up", "10.9.8.6"),
    ],
)
def test_without_a_default_route_the_first_address_that_is_not_loopback_counts(network: str, expected: str) -> None:
    ask = "from ansible_collections.gpufleet.vllm.plugins.module_utils import _host; print(_host.default_ipv4())"
    script = f"ip link set lo up && {network} && exec {sys.executable} -c '{ask}'"
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    command = ["unshare", "--net", "sh", "-c", script]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert answer.stdout.strip() == expected, answer.stderr
