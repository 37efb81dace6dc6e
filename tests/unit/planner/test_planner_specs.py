"""Instance specs and the filters and module that lead to them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.filter import (
    instance_specs,
    merge_deployments,
    plan_request,
    public_specs,
    vllm_plan,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.specs import (
    revision,
    start_timeout_seconds,
)

ROOT = Path(__file__).resolve().parents[3]
GIB = 2**30
FOUND = {"id": "Qwen/Qwen3-4B", "source": "huggingface", "revision": "0123abc", "path": None}


def _chain(configs: dict[str, Any], entries: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    """What the playbooks do, filter by filter, on a CPU host of 24 GiB."""
    deployments = merge_deployments.merge({"vllm_deployments": entries}, device="cpu")
    models = {entry["name"]: {**FOUND, "config": configs["Qwen--Qwen3-4B"]} for entry in entries}
    host = {"memory": {"total_bytes": 24 * GIB}, "cpus": 2}
    request = plan_request.plan_request(deployments, models, host, {"gpus": [], "reason": None}, "cpu")
    answer = vllm_plan.vllm_plan(request)
    return instance_specs.instance_specs(answer, deployments, models, **options)


@pytest.fixture
def entry() -> dict[str, Any]:
    return {"name": "chat", "model": {"id": "Qwen/Qwen3-4B"}, "env": {"DO_NOT_TRACK": "0", "MINE": "1"}}


def test_a_spec_has_the_shape_of_the_architecture(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    (spec,) = _chain(configs, [entry], bind_address="10.0.0.5", allow_from=["10.0.0.7"])
    model_path = "/var/lib/gpufleet/models/Qwen/Qwen3-4B/0123abc"
    config = spec.pop("config")
    assert len(spec.pop("revision")) == 64
    assert spec == {
        "name": "chat",
        "state": "present",
        "runtime": {
            "provider": "venv",
            "version": "0.32.0",
            "build": "cpu",
            "exec": ["/opt/gpufleet/runtimes/venv-0.32.0-cpu/bin/vllm", "serve"],
        },
        "model": {"id": "Qwen/Qwen3-4B", "source": "huggingface", "revision": "0123abc", "path": model_path},
        "served_name": "chat",
        "host": "10.0.0.5",
        "port": 8000,
        "allow_from": ["10.0.0.7"],
        "device": "cpu",
        "gpu_uuids": [],
        "env": {
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "0",
            "TORCHDYNAMO_DISABLE": "1",
            "MINE": "1",
        },
        "start_timeout_seconds": 420,
    }
    assert {key: config[key] for key in ("model", "served-model-name", "host", "port")} == {
        "model": model_path,
        "served-model-name": "chat",
        "host": "10.0.0.5",
        "port": 8000,
    }
    assert config["enforce-eager"] is True
    assert list(config) == sorted(config)


def test_the_revision_follows_everything_but_the_state(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    def of(change: dict[str, Any], **options: Any) -> str:
        return _chain(configs, [{**copy.deepcopy(entry), **change}], **options)[0]["revision"]

    base = of({})
    assert of({}) == base
    assert of({"state": "stopped"}) == base
    others = [
        of({"workload": {"max_model_len": 2048}}),
        of({"port": 8001}),
        of({"env": {}}),
        of({"served_name": "other"}),
        of({}, bind_address="10.0.0.5"),
        of({}, allow_from=["localhost", "10.0.0.7"]),
        of({}, key_digest="a"),
        of({}, key_digest="b"),
        of({}, unit_digest="a"),
    ]
    assert len({base, *others}) == len(others) + 1


def test_the_order_of_addresses_is_no_new_revision(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    (one,) = _chain(configs, [entry], allow_from=["localhost", "10.0.0.7", "10.0.0.20", "10.0.0.7"])
    (other,) = _chain(configs, [entry], allow_from=["10.0.0.20", "10.0.0.7", "localhost"])
    assert one == other
    assert one["allow_from"] == ["10.0.0.20", "10.0.0.7", "localhost"]


def test_the_inventory_may_give_a_start_more_time(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    (spec,) = _chain(configs, [{**entry, "start_timeout_seconds": "1800"}])
    assert spec["start_timeout_seconds"] == 1800


def test_the_file_says_what_vllm_would_lose(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    arguments = {"enable-prefix-caching": False, "allowed-origins": ["*"], "cudagraph-capture-sizes": [1, 2], "seed": 0}
    config = _chain(configs, [{**entry, "engine_args": arguments}])[0]["config"]
    assert "enable-prefix-caching" not in config
    assert config["no-enable-prefix-caching"] is True
    assert config["allowed-origins"] == '["*"]'
    assert (config["cudagraph-capture-sizes"], config["seed"]) == ([1, 2], 0)


def test_a_plan_to_keep_shows_no_value_of_the_environment(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    specs = _chain(configs, [{**entry, "env": {"HF_TOKEN": "s3cret"}}, {"name": "gone", "state": "absent"}])
    shown = public_specs.public_specs(specs)
    assert "s3cret" not in json.dumps(shown)
    assert shown[0]["env"] == {**specs[0]["env"], "HF_TOKEN": "(hidden)"}
    assert specs[0]["env"]["HF_TOKEN"] == "s3cret"
    assert shown[1] == specs[1]
    plan_play = yaml.safe_load((ROOT / "playbooks" / "plan.yml").read_text())[-1]
    assert "public_specs" in plan_play["vars"]["__flow_public_specs"]


def test_canonical_json_makes_the_revision() -> None:
    assert revision({"b": 1, "a": "ä"}) == revision({"a": "ä", "b": 1})
    assert revision({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_absent_and_local_deployments(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    gone = {"name": "gone", "state": "absent"}
    specs = _chain(configs, [entry, gone])
    assert [(spec["name"], spec["state"]) for spec in specs] == [("chat", "present"), ("gone", "absent")]
    assert set(specs[1]) == {"name", "state", "served_name", "host", "port", "device", "revision"}

    deployments = merge_deployments.merge(
        {"vllm_deployments": [{"name": "l", "model": {"path": "/srv/m"}}]}, device="cpu"
    )
    models = {
        "l": {"id": "m", "source": "path", "revision": "f00", "path": "/srv/m", "config": configs["Qwen--Qwen3-4B"]}
    }
    host = {"memory": {"total_bytes": 24 * GIB}, "cpus": 2}
    answer = vllm_plan.vllm_plan(plan_request.plan_request(deployments, models, host, {}, "cpu"))
    (spec,) = instance_specs.instance_specs(answer, deployments, models)
    assert spec["model"] == {"id": "m", "source": "path", "revision": "f00", "path": "/srv/m"}
    assert spec["config"]["model"] == "/srv/m"


def test_what_was_not_planned_has_no_spec(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^\[plan\.unknown_engine_argument\] .*Did you mean max-model-len"):
        _chain(configs, [{**entry, "engine_args": {"max-modle-len": 1}}])
    with pytest.raises(AnsibleFilterError, match=r"^\[plan\.missing\]"):
        instance_specs.instance_specs({"instances": []}, merge_deployments.merge({}), {})


def test_filters_tell_mistakes_with_their_code() -> None:
    with pytest.raises(AnsibleFilterError, match=r"^\[inventory\.bad_type\]"):
        merge_deployments.merge({"vllm_deployments": 1})
    with pytest.raises(AnsibleFilterError, match=r"^\[plan\.invalid_request\] request lacks"):
        vllm_plan.vllm_plan({})


def test_a_big_model_may_start_long() -> None:
    assert start_timeout_seconds(0, "cpu") == 300
    assert start_timeout_seconds(0, "cuda") == 600
    assert start_timeout_seconds(100 * 10**9, "cuda") == 1620
    assert start_timeout_seconds(1, "cpu") == 360


def test_facts_of_a_host_without_gpu_reach_the_error(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    deployments = merge_deployments.merge({"vllm_deployments": [entry]})
    models = {"chat": {**FOUND, "config": configs["Qwen--Qwen3-4B"]}}
    facts = {
        "gpus": [],
        "driver_version": None,
        "reason": {"code": "gpu.x", "message": "No driver", "remedy": "Install it"},
    }
    request = plan_request.plan_request(deployments, models, {"memory": {"total_bytes": GIB}, "cpus": 2}, facts)
    (error,) = vllm_plan.vllm_plan(request)["errors"]
    assert (error["code"], error["remedies"][0]) == ("host.no_gpu", "Install it")
    assert "No driver" in error["message"]


def test_the_request_knows_the_units_of_the_run_and_the_gpus_they_have(entry: dict[str, Any]) -> None:
    deployments = merge_deployments.merge({"vllm_deployments": [entry, {"name": "old", "state": "absent"}]})
    host = {"instances": [{"name": "chat", "port": 8000, "gpu_uuids": ["GPU-3"]}, {"name": "other", "port": 8001}]}
    request = plan_request.plan_request(deployments, {}, host)
    assert request["units"] == ["vllm@chat.service", "vllm@old.service"]
    (deployment,) = request["deployments"]
    assert deployment["placement"] == {"uuids": ["GPU-3"]}
    assert deployment["runtime"] == {"version": "0.32.0", "build": "cu130"}


def test_facts_of_gpus_are_taken_as_they_come(configs: dict[str, Any], entry: dict[str, Any]) -> None:
    gpu = {
        "index": 0,
        "uuid": "GPU-0",
        "name": "NVIDIA H100 80GB HBM3",
        "pci_bus_id": "0000:01:00.0",
        "memory_total_bytes": 85520809984,
        "memory_reserved_bytes": 491195270,
        "memory_free_bytes": 84492743802,
        "compute_capability": "9.0",
        "mig": False,
        "ecc": None,
        "display": None,
        "numa_node": 0,
        "processes": [{"pid": 1, "kind": "compute", "memory_bytes": None}],
    }
    deployments = merge_deployments.merge({"vllm_deployments": [entry]})
    models = {"chat": {**FOUND, "config": configs["Qwen--Qwen3-4B"]}}
    facts = {"gpus": [gpu], "driver_version": "580.95.05", "reason": None, "links": []}
    request = plan_request.plan_request(deployments, models, {"memory": {"total_bytes": GIB}, "cpus": 2}, facts)
    answer = vllm_plan.vllm_plan(request)
    (spec,) = instance_specs.instance_specs(answer, deployments, models)
    assert spec["gpu_uuids"] == ["GPU-0"]
    assert spec["runtime"]["build"] == "cu130"
    json.dumps(spec)
