# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who fetches what from whom, and what a person is told about a store."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _peer_plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _peer_status
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._peers import Peers
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._progress import Progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._store import Place
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._types import FileEntry
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import _fleet_status

COMMIT = "a" * 40
FILES = [{"path": "config.json", "size": 10, "git_sha1": "b" * 40}, {"path": "w", "size": 990, "sha256": "c" * 64}]


def host(name: str, *models: str, address: str = "", held: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Variables of a host that wants these models, and has some of them."""
    specs, found, markers = [], {}, {}
    for model in models:
        path = "/models/%s/%s" % (model, COMMIT)
        specs.append({"name": model, "state": "present", "model": {"id": model, "revision": COMMIT, "path": path}})
        found[model] = {"source": "huggingface", "endpoint": "https://hub", "requested_revision": "main",
                        "revision": COMMIT, "files": FILES, "in_store": model in held}  # fmt: skip
        markers[path + "/.gpufleet.json"] = model in held
    return {
        "inventory_hostname": name,
        "gpufleet_specs": specs,
        "gpufleet_models": found,
        "gpufleet_host": {"default_ipv4": address or "10.0.0.%s" % name[1:], "markers": markers},
        **more,
    }


def names(row: dict[str, Any]) -> list[str]:
    return [each["name"] for each in row["hosts"]]


def test_hosts_stand_in_the_order_of_the_inventory() -> None:
    (row,) = _peer_plan.rows([host("h3", "m"), host("h1", "m"), host("h2", "m")])
    assert (names(row), row["roots"], row["held"], row["bytes"]) == (["h3", "h1", "h2"], 1, 0, 1000)


def test_who_has_it_comes_first_and_serves_the_others_side_by_side() -> None:
    hosts = [host("h1", "m"), host("h2", "m", held=("m",)), host("h3", "m"), host("h4", "m", held=("m",))]
    (row,) = _peer_plan.rows(hosts)
    assert (names(row), row["roots"]) == (["h2", "h4", "h1", "h3"], 2)
    assert _peer_plan.lines([row], "h2")[0].startswith("has m")
    assert "from h2," in _peer_plan.lines([row], "h1")[0]
    assert "from h4," in _peer_plan.lines([row], "h3")[0]


def test_each_model_has_a_row_of_the_hosts_that_want_it() -> None:
    hosts = [host("h1", "a"), host("h2", "a", "b"), host("h3", "b"), host("h4", "c")]
    found = {row["id"]: names(row) for row in _peer_plan.rows(hosts)}
    assert found == {"a": ["h1", "h2"], "b": ["h2", "h3"]}


def test_one_host_or_a_fleet_that_has_all_opens_nothing() -> None:
    assert _peer_plan.plan([host("h1", "m")]) == {"schema": 1, "rows": [], "hosts": {}}
    assert _peer_plan.rows([host("h1", "m", held=("m",)), host("h2", "m", held=("m",))]) == []


def test_the_inventory_may_name_who_asks_the_hub() -> None:
    (row,) = _peer_plan.rows([host("h1", "m"), host("h2", "m"), host("h3", "m")], "h3")
    assert names(row) == ["h3", "h1", "h2"]


@pytest.mark.parametrize("address", ["8.8.8.8", "127.0.0.1", "", "0.0.0.0"])
def test_a_host_without_a_private_address_fetches_for_itself(address: str) -> None:
    hosts = [host("h1", "m"), host("h2", "m"), host("h3", "m")]
    hosts[1]["gpufleet_host"]["default_ipv4"] = address
    (row,) = _peer_plan.rows(hosts)
    assert names(row) == ["h1", "h3"]
    said = _peer_plan.plan(hosts)["hosts"]["h2"]
    assert said["serves"] == {} and "gpufleet_peer_address" in said["lines"][0] and address in said["lines"][0]
    hosts[1]["gpufleet_peer_address"] = "192.168.7.2"
    (row,) = _peer_plan.rows(hosts)
    assert row["hosts"][1]["address"] == "192.168.7.2"


def test_a_folder_and_what_is_to_go_are_nobodys_download() -> None:
    hosts = [host("h1", "m"), host("h2", "m")]
    for each in hosts:
        each["gpufleet_specs"][0]["state"] = "absent"
    assert _peer_plan.rows(hosts) == []
    hosts = [host("h1", "m"), host("h2", "m")]
    for each in hosts:
        each["gpufleet_models"]["m"]["path"] = "/srv/m"
    assert _peer_plan.rows(hosts) == []


def test_a_host_goes_by_the_file_list_that_the_hub_gave_to_itself() -> None:
    """What another host says the hashes are never counts."""
    hosts = [host("h1", "m"), host("h2", "m")]
    hosts[1]["gpufleet_models"]["m"]["files"] = [dict(FILES[0]), {**FILES[1], "sha256": "d" * 64}]
    rows = _peer_plan.plan(hosts)["rows"]
    assert "listing" not in rows[0]
    (job,) = _peer_plan.jobs(rows, hosts[1], {"h1": 1, "h2": 2}, "run1")
    assert job["peers"]["listing"]["files"][1]["sha256"] == "d" * 64


def test_the_other_sources_stand_in_behind_the_one_that_was_found() -> None:
    hosts = [host("h1", "m"), host("h2", "m")]
    for each in hosts:
        model = {"id": "m", "source": ["modelscope", "huggingface"]}
        each["gpufleet_deployments"] = [{"name": "m", "model": model}]
    rows = _peer_plan.plan(hosts)["rows"]
    for each in hosts:
        (job,) = _peer_plan.jobs(rows, each, {"h1": 7, "h2": 8}, "run1")
        assert job["sources"] == ["huggingface", "modelscope"]
    outside = {"name": "localhost", "address": "10.0.0.200"}
    rows = _peer_plan.plan(hosts, "localhost", outside)["rows"]
    (job,) = _peer_plan.jobs(rows, {"inventory_hostname": "localhost"}, {"localhost": 1, "h1": 2}, "run1")
    assert job["sources"] == ["huggingface", "modelscope"]


def test_who_does_not_serve_is_left_out() -> None:
    hosts = [host("h1", "m"), host("h2", "m"), host("h3", "m")]
    rows = _peer_plan.plan(hosts)["rows"]
    (job,) = _peer_plan.jobs(rows, hosts[2], {"h2": 7, "h3": 8}, "run1")
    assert [each["name"] for each in job["peers"]["members"]] == ["h2", "h3"]
    assert job["peers"]["me"] == 1
    assert _peer_plan.jobs(rows, hosts[0], {"h2": 7, "h3": 8}, "run1") == []


def test_a_host_serves_only_to_its_rows() -> None:
    hosts = [host("h1", "a"), host("h2", "a", "b"), host("h3", "b")]
    plan = _peer_plan.plan(hosts)["hosts"]
    assert plan["h1"]["serves"]["allow"] == ["10.0.0.1", "10.0.0.2"]
    assert plan["h2"]["serves"]["allow"] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert [each["id"] for each in plan["h1"]["serves"]["snapshots"]] == ["a"]


def test_a_host_that_wants_nothing_fetches_for_all_even_for_one() -> None:
    outside = {"name": "localhost", "address": "10.0.0.200"}
    plan = _peer_plan.plan([host("h1", "m")], "localhost", outside)
    (row,) = plan["rows"]
    assert (names(row), row["roots"], row["held"]) == (["localhost", "h1"], 1, 0)
    assert plan["hosts"]["localhost"]["serves"]["allow"] == ["10.0.0.1", "10.0.0.200"]
    ports = {"localhost": 1, "h1": 2}
    (job,) = _peer_plan.jobs(plan["rows"], {"inventory_hostname": "localhost"}, ports, "run1")
    assert (job["peers"]["me"], job["id"]) == (0, "m")
    (job,) = _peer_plan.jobs(plan["rows"], host("h1", "m"), ports, "run1")
    assert job["peers"]["me"] == 1
    assert _peer_plan.plan([host("h1", "m", held=("m",))], "localhost", outside)["rows"] == []
    # Who has it serves it; nobody from outside is needed.
    plan = _peer_plan.plan([host("h1", "m", held=("m",)), host("h2", "m")], "localhost", outside)
    assert names(plan["rows"][0]) == ["h1", "h2"]


@pytest.mark.parametrize(("count", "roots"), [(16, 1), (16, 3), (5, 4)])
def test_each_host_serves_about_one_other_and_nobody_waits_for_himself(count: int, roots: int) -> None:
    """Each host's first source stands before it, and no host is the first source of more than one."""
    members = [{"name": "h%d" % index, "address": "10.0.0.1", "port": 1} for index in range(count)]
    served: dict[str, int] = {}
    for me in range(count):
        way = Peers({"me": me, "roots": roots, "members": members, "token": "t"}, "m", COMMIT).way(FileEntry("w", 9))
        assert way.is_open == (me >= roots)
        if way.is_open:
            assert way.root() is not None
            source = way.parent().name
            assert int(source[1:]) < me
            served[source] = served.get(source, 0) + 1
    assert max(served.values()) == 1


# -- what is told of a store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One whole model, one damaged, one under way, one whose run was killed."""
    for name, size in (("acme/whole", 4), ("acme/damaged", 5)):
        final = Path(Place(str(tmp_path), name, COMMIT).final)
        final.mkdir(parents=True)
        (final / "w").write_bytes(b"1234")
        manifest = {"schema": 1, "id": name, "revision": COMMIT, "source": "huggingface",
                    "files": [{"path": "w", "size": size, "sha256": "c" * 64}]}  # fmt: skip
        (final / ".gpufleet.json").write_text(json.dumps(manifest))
    for name in ("acme/running", "acme/killed"):
        place = Place(str(tmp_path), name, COMMIT)
        place.make_dirs()
        progress = Progress(None)
        progress.also(os.path.join(place.work, "progress.json"), id=name, revision=COMMIT)
        progress.stage("download", "", 3_000_000_000, 8_000_000_000)
    return tmp_path


def test_the_store_is_told_with_bytes_rate_and_time_left(store: Path) -> None:
    place = Place(str(store), "acme/running", COMMIT)
    progress = Progress(None)
    progress.also(os.path.join(place.work, "progress.json"), id="acme/running", revision=COMMIT)
    with open(place.lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        progress.stage("download", "", 4_000_000_000, 8_000_000_000)
        found = _peer_status.with_rates(str(store), 0.0)
        state = {each["id"]: each for each in found}
        assert (state["acme/running"]["state"], state["acme/killed"]["state"]) == ("running", "stopped")
        state["acme/running"]["rate"] = 100_000_000
        told = "\n".join(
            _fleet_status.table(
                {"whole": _peer_status.whole(str(store)), "under_way": found},
                [{"name": "chat", "state": "failed", "cause": "engine.killed"}],
            )
        )
    for words in ("acme/whole@aaaaaaaaaaaa    whole", "damaged: 1 files", "4.0 GB of 8.0 GB (50 %)", "100 MB/s", "40 s",
                  "stopped", "3.0 GB of 8.0 GB (37 %)", "failed: engine.killed"):  # fmt: skip
        assert words in told, told


def test_a_rate_is_measured(store: Path) -> None:
    place = Place(str(store), "acme/running", COMMIT)
    progress = Progress(None)
    progress.also(os.path.join(place.work, "progress.json"), id="acme/running", revision=COMMIT)
    timer = threading.Timer(0.1, lambda: progress.stage("download", "", 3_010_000_000, 8_000_000_000))
    timer.start()
    found = {each["id"]: each["rate"] for each in _peer_status.with_rates(str(store), 0.5)}
    timer.join()
    assert 5_000_000 < found["acme/running"] <= 20_000_000
    assert found["acme/killed"] == 0


def test_an_empty_host_is_told_too(tmp_path: Path) -> None:
    store = {"whole": _peer_status.whole(str(tmp_path / "none")), "under_way": _peer_status.under_way(str(tmp_path))}
    assert _fleet_status.table(store, []) == ["no models and no instances"]


# -- background jobs


def test_a_job_has_ended_when_its_answer_is_there(tmp_path: Path) -> None:
    (tmp_path / "j1.2").write_text('{"started": 1, "finished": 0, "ansible_job_id": "j1.2"}')
    job = _peer_status.Job(str(tmp_path), "j1.2")
    assert not job.look()
    (tmp_path / "j1.2").write_text('{"changed": true, "path": "/m", "ansible_job_id": "j1.2"}')
    assert job.look()
    assert job.answer is not None
    assert job.answer["path"] == "/m"


def test_a_job_whose_process_is_gone_is_lost(tmp_path: Path) -> None:
    (tmp_path / "j9.9").write_text('{"started": 1, "finished": 0}')
    job = _peer_status.Job(str(tmp_path), "j9.9")
    deadline = time.monotonic() + 20
    while not job.look() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job.answer is not None
    assert job.answer["code"] == "host.job_lost"
