# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store that several hosts share, as over NFS, has one writer; when that dies the next one goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _lock
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._lock import Lock
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._wish import Wish

from .conftest import MODEL, Hub, assert_whole, fetch, size_of, start_module
from .test_faults import await_until

Maker = Callable[..., Wish]
PACKAGE = "ansible_collections.gpufleet.vllm.plugins.module_utils._hub"
#: A process that is another host: another name, and a file system that keeps kernel locks to itself.
OTHER_HOST = (
    "from %s import _lock\n"
    "_lock.host_identity = lambda: %r\n"
    "_lock.fcntl.flock = lambda *_given: None\n"
    "_lock.Lock.BEAT_SECONDS = 0.1\n"
    "_lock.Lock.STALE_SECONDS = %s"
)


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """One directory under two paths, as two hosts that mount the same export."""
    store, other = tmp_path / "export", tmp_path / "mounted"
    store.mkdir()
    other.mkdir()
    if subprocess.run(["mount", "--bind", str(store), str(other)], check=False, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield store, other
    subprocess.run(["umount", "--lazy", str(other)], check=True)


def start(hub: Hub, store: Path, host: str, stale: float = 1.5, **more: Any) -> subprocess.Popen[str]:
    arguments = {
        "id": MODEL,
        "source": "huggingface",
        "endpoints": {"huggingface": hub.url},
        "store": str(store),
        "workers": 1,
        **more,
    }
    return start_module("model_snapshot", arguments, prelude=OTHER_HOST % (PACKAGE, host, stale))


def answer_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    text = process.communicate(timeout=60)[0]
    answer: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return answer


def test_two_hosts_on_one_store_fetch_once(hub: Hub, mounts: tuple[Path, Path]) -> None:
    hub.fault({"match": "^GET /cdn/", "rate": 3_000_000})
    hosts = [start(hub, mounts[0], "one"), start(hub, mounts[1], "two")]
    answers = [answer_of(each) for each in hosts]
    assert sorted(each["changed"] for each in answers) == [False, True], answers
    assert hub.report()["sent_bytes"] == size_of(hub.root / MODEL)
    assert_whole(answers[0]["path"], hub.root / MODEL)
    assert list((mounts[0] / ".locks").glob("*.owner*")) == [], "the marker is gone with its run"


@pytest.mark.slow
def test_a_killed_writer_frees_the_store(hub: Hub, mounts: tuple[Path, Path]) -> None:
    """kill -9 of the one: the other one goes on at the byte where it stopped."""
    sent = 900_000
    hub.fault({"match": "^GET /cdn/", "cut": sent, "stall": 60, "times": 1})
    first = start(hub, mounts[0], "one")
    await_until(lambda: any(each.stat().st_size == sent for each in mounts[0].rglob("parts/*")), first)
    second = start(hub, mounts[1], "two")
    with pytest.raises(subprocess.TimeoutExpired):
        # Longer than a marker may stand still: it is kept fresh, so the second one waits.
        second.wait(3)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=10)
    answer = answer_of(second)
    assert answer["changed"]
    assert_whole(answer["path"], hub.root / MODEL)
    assert answer["bytes_downloaded"] == size_of(hub.root / MODEL) - sent


@pytest.mark.slow
def test_a_writer_that_stood_still_leaves_the_store_to_the_other(hub: Hub, mounts: tuple[Path, Path]) -> None:
    """A frozen machine that wakes up half way: it ends, and does no harm to who has taken over."""
    hub.fault({"match": "^GET /cdn/", "rate": 500_000})
    first = start(hub, mounts[0], "one")
    await_until(lambda: bool(list(mounts[0].rglob("parts/*"))), first)
    second = start(hub, mounts[1], "two")
    first.send_signal(signal.SIGSTOP)
    try:
        await_until(lambda: any('"two"' in each.read_text() for each in mounts[0].rglob("*.owner")), second)
        time.sleep(0.5)
    finally:
        first.send_signal(signal.SIGCONT)
    gave_up, answer = answer_of(first), answer_of(second)
    assert gave_up["code"] == "model.locked" and "taken it over" in gave_up["msg"], gave_up
    assert answer.get("changed"), answer
    assert_whole(answer["path"], hub.root / MODEL)


