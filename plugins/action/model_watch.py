# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils._progress_line import duration, size

display = Display()

# A connection that says nothing for so long after the answer was due is lost. Seconds.
SILENCE_SECONDS = 45
# Where nobody can be asked, rounds follow each other no faster than this. Seconds.
PAUSE_SECONDS = 3.0


class ActionModule(ActionBase):
    """Tells how far a host is, once in each round of the module model_watch.

    A host that cannot be reached fails no round: it is tried again in the next one, so that the others are watched
    meanwhile, and after ``patience`` it counts as done and ``lost``.
    """

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        forks = int((context.CLIARGS or {}).get("forks") or constants.DEFAULT_FORKS)
        hosts = len(task_vars.get("ansible_play_batch") or [1])
        # A round takes about so long, however many hosts there are; nobody's lease is over before his turn comes.
        share = min(1.0, forks / hosts)
        arguments["seconds"] = max(1, int(int(arguments.get("seconds") or 20) * share))
        host = str(task_vars.get("inventory_hostname", ""))
        begun = time.time()
        try:
            answer = self._ask(arguments, task_vars)
        except AnsibleConnectionFailure as error:
            answer = lost(
                str(error), begun, float(arguments.get("lost_since") or 0), int(arguments.get("patience") or 300)
            )
            display.display(no_connection(host, answer))
            time.sleep(max(0.0, PAUSE_SECONDS - (time.time() - begun)))
            return answer
        if arguments.get("jobs") and not answer.get("failed"):
            display.display(line(host, answer))
        return answer

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The module's answer. Raises AnsibleConnectionFailure also when the host ends in the middle of it."""
        try:
            with alarm(arguments["seconds"] + SILENCE_SECONDS):
                answer = self._execute_module(
                    module_name="gpufleet.vllm.model_watch", module_args=arguments, task_vars=task_vars
                )
        except SilenceError as error:
            # The connection that is kept open would be as silent the next time.
            with contextlib.suppress(Exception):
                self._connection.reset()
            raise AnsibleConnectionFailure(str(error)) from error
        if answer.get("unreachable") or (answer.get("failed") and "module_stdout" in answer):
            raise AnsibleConnectionFailure(str(answer.get("msg") or "no answer"))
        return answer


class SilenceError(Exception):
    """Nothing came from the host for too long."""


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise SilenceError when the body takes longer: a host without power leaves a connection waiting for minutes."""

    def ring(_number: int, _frame: Any) -> None:
        raise SilenceError("no answer within %d seconds" % seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def lost(why: str, now: float, since: float, patience: int) -> dict[str, Any]:
    """What is answered for a host that is out of reach since ``since`` (0: since now)."""
    since = since or now
    given_up = now - since >= patience
    return {
        "changed": False, "done": given_up, "lost": given_up, "lost_since": since, "patience": patience,
        "msg": " ".join(why.split())[-300:], "failed_jobs": [], "fetched": [], "done_bytes": 0, "total_bytes": 0,
        "rate": 0, "serves": False,
    }  # fmt: skip


def no_connection(host: str, answer: dict[str, Any]) -> str:
    """What a person reads of a host that is out of reach."""
    away = duration(time.time() - answer["lost_since"])
    if answer["lost"]:
        return "%s | model_snapshot | no connection for %s, the others go on without it" % (host, away)
    patience = duration(answer["patience"])
    return "%s | model_snapshot | no connection for %s, trying again for %s" % (host, away, patience)


def line(host: str, answer: dict[str, Any]) -> str:
    """What a person reads of one host: bytes, rate, time left."""
    done, total, rate = answer.get("done_bytes", 0), answer.get("total_bytes", 0), answer.get("rate", 0)
    parts = [host, "model_snapshot", "%s of %s" % (size(done), size(total))]
    if answer.get("done"):
        parts.append("failed" if answer.get("failed_jobs") else "done")
    elif rate:
        parts.append("%s/s" % size(rate))
        parts.append("%s left" % duration((total - done) / rate))
    return " | ".join(parts)
