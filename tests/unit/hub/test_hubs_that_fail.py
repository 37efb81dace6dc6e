# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hubs that lose files, contradict each other, dawdle or move on: another one serves, or there is a clear error."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._types import EMPTY_SHA256
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._wish import Wish

from .conftest import MODEL, SOURCES, Hub, assert_whole, fetch, make_model
from .test_faults import CONTENT, refused

Maker = Callable[..., Wish]
WEIGHTS = "model-00000.safetensors"
MS_CONTENT = "^GET /api/v1/models/.*/repo$"
HF_CONTENT = "^GET (/cdn/|/.*/resolve/)"


def both(wish: Maker, hub: Hub, first: str, **more: object) -> Wish:
    """A wish with both sources at one hub, ``first`` before the other one."""
    second = "huggingface" if first == "modelscope" else "modelscope"
    wanted = wish(hub, sources=[first, second], **more)
    wanted.endpoints = {first: hub.url, second: hub.url}
    return wanted


# -- zero bytes


@pytest.mark.parametrize("source", SOURCES)
def test_zero_bytes_are_known_by_name(hub: Hub, wish: Maker, source: str) -> None:
    hub.fault({"match": CONTENT, "empty": True})
    problem = refused(wish(hub, source=source), "hub.zero_bytes")
    assert EMPTY_SHA256[:8] in problem.found and "source: [modelscope, huggingface]" in problem.remedy


def test_zero_bytes_once_are_no_loss(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": CONTENT, "empty": True, "times": 1})
    assert_whole(fetch(wish(hub, source="modelscope")).path, hub.root / MODEL)


def test_a_list_of_zero_bytes_is_known_by_name(hub: Hub, wish: Maker) -> None:
    hub.fault({"match": "/repo/files", "lost": WEIGHTS})
    problem = refused(wish(hub, source="modelscope"), "hub.zero_bytes")
    assert WEIGHTS in problem.found


@pytest.mark.parametrize("first", SOURCES)
@pytest.mark.parametrize("pinned", [True, False])
def test_another_source_gives_the_file_that_one_has_lost(hub: Hub, wish: Maker, first: str, pinned: bool) -> None:
    """The commit stays that of the first source, and every byte is compared with its hashes."""
    commit = fetch(wish(hub, source=first, store=str(hub.root.parent / "other"))).revision
    hub.fault({"match": HF_CONTENT if first == "huggingface" else MS_CONTENT, "empty": True})
    outcome = fetch(both(wish, hub, first, revision=commit if pinned else None))
    assert_whole(outcome.path, hub.root / MODEL)
    assert (outcome.source, outcome.revision) == (first, commit)


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 404}, {"flip": True}, {"cut": 1000, "no_range": True}])
def test_another_source_helps_out_of_every_fault(hub: Hub, wish: Maker, fault: dict[str, object]) -> None:
    hub.fault({"match": MS_CONTENT, **fault})
    outcome = fetch(both(wish, hub, "modelscope"), retries=8)
    assert_whole(outcome.path, hub.root / MODEL)
    assert outcome.source == "modelscope"


def test_another_source_with_other_content_is_no_help(hub: Hub, wish: Maker, start_hub: Callable[..., Hub]) -> None:
    """What it has under the same name is something else: with a commit asked for that is the end."""
    commit = fetch(wish(hub, source="modelscope", store=str(hub.root.parent / "other"))).revision
    wanted = both(wish, hub, "modelscope", revision=commit)
    hub.fault({"match": MS_CONTENT, "empty": True}, {"match": "/cdn/", "flip": True})
    refused(wanted, "hub.zero_bytes")


