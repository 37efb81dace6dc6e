# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This plugin util is PRIVATE to the collection.

from __future__ import annotations

import os
import shlex
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ._progress_line import Reporter

display = Display()


class WatchedAction(ActionBase):
    """Runs the module of the same name and tells on the control node how far it is.

    The module runs as a background job on the host and keeps a progress file fresh; this plugin reads that file with
    one cheap command every few seconds. What comes back is the module's own answer. Where there is nothing to wait for
    (check mode, a task that is asynchronous itself, nothing to do) the module runs in the plain way.
    """

    _supports_check_mode = True
    _supports_async = True

    # Module to run; each plugin names its own.
    MODULE = ""
    # A job that takes longer than this is ended. Seconds.
    LIMIT_SECONDS = 24 * 3600
    # Pauses between two looks, in seconds; the last one repeats.
    PAUSES = (0.3, 0.7, 1, 2, 3)
    # A host that cannot be reached for so long is given up. Seconds.
    PATIENCE_SECONDS = 300

    def may_take_long(self, arguments: Mapping[str, Any]) -> bool:
        """Whether these arguments can lead to something worth watching."""
        return True

    def can_be_foretold(self, arguments: Mapping[str, Any]) -> bool:
        """Whether check mode tells quickly if there is anything to do; its answer "unchanged" then is the answer."""
        return True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        if self._task.check_mode or self._task.async_val or not self.may_take_long(arguments):
            return self._plain(arguments, task_vars)
        if self.can_be_foretold(arguments):
            foretold = self._foretell(arguments, task_vars)
            if not foretold.get("changed"):
                return foretold
        return self._watch(arguments, task_vars)

    def _plain(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        return self._execute_module(
            module_name=self.MODULE, module_args=arguments, task_vars=task_vars, wrap_async=self._task.async_val
        )

    def _foretell(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        asked = self._task.check_mode
        self._task.check_mode = True
        try:
            return self._plain(arguments, task_vars)
        finally:
            self._task.check_mode = asked

    def _watch(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        token = uuid.uuid4().hex
        job, own_file = self._start(arguments, task_vars, token)
        if "ansible_job_id" not in job or not job.get("results_file"):
            return job
        results = job["results_file"]
        progress = own_file or os.path.join(os.path.dirname(results), token + ".progress")
        hosts = len(task_vars.get("ansible_play_batch") or [1])
        reporter = Reporter(
            task_vars.get("inventory_hostname", ""),
            self.MODULE.rsplit(".", 1)[-1],
            hosts,
            quiet=bool(self._task.no_log),
        )
        try:
            self._wait(job["ansible_job_id"], results, progress, reporter)
            return self._answer(job["ansible_job_id"], results, task_vars)
        finally:
            self._tidy([results] if own_file else [results, progress])

    def _start(self, arguments: dict[str, Any], task_vars: dict[str, Any], token: str) -> tuple[dict[str, Any], str]:
        """Start the job; gives what the wrapper says, and the task's own progress file if it names one."""
        own_file = str(arguments.get("progress_file") or "")
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        arguments.setdefault("progress_file", "")
        if not own_file:
            # The module, as the user that the task becomes, makes the same of ~ as the wrapper.
            arguments["progress_file"] = "%s/%s.progress" % (folder, token)
        self._task.async_val = self.LIMIT_SECONDS
        try:
            job = self._execute_module(
                module_name=self.MODULE, module_args=arguments, task_vars=task_vars, wrap_async=True
            )
        finally:
            self._task.async_val = 0
        return job, own_file

    def _wait(self, job: str, results: str, progress: str, reporter: Reporter) -> None:
        """Return when the job has ended. Raises when it is lost or the host stays away for too long."""
        begun = last_contact = time.monotonic()
        turn, missed, boot = 0, 0, ""
        while time.monotonic() - begun < self.LIMIT_SECONDS:
            time.sleep(self.PAUSES[min(turn, len(self.PAUSES) - 1)])
            turn += 1
            try:
                state, now_boot, text = self._look(job, results, progress)
            except AnsibleConnectionFailure:
                if time.monotonic() - last_contact > self.PATIENCE_SECONDS:
                    raise
                self._say(reporter.note("no connection, trying again"))
                continue
            last_contact = time.monotonic()
            if state == "ended":
                return
            # The job's process may end between the two looks of one command, so once is not enough.
            missed = missed + 1 if state == "lost" else 0
            boot = boot or now_boot
            if missed >= 3 or now_boot != boot:
                raise AnsibleActionFail(
                    "[host.job_lost] %s was running on %s: its process is gone without an answer%s. "
                    "Start again; it goes on where it can."
                    % (self.MODULE, reporter.host, " because the host restarted" if now_boot != boot else "")
                )
            self._say(reporter.line(text))
        raise AnsibleActionFail("[host.job_lost] %s ran longer than %d s." % (self.MODULE, self.LIMIT_SECONDS))

    def _look(self, job: str, results: str, progress: str) -> tuple[str, str, str]:
        """("running" | "ended" | "lost", boot id, text of the progress file), with one command."""
        # The brackets keep the pattern from finding this very command.
        pattern = "[%s]%s" % (job[0], job[1:])
        command = (
            "cat %(progress)s 2>/dev/null; echo; "
            "if head -c 200 %(results)s 2>/dev/null | grep -q '\"started\": '; then "
            "if grep -qs -- %(pattern)s /proc/[0-9]*/cmdline; then s=running; else s=lost; fi; "
            "elif test -s %(results)s; then s=ended; else s=lost; fi; "
            "echo gpufleet $s $(cat /proc/sys/kernel/random/boot_id)"
        ) % {"progress": shlex.quote(progress), "results": shlex.quote(results), "pattern": shlex.quote(pattern)}
        answer = self._low_level_execute_command(command)
        for line in reversed((answer.get("stdout") or "").splitlines()):
            words = line.split()
            if len(words) == 3 and words[0] == "gpufleet":
                return words[1], words[2], answer["stdout"].strip().splitlines()[0]
        raise AnsibleConnectionFailure("no answer from the host: %s" % (answer.get("stderr") or "").strip()[-200:])

    def _answer(self, job: str, results: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The module's own answer, without what only the background job added."""
        arguments = {"jid": job, "_async_dir": os.path.dirname(results)}
        begun = time.monotonic()
        while True:
            try:
                answer = self._execute_module(
                    module_name="ansible.legacy.async_status", module_args=arguments, task_vars=task_vars
                )
                break
            except AnsibleConnectionFailure:
                if time.monotonic() - begun > self.PATIENCE_SECONDS:
                    raise
                time.sleep(self.PAUSES[-1])
        for key in ("ansible_job_id", "started", "finished", "results_file"):
            answer.pop(key, None)
        return answer

    def _tidy(self, files: list[str]) -> None:
        """Leave nothing behind; a host that is out of reach by now keeps two small files."""
        try:
            self._low_level_execute_command("rm -f " + " ".join(shlex.quote(file) for file in files))
        except AnsibleConnectionFailure as error:
            display.vvv("could not remove %s: %s" % (", ".join(files), error))

    def _say(self, line: str | None) -> None:
        if line:
            display.display(line)
