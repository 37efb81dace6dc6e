# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""The state of one engine instance: systemd, the files under /run, the API; and waiting for a state."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.module_utils import _engine_failures, _engine_memory, _systemd
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine_failures import Failure

#: how long an engine that printed a fatal line may take to die by itself, so that its whole log is there to read
FATAL_GRACE_SECONDS = 20
#: journal lines that are read: a failed start of vLLM leaves several hundred of tracebacks after the line that tells
JOURNAL_LINES = 2000
#: how long the list of models may take: at a first look, and at an engine that has been slow before, in seconds
LIST_TIMEOUT = 5.0
SLOW_LIST_TIMEOUT = 30.0

#: stages of a start by what vLLM 0.32 prints when one begins, last match wins
_STAGES: tuple[tuple[str, str], ...] = (
    ("Starting to load model", "load weights"),
    ("Loading weights took", "weights loaded"),
    ("Model loading took", "weights loaded"),
    ("torch.compile", "compile"),
    ("KV cache size", "warm up"),
    ("Graph capturing finished", "warm up"),
    ("Application startup complete", "first answer"),
)


class ApiError(Exception):
    """The engine's API could not be asked or refused; ``status`` is 0 when nothing answered."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Api(t.Protocol):
    """What the instance needs of HTTP: JSON in, JSON out, ApiError when it does not work."""

    def __call__(self, path: str, body: dict[str, t.Any] | None, timeout: float) -> dict[str, t.Any]: ...


class Snapshot(t.NamedTuple):
    """One look at an instance. ``failure`` is set only in state failed. ``slow``: its unit is active, but the API gave
    no answer in time, which a busy engine does too."""

    state: str
    desired_revision: str | None
    running_revision: str | None
    starting_revision: str | None
    served_models: list[str]
    unit: dict[str, str]
    failure: Failure | None
    journal: list[str]
    slow: bool = False

    @property
    def pid(self) -> int:
        return _systemd.number(self.unit, "MainPID")

    @property
    def n_restarts(self) -> int:
        return _systemd.number(self.unit, "NRestarts")

    def needs_start(self, revision: str) -> bool:
        """Whether the instance neither runs at ``revision`` nor is on its way to it."""
        if self.state == "ready":
            return self.running_revision != revision
        return not (self.state == "loading" and self.starting_revision == revision)


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def stage_of(lines: t.Sequence[str]) -> str:
    """What an engine that is starting is doing, from its log."""
    stage = "start"
    for line in lines:
        for words, name in _STAGES:
            if words in line:
                stage = name
    return stage


class Instance:
    """One ``vllm@<name>.service`` of this host.

    ``api`` is None when the API is not to be asked. ``secrets`` are cut out of every journal line that leaves here.
    """

    def __init__(
        self,
        run: _systemd.Run,
        name: str,
        api: Api | None = None,
        served_name: str | None = None,
        secrets: t.Sequence[str] = (),
        root: str = "/",
    ) -> None:
        self.run = run
        self.name = name
        self.unit_name = "vllm@%s.service" % name
        self.api = api
        self.served_name = served_name or name
        self.secrets = secrets
        self.config_dir = Path(root) / "etc/gpufleet/instances" / name
        self.run_dir = Path(root) / "run/gpufleet" / name
        self.measured_file = Path(root) / "var/lib/gpufleet" / name / "measured.json"

    def journal(self, unit: t.Mapping[str, str], lines: int = JOURNAL_LINES) -> list[str]:
        """Journal of the unit's present or last start."""
        found = _systemd.journal(self.run, self.unit_name, unit.get("InvocationID", ""), lines)
        return _engine_failures.redact(found, self.secrets)

    def measured(self, seen: Snapshot) -> dict[str, t.Any]:
        """What the running engine printed of its memory when it started.

        Kept on disk by the role: the start of an engine that has served for weeks is far back in its journal.
        """
        try:
            kept = json.loads(self.measured_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        if isinstance(kept, dict) and kept.get("measured") and kept.get("revision") == seen.running_revision:
            return dict(kept["measured"])
        return _engine_memory.measured(self.journal(seen.unit))

    def models(self, timeout: float) -> list[str]:
        """Names that the engine lists. Raises ApiError."""
        if self.api is None:
            return []
        data = self.api("/v1/models", None, timeout).get("data")
        return [str(model.get("id")) for model in data] if isinstance(data, list) else []

    def look(self, timeout: float = LIST_TIMEOUT) -> Snapshot:
        """Read everything once; the API gets ``timeout`` seconds to list its models."""
        unit = _systemd.show(self.run, self.unit_name)
        running = _first_line(self.run_dir / "revision")
        starting = _first_line(self.run_dir / "starting")
        served: list[str] = []
        failure: Failure | None = None
        lines: list[str] = []
        slow = False
        state = self._unit_state(unit)
        if state == "active":
            try:
                served = self.models(timeout)
                known = self.api is None or self.served_name in served
                state = "ready" if known else "failed"
                evidence = "it serves %s, not '%s'" % (served, self.served_name)
            except ApiError as error:
                state, known, evidence = "failed", False, str(error)
                slow = not 400 <= error.status < 500
            if not known:
                remedy = _engine_failures.REMEDIES[_engine_failures.UNRESPONSIVE]
                failure = Failure(_engine_failures.UNRESPONSIVE, evidence, remedy)
        if state == "failed":
            lines = self.journal(unit)
            failure = failure or _engine_failures.classify(lines, unit)
        desired = _systemd.environment_value(unit, "GPUFLEET_REVISION")
        return Snapshot(state, desired, running, starting, served, unit, failure, lines, slow)

    def _unit_state(self, unit: t.Mapping[str, str]) -> str:
        """``active`` is still to be told apart by the API."""
        active = unit.get("ActiveState", "")
        queued = _systemd.number(unit, "Job") > 0
        if active == "active":
            return "active"
        if active == "inactive" and not queued:
            known = unit.get("LoadState") == "loaded" and self.config_dir.is_dir()
            return "stopped" if known else "missing"
        # A unit that waits for its automatic restart has failed, unless someone has just asked for a start.
        if (active == "failed" or unit.get("SubState") == "auto-restart") and not queued:
            return "failed"
        return "loading"

    def complete(self, prompt: str, max_tokens: int, timeout: float) -> str:
        """Text of one completion. Raises ApiError."""
        if self.api is None:
            raise ApiError("no base_url was given")
        body = {"model": self.served_name, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
        choices = self.api("/v1/completions", body, timeout).get("choices")
        if not isinstance(choices, list) or not choices:
            raise ApiError("the completion holds no choice")
        return str(choices[0].get("text", ""))


class Waiting:
    """Waits for an instance; ``clock`` and ``sleep`` are the time module's, or a test's."""

    def __init__(
        self,
        instance: Instance,
        clock: t.Callable[[], float],
        sleep: t.Callable[[float], None],
        report: t.Callable[[str, str], None],
        pause: float = 1.0,
    ) -> None:
        self.instance = instance
        self.clock = clock
        self.sleep = sleep
        self.report = report
        self.pause = pause

    def patiently(self, seconds: float, revision: str | None) -> Snapshot:
        """A look that is repeated for ``seconds`` while an engine that should be kept is slow to answer.

        An engine that does not run at ``revision`` (if given) is started again anyway: that is not waited for.
        """
        begun = self.clock()
        seen = self.instance.look(LIST_TIMEOUT)
        while seen.slow and revision in (None, seen.running_revision):
            left = seconds - (self.clock() - begun)
            if left <= 0:
                break
            self.report("answer", "the engine is slow to answer")
            self.sleep(self.pause)
            seen = self.instance.look(max(LIST_TIMEOUT, min(left, SLOW_LIST_TIMEOUT)))
        return seen

    def until_ready(self, seconds: float, revision: str | None) -> tuple[Snapshot, Failure | None]:
        """Until the instance is ready (at ``revision``, if given), or it is plain that it will not be.

        Returns the last look, and why not when it is not ready.
        """
        begun = self.clock()
        fatal_since: float | None = None
        restarts: int | None = None
        while True:
            seen = self.instance.look()
            if seen.state == "ready" and revision in (None, seen.running_revision):
                return seen, None
            unresponsive = seen.failure is not None and seen.failure.code == _engine_failures.UNRESPONSIVE
            if seen.state == "failed" and not unresponsive:
                return seen, seen.failure
            if seen.state in ("missing", "stopped"):
                found = "the unit %s is %s and nothing starts it" % (self.instance.unit_name, seen.state)
                return seen, Failure(_engine_failures.UNKNOWN, found, "Start the unit, or set `state: stopped`")
            lines = self.instance.journal(seen.unit, 400)
            # Died and came back between two looks.
            if restarts is not None and seen.n_restarts > restarts:
                older = _engine_failures.redact(
                    _systemd.journal(self.instance.run, self.instance.unit_name, lines=JOURNAL_LINES),
                    self.instance.secrets,
                )
                return seen._replace(journal=older), _engine_failures.classify(older, seen.unit)
            restarts = seen.n_restarts
            told = _engine_failures.from_log(lines) if seen.state == "loading" else None
            if told is not None:
                fatal_since = fatal_since if fatal_since is not None else self.clock()
                if self.clock() - fatal_since > FATAL_GRACE_SECONDS:
                    return seen._replace(journal=lines), told
            self.report(stage_of(lines), _engine_failures.tidy(lines[-1]) if lines else "")
            if self.clock() - begun > seconds:
                return seen._replace(journal=lines), self._late(seen, lines, seconds, revision)
            self.sleep(self.pause)

    def _late(self, seen: Snapshot, lines: list[str], seconds: float, revision: str | None) -> Failure:
        if seen.state == "ready":
            found = "it serves, but runs revision %s, not %s" % (seen.running_revision, revision)
            return Failure(_engine_failures.UNKNOWN, found, "Restart the instance")
        if seen.failure is not None:
            return seen.failure
        found = "not ready after %d s; last: %s" % (seconds, _engine_failures.tidy(lines[-1]) if lines else "no log")
        return Failure(_engine_failures.START_TIMEOUT, found, _engine_failures.REMEDIES[_engine_failures.START_TIMEOUT])

    def until_stopped(self, seconds: float) -> tuple[Snapshot, bool]:
        """Until no process of the unit is left; False when it still runs after ``seconds``."""
        begun = self.clock()
        while True:
            seen = self.instance.look()
            if seen.state in ("missing", "stopped") or seen.unit.get("ActiveState") == "failed":
                return seen, True
            if self.clock() - begun > seconds:
                return seen, False
            self.report("stop", "")
            self.sleep(self.pause)


def write_progress(path: str | None, stage: str, message: str) -> None:
    """Keep the file fresh that the action plugin shows; a start has no bytes to count."""
    if not path:
        return
    body = {"schema": 1, "stage": stage, "done_bytes": 0, "total_bytes": 0, "message": message}
    target = Path(path)
    scratch = target.with_name(target.name + ".new")
    scratch.write_text(json.dumps(body), encoding="utf-8")
    scratch.replace(target)
