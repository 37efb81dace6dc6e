# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's records, names and settings, without a host."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.lab import host, inventory, layers, machine
from tests.lab.lab import Lab, LabError, alive, read_json, start_time, write_json


def make_host(lab: Lab, name: str, **more: object) -> None:
    (lab.hosts_dir / name).mkdir(parents=True)
    write_json(
        lab.hosts_dir / name / "host.json",
        {"name": name, "net": "host", "address": "127.0.0.1", "port": 2222, "index": 0, **more},
    )


def test_names_come_from_the_place_alone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    a, b = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    assert a.netns != b.netns and a.cgroup_name != b.cgroup_name and a.run_dir != b.run_dir
    assert Lab(tmp_path / "link").id == a.id


def test_state_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUFLEET_LAB_STATE", str(tmp_path / "x"))
    assert Lab().state == tmp_path / "x"
    assert Lab(tmp_path / "y").state == tmp_path / "y"


@pytest.mark.parametrize("name", ["../x", "", "A", "_hub", "a/b", "a" * 42, "1a"])
def test_bad_host_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="no host name"):
        Lab(tmp_path).host_dir(name)


def test_unknown_host_names_the_known_ones(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    make_host(lab, "one")
    with pytest.raises(LabError, match="it has: one"):
        lab.host("two")


def test_a_record_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_json(path, {"a": 1})
    write_json(path, {"b": 2})
    assert read_json(path) == {"b": 2}
    assert [each.name for each in tmp_path.iterdir()] == ["r.json"]
    assert read_json(tmp_path / "none.json") == {}


def test_a_reused_pid_is_not_taken_for_the_keeper(tmp_path: Path) -> None:
    me = os.getpid()
    assert alive(me, start_time(me))
    assert not alive(me, "1")
    assert not alive(None, None)
    lab = Lab(tmp_path)
    make_host(lab, "one")
    write_json(
        lab.hosts_dir / "one" / "status.json",
        {"phase": "running", "leader": 1, "boots": 1, "keeper": me, "keeper_start": "1"},
    )
    assert lab.status("one")["phase"] == "stopped"
    assert lab.status("one")["leader"] is None


def test_inventory_is_yaml_that_ssh_understands(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "with space")
    make_host(lab, "one")
    make_host(lab, "two", net="bridge", address="10.66.1.1", port=22)
    text = inventory.render(lab, groups={"gpu_hosts": ["one", "two"]}, common={"x": {"y": ["z"]}})
    read = yaml.safe_load(text)["all"]
    assert read["vars"] == {"x": {"y": ["z"]}}
    assert set(read["children"]["gpu_hosts"]["hosts"]) == {"one", "two"}
    one, two = read["hosts"]["one"], read["hosts"]["two"]
    assert (one["ansible_host"], one["ansible_port"]) == ("127.0.0.1", 2222)
    assert "ProxyCommand" not in one["ansible_ssh_common_args"]
    options = shlex.split(two["ansible_ssh_common_args"])
    assert all(option.startswith("-o") for option in options)
    shown = subprocess.run(["ssh", "-G", *options, "10.66.1.1"], text=True, stdout=subprocess.PIPE, check=True).stdout
    assert f"--net=/run/netns/{lab.netns}" in shown
    assert "stricthostkeychecking true" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/etc:/mnt", ("/etc", "/mnt", False)),
        ("/etc:/mnt:ro", ("/etc", "/mnt", True)),
        ("/etc", ("/etc", "/etc", False)),
    ],
)
def test_binds(text: str, expected: tuple[str, str, bool]) -> None:
    assert host._bind(text) == expected


@pytest.mark.parametrize("text", ["/etc:mnt", ":/mnt", "/etc:/mnt:xx"])
def test_bad_binds(text: str) -> None:
    with pytest.raises(LabError, match="no bind"):
        host._bind(text)


def test_pip_settings_join_files_and_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(
        machine,
        "_pip_config_list",
        lambda: (
            "global.extra-index-url='file:///some/simple https://x.invalid/simple'\nglobal.cert='/elsewhere.crt'\n"
            "install.no-compile='1'\nfreeze.all='1'\n:env:.timeout='5'\n"
        ),
    )
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path} /does/not/exist")
    monkeypatch.setenv("PIP_CACHE_DIR", "/somewhere")
    settings = machine.pip_settings()
    assert settings == {
        "extra-index-url": "file:///some/simple https://x.invalid/simple",
        "timeout": "5",
        "cert": str(machine.BUNDLE),
        "no-compile": "1",
        "find-links": f"{tmp_path} /does/not/exist",
    }
    assert machine.local_indexes(settings) == [str(tmp_path)]


def test_an_index_folder_is_shown_with_the_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "simple").mkdir()
    assert machine.local_indexes({"index-url": f"file://{tmp_path}/simple"}) == [str(tmp_path)]


def test_mirrors_of_both_source_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        machine,
        "_apt_sources",
        lambda: [
            ("https://third.invalid/node", "nodistro"),
            ("https://mirror.invalid/debian-security", "bookworm-security"),
            ("https://mirror.invalid/debian", "bookworm"),
            ("https://mirror.invalid/debian", "bookworm-updates"),
        ],
    )
    assert machine.sources_list("trixie") == (
        "deb https://mirror.invalid/debian trixie main\ndeb https://mirror.invalid/debian trixie-updates main\n"
        "deb https://mirror.invalid/debian-security trixie-security main\n"
    )
    monkeypatch.setattr(machine, "_apt_sources", list)
    assert machine.sources_list("trixie") == ""


def test_a_missing_layer_or_a_lost_ground_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUFLEET_LAB_LAYERS", str(tmp_path))
    lab = Lab(tmp_path / "lab")
    with pytest.raises(LabError, match="There is no layer 'x'"):
        layers.stack(lab, "x")
    (tmp_path / "x" / "files").mkdir(parents=True)
    write_json(tmp_path / "x" / "layer.json", {"release": "bookworm", "lower": [str(tmp_path / "gone")]})
    with pytest.raises(LabError, match="make the layer again"):
        layers.stack(lab, "x")
