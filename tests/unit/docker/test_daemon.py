"""daemon.json: merged, checked, put back. The module runs as Ansible runs it, on files of the test's own."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _docker_daemon as daemon

RUNTIMES = {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}


class Host:
    """A folder with a daemon.json, and the two programs that the module asks, scripted."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.path, self.record, self.programs = folder / "etc/daemon.json", folder / "lib/record.json", folder / "bin"
        self.folder, self.root = folder, root
        self.path.parent.mkdir()
        self.programs.mkdir()
        self.unit("ExecStart=/usr/bin/dockerd -H fd://")
        self.script("dockerd", "[ $1 = --version ] && echo 'Docker version 26.1.5+dfsg1, build a72d7cd'; exit 0")

    def unit(self, text: str, started: float | None = None) -> None:
        """What systemctl says of the daemon: its unit, and when it started (seconds since boot, None: it has not)."""
        state = "inactive" if started is None else "active"
        shown = "ActiveState=%s\nActiveEnterTimestampMonotonic=%d" % (state, (started or 0) * 1e6)
        self.script("systemctl", "case $1 in cat) echo '%s';; *) echo '%s';; esac" % (text, shown))

    def script(self, name: str, text: str) -> None:
        program = self.programs / name
        program.write_text("#!/bin/sh\n" + text + "\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def run(self, check: bool = False, **options: Any) -> dict[str, Any]:
        given = {"path": str(self.path), "record": str(self.record), **options, "_ansible_check_mode": check}
        given["_ansible_remote_tmp"] = str(self.folder)
        environment = dict(os.environ, PATH="%s:%s" % (self.programs, os.environ["PATH"]))
        command = [sys.executable, "-m", "ansible_collections.gpufleet.vllm.plugins.modules.docker_daemon"]
        environment["PYTHONPATH"] = str(self.root / ".cache/collections")
        text = json.dumps({"ANSIBLE_MODULE_ARGS": given})
        done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def file(self) -> Any:
        return json.loads(self.path.read_text())


@pytest.fixture
def host(tmp_path: Path, root: Path) -> Host:
    return Host(tmp_path, root)


def test_what_others_wrote_stays_and_comes_back(host: Host) -> None:
    host.path.write_text(json.dumps({"runtimes": RUNTIMES, "log-driver": "json-file", "bip": "10.9.0.1/16"}))
    done = host.run(settings={"log-driver": "local", "live-restore": True, "runtimes": {"other": {"path": "x"}}})
    assert done["changed"] and done["validated"]
    assert host.file() == {
        "runtimes": {**RUNTIMES, "other": {"path": "x"}},
        "log-driver": "local",
        "live-restore": True,
        "bip": "10.9.0.1/16",
    }
    assert json.loads(Path(done["backup"]).read_text())["log-driver"] == "json-file"
    assert not host.run(settings={"log-driver": "local", "live-restore": True})["changed"]
    assert host.run(state="absent")["changed"]
    assert host.file() == {"runtimes": RUNTIMES, "log-driver": "json-file", "bip": "10.9.0.1/16"}
    assert not host.record.exists()
    assert not host.run(state="absent")["changed"]


def test_a_second_value_does_not_forget_the_first_one_of_the_host(host: Host) -> None:
    host.path.write_text('{"log-driver": "syslog"}')
    host.run(settings={"log-driver": "local"})
    host.run(settings={"log-driver": "journald"})
    host.run(state="absent")
    assert host.file() == {"log-driver": "syslog"}


def test_a_host_without_the_file_is_without_it_again(host: Host) -> None:
    assert host.run(settings={"live-restore": True})["changed"]
    assert host.run(state="absent")["changed"]
    assert not host.path.exists()


def test_check_mode_writes_nothing(host: Host) -> None:
    done = host.run(check=True, settings={"live-restore": True})
    assert done["changed"] and done["settings"] == {"live-restore": True}
    assert not host.path.exists() and not host.record.exists()


@pytest.mark.parametrize("text", ['{"log-driver": ', "[1]", "\x80"])
def test_a_broken_file_is_told_and_left_alone(host: Host, text: str) -> None:
    host.path.write_bytes(text.encode("latin-1"))
    done = host.run(settings={"live-restore": True})
    assert done["failed"] and done["code"] == "docker.bad_config"
    assert host.path.read_bytes() == text.encode("latin-1")
    assert not host.record.exists()


def test_what_docker_refuses_does_not_reach_the_host(host: Host) -> None:
    host.path.write_text('{"bip": "10.9.0.1/16"}')
    host.script(
        "dockerd",
        "[ $1 = --version ] && echo 'Docker version 26.1.5' && exit 0; echo 'conflict: unknown key' >&2; exit 1",
    )
    done = host.run(settings={"nonsense": True})
    assert done["code"] == "docker.bad_config" and "unknown key" in done["msg"]
    assert host.file() == {"bip": "10.9.0.1/16"}


def test_an_older_docker_cannot_check_its_file(host: Host) -> None:
    host.script(
        "dockerd", "[ $1 = --version ] && echo 'Docker version 20.10.24+dfsg1, build 297e128' && exit 0; exit 1"
    )
    done = host.run(settings={"live-restore": True})
    assert done["changed"] and not done["validated"]


@pytest.mark.parametrize(
    ("unit", "names"),
    [
        ("ExecStart=/usr/bin/dockerd --log-driver=journald", ["log-driver"]),
        ("ExecStart=/usr/bin/dockerd --registry-mirror https://m.example.org", ["registry-mirrors"]),
        ("ExecStart=/usr/bin/dockerd --log-driver=x\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://", []),
        ("ExecStart=/usr/bin/dockerd -H fd://", []),
    ],
)
def test_a_setting_that_stands_on_the_command_line_too_is_refused(host: Host, unit: str, names: list[str]) -> None:
    host.unit(unit)
    done = host.run(settings={"log-driver": "local", "registry-mirrors": ["https://m.example.org"]})
    assert done.get("code") == ("docker.flag_conflict" if names else None)
    assert all(name in done["msg"] for name in names)
    assert host.path.exists() is not bool(names)


def test_a_restart_that_a_killed_run_owed_is_still_owed(host: Host) -> None:
    """By the times of the file and the daemon, not because this run changed something."""
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert not host.run(settings={"live-restore": True})["restart_needed"]  # it does not run at all
    host.unit("", started=now - 100)
    done = host.run(settings={"live-restore": True})
    assert (done["changed"], done["restart_needed"]) == (False, True)
    host.unit("", started=time.clock_gettime(time.CLOCK_MONOTONIC))
    assert not host.run(settings={"live-restore": True})["restart_needed"]
    assert host.run(check=True, settings={"live-restore": False})["restart_needed"]


def test_nulls_take_keys_away() -> None:
    assert daemon.merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": None}}) == {"b": {"d": 3}}


@pytest.mark.parametrize(
    ("text", "version"),
    [("Docker version 26.1.5+dfsg1, build a72d7cd", (26, 1)), ("Docker version 20.10.24", (20, 10)), ("what", None)],
)
def test_versions(text: str, version: Any) -> None:
    assert daemon.version_of(text) == version
