# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Background jobs are watched, and what comes back is the module's own answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.gpufleet.vllm.plugins.action import instance_info, model_snapshot
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import _watched
from ansible_collections.gpufleet.vllm.plugins.plugin_utils._progress_line import Reporter

from .conftest import Host

SLOW = ["python", "-c", "import time; time.sleep(6)"]


@pytest.mark.slow
def test_a_long_build_speaks_and_leaves_nothing_behind(host: Host) -> None:
    lock = host.lock("tool==1.0")
    answer, printed = host.module({"lock": lock, "checks": [SLOW]})
    assert answer["changed"]
    assert set(answer) == {
        "actions",
        "changed",
        "environment",
        "path",
        "uid",
        "gid",
        "owner",
        "group",
        "mode",
        "size",
        "state",
    }
    assert re.search(r"^localhost \| uv_environment \| check \d s \| python -c import time", printed, re.M), printed
    assert list(host.async_folder.iterdir()) == []
    # With nothing to do there is no job at all.
    host.async_folder.rmdir()
    assert not host.module({"lock": lock})[0]["changed"]
    assert not host.async_folder.exists()


@pytest.mark.slow
def test_a_module_that_fails_in_the_background_fails_with_its_own_words(host: Host) -> None:
    answer, _printed = host.module({"lock": host.lock("tool==1.0"), "uv": "/bin/false"})
    assert answer["code"] == "runtime.no_uv"
    assert "finished" not in answer
    assert list(host.async_folder.iterdir()) == []


class Watcher(_watched.WatchedAction):
    """Without Ansible around it: the host's answers are scripted."""

    MODULE = "gpufleet.vllm.some_module"
    PAUSES = (0,)
    PATIENCE_SECONDS = 60

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.said: list[str] = []

    def _low_level_execute_command(self, command: str) -> dict[str, str]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"stdout": answer, "stderr": ""}

    def _say(self, line: str | None) -> None:
        self.said.append(line or "")

    def wait(self) -> None:
        self._wait("j1.2", "/a/j1.2", "/a/p", Reporter("gpu1", "some_module"))


def look(state: str, boot: str = "boot-1", text: str = "{}") -> str:
    return "%s\ngpufleet %s %s\n" % (text, state, boot)


AWAY = AnsibleConnectionFailure("gone")


def test_a_lost_connection_is_tried_again() -> None:
    watcher = Watcher([look("running"), AWAY, AWAY, "garbage", look("running"), look("ended")])
    watcher.wait()
    assert watcher.answers == []


def test_a_host_that_stays_away_is_given_up() -> None:
    watcher = Watcher([look("running"), AWAY, AWAY])
    watcher.PATIENCE_SECONDS = 0
    with pytest.raises(AnsibleConnectionFailure):
        watcher.wait()


def test_a_vanished_job_is_an_error_and_a_short_gap_is_not() -> None:
    Watcher([look("lost"), look("lost"), look("running"), look("lost"), look("ended")]).wait()
    with pytest.raises(AnsibleActionFail, match=r"\[host\.job_lost\] .* on gpu1"):
        Watcher([look("running"), look("lost"), look("lost"), look("lost")]).wait()


def test_a_restarted_host_is_an_error_that_says_so() -> None:
    with pytest.raises(AnsibleActionFail, match="because the host restarted"):
        Watcher([look("running"), AWAY, look("lost", "boot-2")]).wait()


def test_what_is_worth_watching() -> None:
    info = instance_info.ActionModule.__new__(instance_info.ActionModule)
    assert not info.may_take_long({"name": "x"})
    assert not info.may_take_long({"name": "x", "wait": "none"})
    assert info.may_take_long({"name": "x", "wait": "ready"})
    assert not info.can_be_foretold({"name": "x", "wait": "ready"})
    snapshot = model_snapshot.ActionModule.__new__(model_snapshot.ActionModule)
    assert snapshot.can_be_foretold({"id": "a/b"})
    assert not snapshot.can_be_foretold({"id": "a/b", "verify": "checksum"})
