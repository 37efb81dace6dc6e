"""Requests put together from what the modules found on a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.compose import build_request
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

GIB = 2**30
HOST: dict[str, Any] = {"memory": {"total_bytes": 64 * GIB}, "cpus": 8, "instances": []}
NO_DRIVER = {
    "code": "gpu.no_driver",
    "message": "1 NVIDIA card(s) on the PCI bus, but no driver",
    "remedy": "Install it",
}


def deployments(**more: Any) -> list[dict[str, Any]]:
    entry = {
        "name": "chat",
        "state": "present",
        "device": "cuda",
        "model": {"id": "Qwen/Qwen3-4B"},
        "runtime": {"version": "0.32.0"},
    }
    return [{**entry, **more}]


def bus(*names: str | None) -> dict[str, Any]:
    devices = [{"pci_bus_id": "0000:0%d:00.0" % n, "device_id": "0", "card": name} for n, name in enumerate(names)]
    return {"gpus": [], "links": [], "reason": NO_DRIVER, "pci_devices": devices}


@pytest.fixture
def models(configs: dict[str, Any]) -> dict[str, Any]:
    return {"chat": {"id": "Qwen/Qwen3-4B", "config": configs["Qwen--Qwen3-4B"]}}


def test_before_there_is_a_driver_the_bus_gives_a_provisional_plan(models: dict[str, Any]) -> None:
    answer = plan(build_request(deployments(), models, HOST, bus("RTX 4090")))
    assert answer["errors"] == []
    assert answer["instances"][0]["memory"]["kv_available_bytes"] > GIB
    assert any("Provisional" in text and "no driver" in text for text in answer["warnings"])


def test_a_host_that_cannot_hold_the_model_is_known_before_it_has_a_driver(models: dict[str, Any]) -> None:
    wanted = deployments(workload={"max_model_len": 40960})
    answer = plan(build_request(wanted, models, HOST, bus("RTX 3070")))
    assert [error["code"] for error in answer["errors"]] == ["plan.does_not_fit"]


@pytest.mark.parametrize("names", [(), ("RTX 4090", None)])
def test_a_card_that_is_not_known_gives_no_plan(models: dict[str, Any], names: tuple[str | None, ...]) -> None:
    answer = plan(build_request(deployments(), models, HOST, bus(*names)))
    assert [error["code"] for error in answer["errors"]] == ["host.no_gpu"]


def test_links_and_the_figures_of_the_last_start_reach_the_planner(models: dict[str, Any]) -> None:
    kept = {
        "schema": 1,
        "vllm_version": "0.32.0",
        "fingerprint": "5d1c",
        "measured": {"weights_bytes": 8 * GIB, "kv_tokens": 65536, "max_concurrency": 3.5},
    }
    host = dict(HOST, instances=[{"name": "chat", "port": 8000, "gpu_uuids": [], "measured": kept}])
    facts = dict(bus(), links=[{"a": 0, "b": 1, "kind": "nvlink", "p2p": True}])
    request = build_request(deployments(), models, host, facts)
    assert request["links"] == facts["links"]
    assert request["measured"] == [
        {
            "deployment": "chat",
            "vllm_version": "0.32.0",
            "fingerprint": "5d1c",
            "weights_bytes": 8 * GIB,
            "kv_tokens": 65536,
        }
    ]
    assert [error["code"] for error in plan(request)["errors"]] == ["host.no_gpu"]