def test_a_host_that_waits_too_long_says_for_whom(hub: Hub, mounts: tuple[Path, Path]) -> None:
    hub.fault({"match": "^GET /cdn/", "stall": 60})
    first = start(hub, mounts[0], "one")
    try:
        await_until(lambda: bool(list(mounts[0].rglob("parts/*"))), first)
        answer = answer_of(start(hub, mounts[1], "two", lock_timeout=1))
        assert answer["code"] == "model.locked"
        assert "process %d on " % first.pid in answer["msg"]
    finally:
        first.kill()
        first.communicate(timeout=10)


# -- the lock alone


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def marker(path: Path, host: str, token: str = "theirs") -> None:
    path.write_text(json.dumps({"schema": 1, "host": host, "name": host, "pid": 1, "token": token, "beats": 0}))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_lock.time, "monotonic", clock.monotonic)
    monkeypatch.setattr(_lock.time, "sleep", clock.sleep)
    return clock


def test_a_marker_of_a_dead_process_of_this_host_does_not_wait(tmp_path: Path, clock: Clock) -> None:
    marker(tmp_path / "x.owner", _lock.host_identity())
    lock = Lock(str(tmp_path / "x.lock"))
    lock.acquire(1, lambda: pytest.fail("it waited"))
    lock.release()
    assert [each.name for each in tmp_path.iterdir()] == ["x.lock"]


@pytest.mark.parametrize("text", ["", "{", '"text"', None])
def test_a_marker_of_another_host_counts_until_it_stood_still(tmp_path: Path, clock: Clock, text: str | None) -> None:
    if text is None:
        marker(tmp_path / "x.owner", "another host")
    else:
        (tmp_path / "x.owner").write_text(text)
    lock = Lock(str(tmp_path / "x.lock"))
    with pytest.raises(Problem):
        lock.acquire(Lock.STALE_SECONDS - 1, lambda: None)
    begun = clock.now
    assert lock.acquire(Lock.STALE_SECONDS + 1, lambda: None)
    assert clock.now - begun <= Lock.STALE_SECONDS
    lock.release()


def test_who_stood_still_too_long_does_not_publish(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "x.lock"))
    lock.acquire(1, lambda: None)
    lock.check()
    marker(tmp_path / "x.owner", "another host")
    with pytest.raises(Problem) as caught:
        lock.check()
    assert caught.value.code == "model.locked" and "another host" in caught.value.found
    lock.release()
    assert (tmp_path / "x.owner").exists(), "the other one's marker stays"


def test_of_several_who_see_a_stale_marker_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the taking away another one has put its own there: it is given back."""
    lock = Lock(str(tmp_path / "x.lock"))
    marker(tmp_path / "x.owner", "dead")
    seen = lock._read()
    marker(tmp_path / "x.owner", "quicker", token="fresh")
    assert not lock._take_away(seen)
    assert json.loads((tmp_path / "x.owner").read_text())["token"] == "fresh"
    assert [each.name for each in tmp_path.iterdir()] == ["x.owner"]


def test_the_marker_is_kept_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lock, "BEAT_SECONDS", 0.02)
    lock = Lock(str(tmp_path / "x.lock"))
    lock.acquire(1, lambda: None)
    before = (tmp_path / "x.owner").read_text()
    end = time.monotonic() + 10
    while (tmp_path / "x.owner").read_text() == before:
        assert time.monotonic() < end
        time.sleep(0.01)
    lock.release()


def test_a_fetch_after_a_crash_of_this_host_begins_at_once(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    locks = tmp_path / "store" / ".locks"
    locks.mkdir(parents=True)
    commit = fetch(wish(hub, store=str(tmp_path / "other"))).revision
    marker(locks / ("acme--small--%s.owner" % commit), _lock.host_identity())
    begun = time.monotonic()
    assert fetch(wish(hub)).changed
    assert time.monotonic() - begun < 10
