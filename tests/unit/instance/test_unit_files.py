"""Units are checked by the real systemd-analyze before they land; systemctl is scripted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._unit_files import UnitFiles, template_of

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")

GOOD = "[Service]\nExecStart=/bin/sleep infinity\n\n[Install]\nWantedBy=multi-user.target\n"


class Host:
    """A folder of units, the real systemd-analyze, and a systemctl that remembers."""

    def __init__(self, folder: Path) -> None:
        self.units = folder / "units"
        self.scratch = folder / "scratch"
        self.units.mkdir()
        self.scratch.mkdir()
        self.calls: list[str] = []
        self.enabled = False
        self.needs_reload = False

    def run(self, command: list[str], environ_update: dict[str, str] | None = None) -> tuple[int, str, str]:
        if command[0] == "systemd-analyze" or command[1] == "--version":
            # A systemctl and systemd-analyze of one release; nothing here talks to PID 1.
            environment = dict(os.environ, **(environ_update or {}))
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr
        self.calls.append(" ".join(command[1:]))
        if command[1] == "is-enabled":
            return (0, "enabled\n", "") if self.enabled else (1, "disabled\n", "")
        if command[1] == "show":
            return 0, "NeedDaemonReload=%s\n" % ("yes" if self.needs_reload else "no"), ""
        if command[1] in ("enable", "disable"):
            self.enabled = command[1] == "enable"
        return 0, "", ""

    def unit(self, name: str, check: bool = False) -> UnitFiles:
        self.calls.clear()
        return UnitFiles(self.run, shutil.move, str(self.scratch), str(self.units), name, check)

    def files(self) -> dict[str, str]:
        return {str(p.relative_to(self.units)): p.read_text() for p in self.units.rglob("*") if p.is_file()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def dropin(content: str, **more: Any) -> dict[str, Any]:
    return {"name": "10-x.conf", "content": content, "state": "present", **more}


def test_unit_lands_and_second_run_changes_nothing(host: Host) -> None:
    first = host.unit("hello.service").install(GOOD, [dropin("[Service]\nNice=5\n")], "probe", True)
    assert first["changed"] and first["verified"]
    assert first["actions"][-2:] == ["daemon-reload", "enable hello.service"]
    assert host.files() == {"hello.service": GOOD, "hello.service.d/10-x.conf": "[Service]\nNice=5\n"}
    assert (host.units / "hello.service").stat().st_mode & 0o777 == 0o644
    second = host.unit("hello.service").install(GOOD, [dropin("[Service]\nNice=5\n")], "probe", True)
    assert not second["changed"] and second["actions"] == []


@pytest.mark.parametrize(
    ("content", "dropins", "word"),
    [
        (GOOD.replace("[Install]", "Restrat=always\n[Install]"), [], "Restrat"),
        (GOOD.replace("[Install]", "Restart=alwys\n[Install]"), [], "alwys"),
        (GOOD, [dropin("[Service]\nRestrat=always\n")], "Restrat"),
        (GOOD.replace("/bin/sleep", "/no/such/program"), [], "/no/such/program"),
        ("[Unit]\nDescription=Does nothing\n", [], "ExecStart"),
    ],
    ids=["mistyped-key", "bad-value", "mistyped-key-in-dropin", "missing-program", "no-exec"],
)
@pytest.mark.parametrize("name", ["hello.service", "hello@.service"])
def test_faulty_unit_leaves_host_as_it_was(host: Host, name: str, content: str, dropins: list[Any], word: str) -> None:
    host.unit(name).install(GOOD, [], "probe", None)
    before = host.files()
    with pytest.raises(Problem) as caught:
        host.unit(name).install(content, dropins, "probe", None)
    assert caught.value.code == "unit.invalid"
    assert word in caught.value.found
    assert host.files() == before
    assert not any(call.startswith("daemon-reload") for call in host.calls)


def test_instance_dropin_is_checked_against_its_template(host: Host) -> None:
    host.unit("hello@.service").install(GOOD.replace("infinity", "%i"), [], "probe", None)
    host.unit("hello@a.service").install("", [dropin("[Service]\nUser=user-%i\n")], "probe", True)
    assert set(host.files()) == {"hello@.service", "hello@a.service.d/10-x.conf"}
    with pytest.raises(Problem) as caught:
        host.unit("hello@b.service").install("", [dropin("[Service]\nUsre=user-%i\n")], "probe", True)
    assert "Usre" in caught.value.found
    assert "hello@b.service.d/10-x.conf" not in host.files()


def test_check_mode_on_a_virgin_host(host: Host) -> None:
    missing = GOOD.replace("/bin/sleep", "/opt/not/yet/installed")
    answer = host.unit("hello@.service", check=True).install(missing, [], "probe", None)
    assert answer["changed"] and answer["verified"]
    answer = host.unit("hello@a.service", check=True).install("", [dropin("[Service]\nNice=1\n")], "probe", True)
    assert answer["changed"] and not answer["verified"]
    assert "Nice=1" in answer["diff"]["after"] and "Nice=1" not in answer["diff"]["before"]
    assert host.files() == {}
    assert all(call.startswith(("is-enabled", "show")) for call in host.calls)


def test_dropin_without_any_unit_is_refused(host: Host) -> None:
    with pytest.raises(Problem) as caught:
        host.unit("hello@a.service").install("", [dropin("[Service]\nNice=1\n")], "probe", None)
    assert caught.value.code == "unit.not_found"


def test_reload_left_undone_by_a_killed_run_is_made_up_for(host: Host) -> None:
    host.unit("hello.service").install(GOOD, [], "probe", None)
    host.needs_reload = True
    answer = host.unit("hello.service").install(GOOD, [], "probe", None)
    assert answer["actions"] == ["daemon-reload"] and answer["changed"]


def test_single_dropin_goes_and_bad_one_on_the_host_does_not_stay_in_the_way(host: Host) -> None:
    host.unit("hello.service").install(GOOD, [], "probe", None)
    folder = host.units / "hello.service.d"
    folder.mkdir()
    (folder / "10-x.conf").write_text("[Service]\nRestrat=always\n")
    answer = host.unit("hello.service").install(GOOD, [dropin("", state="absent")], "probe", None)
    assert answer["actions"] == ["remove %s" % (folder / "10-x.conf"), "daemon-reload"]


def test_remove_takes_everything_and_is_idempotent(host: Host) -> None:
    host.unit("hello.service").install(GOOD, [dropin("[Service]\nNice=5\n")], "probe", True)
    answer = host.unit("hello.service").remove()
    assert answer["actions"][0] == "disable hello.service" and answer["actions"][-1] == "daemon-reload"
    assert list(host.units.iterdir()) == []
    assert not host.unit("hello.service").remove()["changed"]


@pytest.mark.parametrize("name", ["hello", "../x.service", "a b.service"])
def test_bad_unit_name(host: Host, name: str) -> None:
    with pytest.raises(Problem) as caught:
        host.unit(name)
    assert caught.value.code == "unit.bad_name"


def test_bad_dropin_name(host: Host) -> None:
    with pytest.raises(Problem) as caught:
        host.unit("hello.service").install(GOOD, [dropin("", name="../../evil.conf")], "probe", None)
    assert caught.value.code == "unit.bad_name"


def test_template_of() -> None:
    assert template_of("vllm@chat.service") == "vllm@.service"
    assert template_of("vllm@.service") is None
    assert template_of("hello.service") is None
