# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a plan in a real browser: one card, eight, several engines on a card, processors, what cannot work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.artifact import artifact
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.cards import find
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.page import render_page

from tests.lab.lab import REPOSITORY
from tests.tools import browser

MODELS = REPOSITORY / "inventories/scenarios/models"


def deployment(name: str, model: str, **more: Any) -> dict[str, Any]:
    config = json.loads((MODELS / (model + ".json")).read_text())
    return {"name": name, "model": {"id": "Qwen/" + model, "config": config}, **more}


def request(card: str, count: int, *deployments: dict[str, Any], held: int = 0) -> dict[str, Any]:
    known = find(card)
    assert known is not None
    return {
        "vllm_version": "0.32.0",
        "driver_version": "580.95.05",
        "gpus": [known.facts(index, held if index == 0 else 0) for index in range(count)],
        "deployments": list(deployments),
    }


LONG = "a-name-that-is-as-long-as-names-may-be-" + "x" * 24
SHORT: dict[str, Any] = {"workload": {"max_model_len": 8192}}
ONE: dict[str, Any] = {"workload": {"max_model_len": 4096, "concurrency": 1}}
HOSTS: dict[str, dict[str, Any]] = {
    "one": request(
        "RTX 4070",
        1,
        deployment("chat", "Qwen3-4B", engine_args={"quantization": "fp8_per_tensor"}, **ONE),
        held=500 * 2**20,
    ),
    "eight": request("RTX 4090", 8, deployment("large", "Qwen3-235B-A22B-AWQ", gpus={"count": 8}, **SHORT)),
    "shared": request(
        "H100 80GB",
        1,
        deployment("small", "Qwen3-4B", gpus={"count": 1, "share": 0.3}, **SHORT),
        deployment(LONG, "Qwen3-8B", gpus={"count": 1, "share": 0.5}, **SHORT),
    ),
    "infeasible": request(
        "RTX 4070",
        1,
        deployment("large", "Qwen3-8B"),
        deployment(LONG, "Qwen3-4B", engine_args={"enable-kv-cache": True}),
    ),
    "processors": {
        "vllm_version": "0.32.0",
        "gpus": [],
        "host": {"memory_bytes": 24 * 2**30, "cpus": 2},
        "runtime": {"device": "cpu"},
        "deployments": [deployment("chat", "Qwen3-4B")],
    },
}


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> dict[str, list[dict[str, Any]]]:
    """What a browser shows of each host's page, by host."""
    folder = tmp_path_factory.mktemp("pages")
    for name, asked in HOSTS.items():
        page = render_page(artifact(name, plan(asked), asked))
        (folder / (name + ".html")).write_text(page, encoding="utf-8")
    files = [str(folder / (name + ".html")) for name in HOSTS]
    done = subprocess.run(["node", "plan.js", str(artifacts), *files], cwd=browser.ready(), text=True,
                          capture_output=True, check=False, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for view in json.loads(done.stdout):
        found.setdefault(Path(view["file"]).stem, []).append(view)
    return found


@pytest.mark.parametrize("name", HOSTS)
def test_the_page_opens_from_a_file_and_asks_for_nothing(views: dict[str, list[dict[str, Any]]], name: str) -> None:
    assert len(views[name]) == 4
    for view in views[name]:
        assert view["asked"] == 1, "more than the file itself was asked for"
        assert view["said"] == []
        assert view["title"] == "Plan of " + name


@pytest.mark.parametrize("name", HOSTS)
def test_it_fits_wide_and_narrow_and_is_read_light_and_dark(views: dict[str, list[dict[str, Any]]], name: str) -> None:
    for view in views[name]:
        assert view["overflow"] == 0, view["view"]
        assert view["faint"] == [], view["view"]


def test_every_card_has_its_bar(views: dict[str, list[dict[str, Any]]]) -> None:
    for name, count in (("one", 1), ("eight", 8), ("shared", 1), ("infeasible", 1), ("processors", 1)):
        for view in views[name]:
            assert len(view["bars"]) == count
            for bar in view["bars"]:
                assert bar["label"].endswith("left")
                assert bar["filled"] <= bar["width"] + 1
                assert (bar["pieces"] == 0) == (name == "infeasible")
    assert views["shared"][0]["bars"][0]["pieces"] >= 8


def test_what_cannot_work_stands_first(views: dict[str, list[dict[str, Any]]]) -> None:
    text = views["infeasible"][0]["text"]
    assert text.index("plan.does_not_fit") < text.index("Memory of each GPU")
    assert "plan.removed_engine_argument" in text
    assert "Cannot be deployed" in text
