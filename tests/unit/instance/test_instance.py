"""State and waiting of an instance against scripted systemd, journal, API and clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._instance import (
    ApiError,
    Instance,
    Snapshot,
    Waiting,
    stage_of,
    write_progress,
)

RUNNING = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "MainPID": "7", "NRestarts": "0"}
LOADING = {"LoadState": "loaded", "ActiveState": "activating", "SubState": "start-post", "Job": "12", "NRestarts": "0"}
STOPPED = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "Job": "", "Result": "success"}
RESTARTING = {
    "LoadState": "loaded",
    "ActiveState": "activating",
    "SubState": "auto-restart",
    "Job": "",
    "Result": "exit-code",
    "ExecMainCode": "1",
    "ExecMainStatus": "1",
    "NRestarts": "0",
}
FAILED = {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "Job": "", "Result": "exit-code"}
OOM = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`."


class Host:
    """``units`` is a list of looks; the last one stays. The clock moves only by sleeping."""

    def __init__(self, folder: Path, units: list[dict[str, str]], log: list[str] | None = None) -> None:
        self.folder = folder
        self.units = units
        self.log = log or []
        self.now = 0.0
        self.served: list[str] | None = ["chat"]
        self.reports: list[tuple[str, str]] = []
        (folder / "etc/gpufleet/instances/chat").mkdir(parents=True)
        self.run_dir = folder / "run/gpufleet/chat"
        self.run_dir.mkdir(parents=True)

    def run(self, command: list[str]) -> tuple[int, str, str]:
        if command[0] == "systemctl":
            unit = self.units.pop(0) if len(self.units) > 1 else self.units[0]
            return 0, "".join("%s=%s\n" % item for item in unit.items()), ""
        return 0, "".join(line + "\n" for line in self.log), ""

    def api(self, path: str, body: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
        if self.served is None:
            raise ApiError("http://127.0.0.1:1 does not answer (Connection refused)")
        return {"data": [{"id": name} for name in self.served]}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def instance(self) -> Instance:
        return Instance(self.run, "chat", self.api, "chat", ["sk-secret"], str(self.folder))

    def wait(self, seconds: float = 60, revision: str | None = None) -> Any:
        waiting = Waiting(
            self.instance, lambda: self.now, self.sleep, lambda stage, text: self.reports.append((stage, text))
        )
        return waiting.until_ready(seconds, revision)


@pytest.mark.parametrize(
    ("unit", "state"),
    [
        (RUNNING, "ready"),
        (LOADING, "loading"),
        (STOPPED, "stopped"),
        (dict(STOPPED, Job="3"), "loading"),
        (RESTARTING, "failed"),
        (dict(RESTARTING, Job="3"), "loading"),
        (FAILED, "failed"),
        (dict(FAILED, Job="3"), "loading"),
        (dict(STOPPED, LoadState="not-found"), "missing"),
        (dict(RUNNING, ActiveState="deactivating", SubState="stop-sigterm"), "loading"),
    ],
)
def test_state(tmp_path: Path, unit: dict[str, str], state: str) -> None:
    assert Host(tmp_path, [unit]).instance.look().state == state


def test_unit_without_files_is_missing(tmp_path: Path) -> None:
    host = Host(tmp_path, [STOPPED])
    (tmp_path / "etc/gpufleet/instances/chat").rmdir()
    assert host.instance.look().state == "missing"


def test_running_unit_that_does_not_answer_has_failed(tmp_path: Path) -> None:
    host = Host(tmp_path, [RUNNING])
    host.served = None
    seen = host.instance.look()
    assert seen.state == "failed" and seen.failure is not None and seen.failure.code == "engine.unresponsive"


@pytest.mark.parametrize(
    ("unit", "running", "starting", "needs"),
    [
        (RUNNING, "r1", "r1", False),
        (RUNNING, "r0", "r0", True),
        (RUNNING, None, None, True),
        (LOADING, None, "r1", False),
        (LOADING, None, "r0", True),
        (STOPPED, None, None, True),
        (RESTARTING, None, "r1", True),
    ],
)
def test_needs_start(tmp_path: Path, unit: dict[str, str], running: Any, starting: Any, needs: bool) -> None:
    host = Host(tmp_path, [unit])
    for name, text in (("revision", running), ("starting", starting)):
        if text is not None:
            (host.run_dir / name).write_text(text + "\n")
    assert host.instance.look().needs_start("r1") is needs


class Slow(Host):
    """Answers the list of models only after ``busy`` seconds of the scripted clock."""

    busy = 20.0

    def api(self, path: str, body: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
        if self.now < self.busy:
            self.now += timeout
            raise ApiError("http://127.0.0.1:1 does not answer (timed out)")
        return super().api(path, body, timeout)

    def look(self, running: str, seconds: float = 60) -> Snapshot:
        (self.run_dir / "revision").write_text(running + "\n")
        return Waiting(self.instance, lambda: self.now, self.sleep, lambda stage, text: None).patiently(seconds, "r1")


def test_busy_engine_at_the_wanted_revision_is_kept(tmp_path: Path) -> None:
    seen = Slow(tmp_path, [RUNNING]).look("r1")
    assert seen.state == "ready" and not seen.needs_start("r1")


def test_engine_that_never_answers_is_started_again(tmp_path: Path) -> None:
    host = Slow(tmp_path, [RUNNING])
    host.busy = 10000
    seen = host.look("r1")
    assert seen.needs_start("r1") and seen.failure is not None and seen.failure.code == "engine.unresponsive"
    assert 60 <= host.now < 100


def test_no_patience_with_an_engine_that_is_started_again_anyway(tmp_path: Path) -> None:
    host = Slow(tmp_path, [RUNNING])
    assert host.look("r0").needs_start("r1") and host.now < 10


def test_no_patience_where_waiting_is_in_vain(tmp_path: Path) -> None:
    host = Slow(tmp_path, [RUNNING, FAILED])
    assert host.look("r1").state == "failed" and host.now < 10
    host.units, host.busy, host.served = [RUNNING], 0, ["other"]
    begun = host.now
    assert host.look("r1").needs_start("r1") and host.now == begun


def test_desired_revision_comes_from_the_unit(tmp_path: Path) -> None:
    unit = dict(RUNNING, Environment='HOME=/x GPUFLEET_REVISION=abc "GPUFLEET_SERVED_NAME=a b"')
    assert Host(tmp_path, [unit]).instance.look().desired_revision == "abc"


def test_wait_goes_on_while_loading_and_shows_the_stage(tmp_path: Path) -> None:
    host = Host(tmp_path, [LOADING, LOADING, RUNNING], ["INFO Starting to load model /m"])
    seen, failure = host.wait()
    assert seen.state == "ready" and failure is None
    assert host.reports == [("load weights", "INFO Starting to load model /m")] * 2


def test_wait_ends_at_once_when_the_engine_died(tmp_path: Path) -> None:
    host = Host(tmp_path, [LOADING, RESTARTING], [OOM, "Bearer sk-secret"])
    seen, failure = host.wait(600)
    assert failure is not None and failure.code == "engine.out_of_memory" and host.now < 3
    assert "sk-secret" not in "".join(seen.journal) and len(seen.journal) == 2


def test_wait_notices_a_restart_between_two_looks(tmp_path: Path) -> None:
    host = Host(tmp_path, [LOADING, dict(LOADING, NRestarts="1")], [OOM])
    _seen, failure = host.wait(600)
    assert failure is not None and failure.code == "engine.out_of_memory" and host.now < 3


def test_wait_does_not_take_an_old_restart_count_for_a_failure(tmp_path: Path) -> None:
    again = dict(LOADING, NRestarts="3")
    assert Host(tmp_path, [again, again, dict(RUNNING, NRestarts="3")]).wait()[1] is None


def test_wait_gives_a_dying_engine_time_to_finish_its_log(tmp_path: Path) -> None:
    host = Host(tmp_path, [LOADING], [OOM])
    _seen, failure = host.wait(600)
    assert failure is not None and failure.code == "engine.out_of_memory" and 15 < host.now < 30


def test_wait_times_out_with_the_last_line(tmp_path: Path) -> None:
    host = Host(tmp_path, [LOADING], ["INFO still compiling"])
    _seen, failure = host.wait(30)
    assert failure is not None and failure.code == "engine.start_timeout" and "still compiling" in failure.evidence


def test_wait_for_a_unit_that_nobody_starts(tmp_path: Path) -> None:
    host = Host(tmp_path, [STOPPED])
    _seen, failure = host.wait(600)
    assert failure is not None and "nothing starts it" in failure.evidence and host.now == 0


def test_ready_at_another_revision_is_not_ready(tmp_path: Path) -> None:
    host = Host(tmp_path, [RUNNING])
    (host.run_dir / "revision").write_text("r0\n")
    _seen, failure = host.wait(5, "r1")
    assert failure is not None and "r0" in failure.evidence
    (host.run_dir / "revision").write_text("r1\n")
    assert host.wait(5, "r1")[1] is None


def test_until_stopped(tmp_path: Path) -> None:
    host = Host(tmp_path, [RUNNING, STOPPED])
    waiting = Waiting(host.instance, lambda: host.now, host.sleep, lambda stage, text: None)
    assert waiting.until_stopped(5)[1]
    host.units = [RUNNING]
    assert not waiting.until_stopped(5)[1]


def test_stage_of() -> None:
    assert stage_of([]) == "start"
    assert (
        stage_of(["Starting to load model x", "Loading weights took 2 s", "CPU KV cache size: 9 tokens"]) == "warm up"
    )


def test_progress_file(tmp_path: Path) -> None:
    write_progress(str(tmp_path / "p"), "warm up", "x")
    assert (tmp_path / "p").read_text().startswith('{"schema": 1, "stage": "warm up"')
    write_progress(None, "warm up", "x")
