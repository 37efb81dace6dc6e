# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible import constants, context
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils._progress_line import duration, size

display = Display()


class ActionModule(ActionBase):
    """Tells how far a host is, once in each round of the module model_watch."""

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
        answer = self._execute_module(
            module_name="gpufleet.vllm.model_watch", module_args=arguments, task_vars=task_vars
        )
        if arguments.get("jobs") and not answer.get("failed"):
            display.display(line(str(task_vars.get("inventory_hostname", "")), answer))
        return answer


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
