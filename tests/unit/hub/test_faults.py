# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot when something goes wrong: afterwards it is whole, or there is a clear error and nothing to see."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _store
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._snapshot import Wish

from .conftest import (
    MODEL,
    SOURCES,
    Hub,
    Result,
    assert_nothing_published,
    assert_whole,
    fetch,
    make_model,
    run_module,
    size_of,
    start_module,
)

Maker = Callable[..., Wish]
BIG = "model-00000"
CONTENT = "^GET (/cdn/|/api/v1/models/.*/repo$)"  # of large files, in both dialects


def refused(wish: Wish, code: str, retries: int = 2) -> Problem:
    """The fetch ends with this code and publishes nothing."""
    with pytest.raises(Problem) as caught:
        fetch(wish, retries=retries)
    assert caught.value.code == code, str(caught.value)
    assert_nothing_published(Path(wish.store))
    return caught.value


def module_arguments(hub: Hub, tmp_path: Path) -> dict[str, Any]:
    return {
        "id": MODEL,
        "source": "huggingface",
        "endpoints": {"huggingface": hub.url},
        "workers": 1,
        "store": str(tmp_path / "store"),
    }


# -- killed


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_killed_and_resumed_at_the_byte(hub: Hub, wish: Maker, tmp_path: Path, part: float) -> None:
    arguments = module_arguments(hub, tmp_path)
    size = (hub.root / MODEL / "model-00000.safetensors").stat().st_size
    # The connection goes silent when this much has come, so the kill hits the middle, and not by luck.
    sent = int(size * part)
    hub.fault({"match": "^GET /cdn/", "cut": sent, "stall": 60, "times": 1})
    process = start_module("model_snapshot", arguments)
    parts = tmp_path / "store" / ".work"
    await_until(lambda: any(each.stat().st_size == sent for each in parts.rglob("parts/*")), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert_nothing_published(tmp_path / "store")
    hub.fault()
    outcome = fetch(wish(hub))
    assert_whole(outcome.path, hub.root / MODEL)
    assert outcome.bytes_downloaded == outcome.bytes_total - sent == hub.report()["sent_bytes"]


def test_killed_between_fetching_and_publishing(hub: Hub, wish: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.fork()
    if not pid:
        # In the child: die at the very rename that would publish.
        os.rename = lambda *_names: os.kill(os.getpid(), signal.SIGKILL)
        fetch(wish(hub))
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert_nothing_published(Path(wish(hub).store))
    outcome = fetch(wish(hub))
    assert outcome.changed and outcome.bytes_downloaded == 0
    assert_whole(outcome.path, hub.root / MODEL)


def test_killed_in_the_middle_of_a_repair(hub: Hub, wish: Maker) -> None:
    """Between taking the damaged directory away and putting the good one there, where both cannot change places."""
    first = fetch(wish(hub))
    (Path(first.path) / "config.json").unlink()
    rename = os.rename
    pid = os.fork()
    if not pid:

        def once(source: str, target: str) -> None:
            os.rename = lambda *_names: os.kill(os.getpid(), signal.SIGKILL)
            rename(source, target)

        os.rename = once
        _store.exchange = lambda _one, _other: False
        fetch(wish(hub))
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert not Path(first.path).exists()
    hub.fault()
    second = fetch(wish(hub, revision=first.revision))
    assert (second.changed, hub.report()["sent_bytes"]) == (True, 0)
    assert_whole(first.path, hub.root / MODEL)


def await_until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.01)


def test_two_at_once_fetch_once(hub: Hub, tmp_path: Path) -> None:
    arguments = module_arguments(hub, tmp_path)
    hub.fault({"match": "^GET /cdn/", "rate": 3_000_000})
    processes = [start_module("model_snapshot", arguments) for _number in range(3)]
    results = [each.communicate(timeout=60)[0] for each in processes]
    assert sorted('"changed": true' in each for each in results) == [False, False, True], results
    assert hub.report()["sent_bytes"] == size_of(hub.root / MODEL)


# -- the network


@pytest.mark.parametrize("source", SOURCES)
def test_cut_connections(hub: Hub, wish: Maker, source: str) -> None:
    hub.fault({"match": CONTENT, "cut": 400_000, "times": 5})
    outcome = fetch(wish(hub, source=source))
    assert_whole(outcome.path, hub.root / MODEL)
    report = hub.report()
    assert report["sent_bytes"] == outcome.bytes_total, "nothing came twice"
    assert any(str(each["range"]).startswith("bytes=400000-") for each in report["log"])


def test_stall(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": CONTENT, "cut": 100_000, "stall": 30, "times": 1})
    begun = time.monotonic()
    outcome = fetch(wish(hub, timeout=0.5))
    assert_whole(outcome.path, hub.root / MODEL)
    assert time.monotonic() - begun < 10


def test_busy_hub_is_given_its_time(hub: Hub, wish: Maker) -> None:
    hub.fault(
        {"match": CONTENT, "status": 429, "headers": {"Retry-After": "1"}, "times": 1},
        {"match": CONTENT, "status": 503, "times": 2},
    )
    begun = time.monotonic()
    outcome = fetch(wish(hub))
    assert_whole(outcome.path, hub.root / MODEL)
    assert time.monotonic() - begun >= 1


def test_hub_that_stays_busy(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": CONTENT, "status": 503})
    problem = refused(wish(hub), "hub.unreachable")
    assert "503" in problem.found and hub.url in problem.asked


def test_hub_that_sends_no_ranges(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": CONTENT, "cut": 300_000, "times": 1}, {"match": CONTENT, "no_range": True})
    assert_whole(fetch(wish(hub)).path, hub.root / MODEL)


def test_hub_that_cuts_and_sends_no_ranges_is_given_up(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": CONTENT, "cut": 300_000, "no_range": True})
    refused(wish(hub), "model.damaged", retries=8)


@pytest.mark.parametrize("source", SOURCES)
def test_hub_down(wish: Maker, source: str) -> None:
    problem = refused(wish("http://127.0.0.1:1", "http://nowhere.invalid", source=source), "hub.unreachable")
    assert "http://127.0.0.1:1" in problem.found and "connection refused" in problem.found
    assert "http://nowhere.invalid" in problem.found and "does not resolve" in problem.found
    assert "gpufleet_hub_endpoints" in problem.remedy


def test_hub_down_with_a_directory_half_there(hub: Hub, wish: Maker) -> None:
    """What other clients report as success."""
    hub.fault({"match": CONTENT, "cut": 100_000})
    refused(wish(hub, workers=1), "hub.unreachable", retries=0)
    hub.stop()
    refused(wish(hub), "hub.unreachable")


def test_a_mirror_takes_over(hub: Hub, wish: Maker, start_hub: Callable[..., Hub]) -> None:
    assert_whole(fetch(wish("http://127.0.0.1:1", hub)).path, hub.root / MODEL)


def test_a_mirror_takes_over_in_the_middle_of_a_file(hub: Hub, wish: Maker, start_hub: Callable[..., Hub]) -> None:
    mirror = start_hub()
    hub.fault({"match": CONTENT, "cut": 500_000, "times": 1}, {"match": CONTENT, "status": 500})
    outcome = fetch(wish(hub, mirror, workers=1))
    assert_whole(outcome.path, hub.root / MODEL)
    assert any(str(each["range"]).startswith("bytes=500000-") for each in mirror.report()["log"])


def test_another_source_takes_over(hub: Hub, wish: Maker) -> None:
    wanted = wish(hub, sources=["modelscope", "huggingface"])
    wanted.endpoints["modelscope"] = "http://127.0.0.1:1"
    outcome = fetch(wanted)
    assert outcome.source == "huggingface"
    assert_whole(outcome.path, hub.root / MODEL)


def test_a_login_page_is_no_file_list(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": "/revision/", "status": 200})
    problem = refused(wish(hub), "hub.unreachable")
    assert "gave no commit" in problem.found


# -- wrong content


@pytest.mark.parametrize("source", SOURCES)
def test_flipped_bit_is_fetched_again(hub: Hub, wish: Maker, source: str) -> None:
    hub.fault({"match": CONTENT, "flip": True, "times": 1})
    assert_whole(fetch(wish(hub, source=source)).path, hub.root / MODEL)


def test_flipped_bit_in_a_small_file(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": "/resolve/.*/config.json", "flip": True, "times": 1})
    assert_whole(fetch(wish(hub)).path, hub.root / MODEL)


def test_a_hub_that_lies_is_given_up(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": CONTENT, "flip": True})
    problem = refused(wish(hub), "model.damaged")
    assert ("hash" in problem.found and BIG in problem.asked) or "model-00001" in problem.asked


def test_a_mirror_that_lies_is_left(hub: Hub, wish: Maker, start_hub: Callable[..., Hub]) -> None:
    mirror = start_hub()
    mirror.fault({"match": CONTENT, "flip": True})
    assert_whole(fetch(wish(mirror, hub)).path, hub.root / MODEL)


def test_wrong_length_is_not_believed(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": CONTENT, "length": 5, "times": 1})
    assert_whole(fetch(wish(hub)).path, hub.root / MODEL)


def test_a_file_that_is_listed_but_not_there(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": "/resolve/.*/" + BIG, "status": 404})
    problem = refused(wish(hub), "hub.missing_file")
    assert BIG in problem.asked


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "path",
    [
        "../escaped.json",
        "/tmp/escaped.json",
        "a/../../escaped.json",
        "..",
        "a//b",
        "a\\b",
        "a\nb",
        ".gpufleet.json",
        "config.json/x",
        "generation_config.json",
    ],
)
def test_unsafe_paths_are_refused(hub: Hub, wish: Maker, tmp_path: Path, source: str, path: str) -> None:
    hub.fault({"match": "/tree/|/repo/files", "replace": {"old": "empty.txt", "new": path}})
    before = set(tmp_path.rglob("*"))
    refused(wish(hub, source=source), "hub.unsafe_path")
    assert set(tmp_path.rglob("*")) == before


# -- refusals


@pytest.mark.parametrize("source", SOURCES)
def test_unknown_model(hub: Hub, wish: Maker, source: str) -> None:
    refused(wish(hub, source=source, model_id="acme/none"), "model.not_found")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("revision", ["v9", "0" * 40])
def test_unknown_revision(hub: Hub, wish: Maker, source: str, revision: str) -> None:
    problem = refused(wish(hub, source=source, revision=revision), "model.revision_not_found")
    assert revision in str(problem)


@pytest.mark.parametrize("model_id", ["../x", "a/b/c", "/etc", "a/..", "", "a b/c", ".hidden/x"])
def test_ids_that_are_no_ids(wish: Maker, model_id: str) -> None:
    refused(wish("http://127.0.0.1:1", model_id=model_id), "model.bad_id")


@pytest.mark.parametrize("source", SOURCES)
def test_tokens(start_hub: Callable[..., Hub], tmp_path: Path, source: str) -> None:
    make_model(tmp_path / "root" / MODEL)
    guarded = start_hub(token="right-token-1234")

    def run(token: str) -> Result:
        result = run_module(
            "model_snapshot",
            {
                "id": MODEL,
                "source": source,
                "endpoints": {source: guarded.url},
                "store": str(tmp_path / "store"),
                "tokens": {source: token} if token else {},
            },
        )
        assert not token or token not in result.text
        return result

    wrong = run("wrong-token-1234")
    assert wrong.answer["code"] == "hub.unauthorized" and "gpufleet_hub_tokens" in wrong.answer["msg"]
    assert run("").answer["code"] == ("model.not_found" if source == "huggingface" else "hub.unauthorized")
    right = run("right-token-1234")
    assert right.answer.get("changed"), right.text
    # The store of large files, another host, refuses every request that carries the token.
    assert any(re.match("/cdn/", each["path"]) for each in guarded.report()["log"]) == (source == "huggingface")


def test_signed_addresses_are_in_no_message(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": "^GET /cdn/", "status": 403})
    problem = refused(wish(hub), "hub.unauthorized")
    assert "signature" not in str(problem)


# -- the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 18 MiB: too little for the model and what stays free."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=18m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_too_little_space_is_said_before(hub: Hub, wish: Maker, small_disk: Path) -> None:
    problem = refused(wish(hub, store=str(small_disk / "models")), "model.no_space")
    assert hub.report()["sent_bytes"] == 0
    free = int(re.findall(r"has (\d+) bytes free", problem.found)[0])
    # All but the block of the lock's marker.
    assert (18 << 20) - 4096 * 2 <= free <= 18 << 20


def test_disk_that_fills_up_meanwhile(hub: Hub, wish: Maker, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = "ansible_collections.gpufleet.vllm.plugins.module_utils._hub._bring."
    monkeypatch.setattr(store + "SPACE_MARGIN_BYTES", 0)
    (small_disk / "other").write_bytes(bytes(14 << 20))
    monkeypatch.setattr(store + "free_bytes", lambda _path: 1 << 40)
    wanted = wish(hub, store=str(small_disk / "models"), workers=1)
    make_model(hub.root / "acme" / "larger", shards=(8 << 20,))
    wanted.model_id = "acme/larger"
    refused(wanted, "model.no_space")
    (small_disk / "other").unlink()
    assert_whole(fetch(wanted).path, hub.root / "acme" / "larger")


def test_store_that_is_a_file(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem) as caught:
        fetch(wish(hub, store=str(tmp_path / "file" / "models")))
    assert caught.value.code == "model.store_unwritable"