def test_without_a_commit_another_source_is_taken_as_a_whole(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    """The second source has another version, so it cannot stand in file by file."""
    hub.fault({"match": MS_CONTENT, "empty": True})
    other_root = tmp_path / "root2"
    make_model(other_root / MODEL, shards=(100_000,))
    (other_root / MODEL / "config.json").write_text('{"model_type": "qwen3", "other": true}')
    from tests.fakes.hub import server
    from tests.fakes.hub.repositories import Repositories

    second = server.Hub(("127.0.0.1", 0), Repositories(other_root, lfs_bytes=1 << 20), None)
    import threading

    thread = threading.Thread(target=second.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        wanted = wish(hub, sources=["modelscope", "huggingface"])
        url = "http://127.0.0.1:%d" % second.server_address[1]
        wanted.endpoints = {"modelscope": hub.url, "huggingface": url}
        outcome = fetch(wanted)
        assert outcome.source == "huggingface"
        assert_whole(outcome.path, other_root / MODEL)
    finally:
        second.shutdown()
        second.server_close()
        thread.join(10)


# -- endpoints that contradict each other


def lying(hub: Hub) -> None:
    """A mirror whose list and content agree with each other, and with nobody else."""
    hub.fault({"match": "/tree/|/repo/files", "other_hash": WEIGHTS})


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("liar", [0, 1])
def test_two_that_contradict_each_other_are_both_refused(
    hub: Hub, wish: Maker, start_hub: Callable[..., Hub], source: str, liar: int
) -> None:
    hubs = [hub, start_hub()]
    lying(hubs[liar])
    problem = refused(wish(*hubs, source=source), "hub.disagreement")
    assert WEIGHTS in problem.found and hubs[0].url in problem.found and hubs[1].url in problem.found


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("liar", [0, 1, 2])
def test_of_three_the_two_that_agree_are_believed(
    hub: Hub, wish: Maker, start_hub: Callable[..., Hub], source: str, liar: int
) -> None:
    hubs = [hub, start_hub(), start_hub()]
    lying(hubs[liar])
    outcome = fetch(wish(*hubs, source=source))
    assert_whole(outcome.path, hub.root / MODEL)
    assert outcome.endpoint != hubs[liar].url
    # One that ranks behind two that agree is not even asked for its list.
    assert not [each for each in hubs[liar].report()["log"] if each["path"].startswith("/cdn/")]


def test_an_endpoint_that_is_down_contradicts_nobody(hub: Hub, wish: Maker) -> None:
    assert_whole(fetch(wish(hub, "http://127.0.0.1:1")).path, hub.root / MODEL)


@pytest.mark.parametrize("source", SOURCES)
def test_a_symbolic_link_in_the_list_is_refused(hub: Hub, wish: Maker, tmp_path: Path, source: str) -> None:
    hub.fault({"match": "/tree/|/repo/files", "symlink": "generation_config.json"})
    before = set(tmp_path.rglob("*"))
    problem = refused(wish(hub, source=source), "hub.unsafe_path")
    assert "generation_config.json" in problem.found and "link" in problem.found
    assert set(tmp_path.rglob("*")) == before


# -- slow, and moving on


def test_a_hub_that_cuts_each_connection_after_a_few_bytes_is_given_up(hub: Hub, wish: Maker) -> None:
    """Each brings something, and so it would go on for centuries."""
    hub.fault({"match": CONTENT, "cut": 10})
    refused(wish(hub, workers=1, timeout=2.0), "hub.unreachable", retries=3)
    assert len(hub.report()["log"]) < 30


def test_a_mirror_takes_over_from_one_that_sends_only_drops(
    hub: Hub, wish: Maker, start_hub: Callable[..., Hub]
) -> None:
    hub.fault({"match": CONTENT, "cut": 10})
    assert_whole(fetch(wish(hub, start_hub(), workers=1)).path, hub.root / MODEL)


def test_a_trickle_is_a_stall(hub: Hub, wish: Maker) -> None:
    """A byte now and then keeps a connection from being silent, but not from being given up."""
    hub.fault({"match": CONTENT, "trickle": 0.1, "times": 1})
    begun = time.monotonic()
    assert_whole(fetch(wish(hub, timeout=1.0)).path, hub.root / MODEL)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("source", SOURCES)
def test_a_branch_that_moves_between_list_and_content(
    hub: Hub, wish: Maker, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """What was listed is what comes: content is asked for by the commit that the branch stood for."""
    from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _bring

    shutil.copytree(hub.root / MODEL, hub.root / (MODEL + "@before"))
    download = _bring.Download

    class Moved(download):  # type: ignore[misc, valid-type]
        def run(self, *given: object) -> object:
            (hub.root / MODEL / WEIGHTS).write_bytes(b"another version")
            return super().run(*given)

    monkeypatch.setattr(_bring, "Download", Moved)
    outcome = fetch(wish(hub, source=source))
    assert_whole(outcome.path, hub.root / (MODEL + "@before"))
    later = fetch(wish(hub, source=source))
    assert later.revision != outcome.revision
    assert_whole(later.path, hub.root / MODEL)


@pytest.mark.parametrize("source", SOURCES)
def test_a_commit_that_the_hub_forgets_meanwhile(
    hub: Hub, wish: Maker, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """After a history was rewritten: an error, and nothing of either version."""
    from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _bring

    download = _bring.Download

    class Moved(download):  # type: ignore[misc, valid-type]
        def run(self, *given: object) -> object:
            (hub.root / MODEL / "config.json").write_text("{}")
            return super().run(*given)

    monkeypatch.setattr(_bring, "Download", Moved)
    refused(wish(hub, source=source), "hub.missing_file")


# -- the target, and many files


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("mounting needs root")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_read_only_target(hub: Hub, wish: Maker, read_only: Path) -> None:
    problem = refused(wish(hub, store=str(read_only / "models")), "model.store_unwritable")
    assert "ead-only" in problem.found
    assert hub.report()["sent_bytes"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_thousands_of_files(hub: Hub, wish: Maker, source: str) -> None:
    """More than one page of either hub; names with what URLs and shells do not like."""
    folder = hub.root / "acme" / "many"
    for part in ("a b", "ü%20", "深/深"):
        (folder / part).mkdir(parents=True)
        for number in range(1200):
            (folder / part / ("shard-%05d #?&+.txt" % number)).write_text("%s %d" % (part, number))
    hub.server.models.frozen = True
    outcome = fetch(wish(hub, source=source, model_id="acme/many", workers=8))
    assert_whole(outcome.path, folder)
