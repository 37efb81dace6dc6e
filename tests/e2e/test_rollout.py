# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves, roll-back and recovery on three hosts of a closed network.

The engine is a stand-in that starts in a moment and dies on request; everything else is real. The same story with the
real engine is in test_real_rollout.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import Result, Site, start_hosts, start_hub
from tests.lab.lab import REPOSITORY
from tests.lab.testing import fresh_lab

pytestmark = pytest.mark.lab

ROLLOUT = "tests/e2e/rollout.yml"
HOSTS = ("gpu1", "gpu2", "gpu3")
UNIT = "vllm@tiny.service"
RUNTIME = "/opt/gpufleet/runtimes/venv-0.32.0-cpu"
OUT_OF_MEMORY = {"log": ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."], "exit": 1}

# Where a run is killed: from the first change on a host to the last.
MOMENTS = (
    "install | Fetch what is missing",
    "Install | Keep the template unit",
    "Configure | Write the files of the instance",
    "Configure | Keep the drop-in of the instance",
    "Service | See what runs",
    "Start | Start the unit",
    "Start | Wait until it has answered",
    "Start | Record what has proved itself",
)


def length(tokens: int, fault: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Variables that change one value, and make the engine die at its next start where a fault is given."""
    changed: dict[str, Any] = {"name": "tiny", "workload": {"max_model_len": tokens}}
    if fault:
        changed["env"] = {"FAKE_ENGINE": json.dumps(fault)}
    return {"vllm_deployments__test": [changed]}


class Fleet(Site):
    """Three hosts that have a runtime, whose engine is the stand-in."""

    def prepare(self, hub: str) -> None:
        engine = (REPOSITORY / "tests/fakes/engine.py").read_text()
        for name in HOSTS:
            self.inside(name, "mkdir", "-p", f"{RUNTIME}/bin")
            self.inside(
                name, "sh", "-c", f"cat > {RUNTIME}/bin/vllm <<'END'\n{engine}END\nchmod 755 {RUNTIME}/bin/vllm"
            )
            self.inside(name, "sh", "-c", f"echo '{{}}' > {RUNTIME}/.gpufleet.json")
        self.describe_fleet(HOSTS, hub)

    def describe_fleet(self, names: Sequence[str], hub: str) -> None:
        self.describe(
            names,
            {"gpu_hosts": names},
            vllm_device="cpu",
            gpufleet_hub_endpoints={"huggingface": [hub]},
            vllm_deployments=[{"name": "tiny", "model": {"id": "gpufleet/tiny-qwen3", "source": "huggingface"}}],
        )

    def roll_out(self, *arguments: str, variables: Mapping[str, Any] | None = None) -> Result:
        return self.run(ROLLOUT, *arguments, variables=variables)

    def state(self, name: str) -> dict[str, Any]:
        """What a host has: process, running and desired revision, the last good one, and its context length."""
        show = self.inside(
            name, "sh", "-c", f"systemctl show -P MainPID {UNIT}; cat /run/gpufleet/tiny/revision || true; echo"
        )
        good = json.loads(self.inside(name, "cat", "/var/lib/gpufleet/tiny/last_good.json"))
        config = self.inside(name, "cat", "/etc/gpufleet/instances/tiny/config.yaml")
        pid, revision = show.split()
        return {
            "pid": int(pid),
            "running": revision,
            "last_good": good["spec"]["revision"],
            "length": int(config.partition("max-model-len:")[2].split()[0]),
        }

    def states(self) -> dict[str, dict[str, Any]]:
        return {name: self.state(name) for name in HOSTS}


@pytest.fixture(scope="module")
def fleet(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fresh_lab("e2e-rollout") as lab:
        start_hosts(lab, HOSTS, net="bridge")
        fleet = Fleet(lab, tmp_path_factory.mktemp("rollout"), [])
        fleet.prepare(start_hub(lab, models, bridge=True))
        yield fleet


@pytest.fixture(scope="module")
def running(fleet: Fleet) -> Fleet:
    result = fleet.roll_out(variables=length(4096)).must_pass()
    assert order(result) == ["gpu1", "gpu2", "gpu3"]
    return fleet


def order(result: Result) -> list[str]:
    """Hosts in the order in which their engine was started."""
    found = []
    for part in result.output.split("\nTASK [")[1:]:
        if "Start | Start the unit" in part.partition("]")[0]:
            found += [name for name in HOSTS if f"changed: [{name}]" in part]
    return found


def test_everything_runs_and_a_second_run_changes_nothing(running: Fleet) -> None:
    before = running.states()
    assert {state["length"] for state in before.values()} == {4096}
    assert all(state["running"] == state["last_good"] for state in before.values())
    assert set(running.roll_out(variables=length(4096)).must_pass().count("changed").values()) == {0}
    assert running.states() == before


def test_a_canary_that_fails_gets_its_last_good_engine_back_and_stops_the_rest(running: Fleet) -> None:
    before = running.states()
    result = running.roll_out(variables=length(1024, OUT_OF_MEMORY))
    assert result.status != 0
    assert result.codes == {("engine.out_of_memory", "gpu1")}, result.output[-5000:]
    after = running.states()
    assert after["gpu1"] == {**before["gpu1"], "pid": after["gpu1"]["pid"]}
    assert after["gpu1"]["pid"] not in (0, before["gpu1"]["pid"])
    assert (after["gpu2"], after["gpu3"]) == (before["gpu2"], before["gpu3"])


def test_a_host_that_fails_later_stops_those_behind_it_and_a_killed_run_heals(running: Fleet) -> None:
    before = running.states()
    broken = json.dumps(length(2048, OUT_OF_MEMORY)["vllm_deployments__test"])
    good = json.dumps(length(2048)["vllm_deployments__test"])
    by_host = "{{ (__broken if inventory_hostname == 'gpu2' else __good) | from_json }}"
    result = running.roll_out(variables={"vllm_deployments__test": by_host, "__broken": broken, "__good": good})
    assert result.codes == {("engine.out_of_memory", "gpu2")}, result.output[-5000:]
    after = running.states()
    assert after["gpu1"]["length"] == 2048
    assert after["gpu2"] == {**before["gpu2"], "pid": after["gpu2"]["pid"]}
    assert after["gpu3"] == before["gpu3"]
    heals(running, "Start | Wait until it has answered", 2048, host="gpu2")


def test_nothing_is_touched_while_one_host_has_a_problem(running: Fleet) -> None:
    before = running.states()
    other = [{"name": "zeta", "model": {"id": "gpufleet/none", "source": "huggingface"}}]
    by_host = "{{ (__other if inventory_hostname == 'gpu3' else '[]') | from_json }}"
    variables = {**length(512), "vllm_deployments__gpu3": by_host, "__other": json.dumps(other)}
    result = running.roll_out(variables=variables)
    assert result.codes == {("model.not_found", "gpu3")}
    assert set(result.count("changed").values()) == {0}
    assert running.states() == before


def heals(fleet: Fleet, moment: str, tokens: int, host: str = "gpu1") -> None:
    """A run that is killed at ``moment`` and started again ends in the same state as one that was not."""
    variables = length(tokens)
    fleet.inside(host, "rm", "-rf", "/var/lib/gpufleet/models")  # so that there is something to fetch
    fleet.run_until(ROLLOUT, moment, variables=variables)
    fleet.roll_out(variables=variables).must_pass()
    states = fleet.states()
    assert {state["length"] for state in states.values()} == {tokens}
    for name, state in states.items():
        wanted = fleet.inside(name, "systemctl", "show", "-P", "Environment", UNIT)
        assert f"GPUFLEET_REVISION={state['running']}" in wanted
        assert state["running"] == state["last_good"]


@pytest.mark.full
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_point_ends_in_the_same_state(running: Fleet, moment: str) -> None:
    tokens = 800 + 8 * MOMENTS.index(moment)
    heals(running, moment, tokens)
    assert set(running.roll_out(variables=length(tokens)).must_pass().count("changed").values()) == {0}


@pytest.mark.full
def test_a_host_may_ask_for_its_wave(running: Fleet) -> None:
    waves = {"vllm_wave": "{{ {'gpu3': 'canary', 'gpu2': 'early', 'gpu1': 'main'}[inventory_hostname] }}"}
    result = running.roll_out(variables={**length(1536), **waves}).must_pass()
    assert order(result) == ["gpu3", "gpu2", "gpu1"]
