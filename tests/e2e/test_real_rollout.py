# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves, roll-back and dying engines on three hosts with the real engine and a random tiny model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import start_hosts, start_hub
from tests.e2e.test_rollout import HOSTS, Fleet
from tests.lab import host, layers
from tests.lab.lab import LabError
from tests.lab.testing import fresh_lab

pytestmark = [pytest.mark.lab, pytest.mark.full]

LAYER = "e2e-vllm"


@pytest.fixture(scope="module")
def layer(models: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The files of a host that has the runtime; kept for the next time."""
    try:
        layers.describe(LAYER)
    except LabError:
        with fresh_lab("e2e-real-maker") as lab:
            start_hosts(lab, ["maker"])
            maker = Fleet(lab, tmp_path_factory.mktemp("maker"), [])
            maker.describe_fleet(["maker"], start_hub(lab, models))
            maker.run("prepare").must_pass()
            host.stop(lab, ["maker"])
            layers.snapshot(lab, "maker", LAYER)
    return LAYER


@pytest.fixture(scope="module")
def fleet(layer: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fresh_lab("e2e-real") as lab:
        start_hosts(lab, HOSTS, net="bridge", layer=layer)
        root = tmp_path_factory.mktemp("models")
        shutil.copytree(models / "gpufleet", root / "gpufleet")
        misfit(root / "gpufleet/tiny-qwen3", root / "gpufleet/misfit")
        fleet = Fleet(lab, tmp_path_factory.mktemp("real"), [])
        fleet.describe_fleet(HOSTS, start_hub(lab, root, bridge=True))
        fleet.roll_out(variables=wanted()).must_pass()
        yield fleet


def misfit(good: Path, bad: Path) -> None:
    """A model whose configuration wants a layer that its weights do not have."""
    shutil.copytree(good, bad)
    config = json.loads((bad / "config.json").read_text())
    config["num_hidden_layers"] += 1
    config.pop("layer_types", None)
    (bad / "config.json").write_text(json.dumps(config))


def wanted(tokens: int = 512, **changes: Any) -> dict[str, Any]:
    return {"vllm_deployments__test": [{"name": "tiny", "workload": {"max_model_len": tokens}, **changes}]}


def test_a_canary_with_a_bad_model_gets_its_last_good_engine_back(fleet: Fleet) -> None:
    before = fleet.states()
    result = fleet.roll_out(variables=wanted(model={"id": "gpufleet/misfit"}))
    assert result.status != 0
    assert {(code.partition(".")[0], name) for code, name in result.codes} == {("engine", "gpu1")}
    assert "Last lines of its journal" in result.output
    after = fleet.states()
    assert after["gpu1"] == {**before["gpu1"], "pid": after["gpu1"]["pid"]}
    assert after["gpu1"]["pid"] != before["gpu1"]["pid"]
    assert (after["gpu2"], after["gpu3"]) == (before["gpu2"], before["gpu3"])


def test_a_changed_value_reaches_all_hosts(fleet: Fleet) -> None:
    fleet.roll_out(variables=wanted(640)).must_pass()
    assert {state["length"] for state in fleet.states().values()} == {640}
