"""Deployments of the inventory: merging, checking, defaults."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InventoryError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.merge import merge_deployments
from hypothesis import given
from hypothesis import strategies as st

MODEL = {"id": "org/name"}


def _code(variables: dict[str, Any], **options: Any) -> str:
    with pytest.raises(InventoryError) as caught:
        merge_deployments(variables, **options)
    assert str(caught.value).startswith("[%s] " % caught.value.code)
    return caught.value.code


def test_the_default_deployment() -> None:
    assert merge_deployments({}) == [
        {
            "name": "qwen3-4b",
            "state": "present",
            "served_name": "qwen3-4b",
            "port": 8000,
            "device": "cuda",
            "workload": {},
            "gpus": {},
            "runtime": {"provider": "venv", "version": "0.32.0"},
            "engine_args": {},
            "env": {},
            "start_timeout_seconds": None,
            "model": {
                "source": ["modelscope", "huggingface"],
                "id": "Qwen/Qwen3-4B",
                "revision": None,
                "path": None,
            },
        }
    ]
    assert merge_deployments({"other_variable": 1})[0]["name"] == "qwen3-4b"
    assert merge_deployments({"vllm_deployments": []}) == []


def test_later_variables_refine_the_base_key_by_key() -> None:
    merged = merge_deployments(
        {
            "vllm_deployments": [
                {"name": "a", "model": MODEL, "workload": {"max_model_len": 1024, "concurrency": 4}, "env": {"A": "1"}}
            ],
            "vllm_deployments__site": [{"name": "a", "workload": {"max_model_len": 2048}}],
            "vllm_deployments__team": [{"name": "a", "env": {"B": 2}}, {"name": "b", "model": {"path": "/srv/m/"}}],
        },
        device="cpu",
    )
    assert [entry["name"] for entry in merged] == ["a", "b"]
    assert merged[0]["workload"] == {"max_model_len": 2048, "concurrency": 4}
    assert merged[0]["env"] == {"A": "1", "B": "2"}
    assert merged[1]["model"] == {"source": ["path"], "id": "local/m", "revision": None, "path": "/srv/m"}
    assert {entry["device"] for entry in merged} == {"cpu"}


def test_equal_ranks_may_agree_but_not_differ() -> None:
    base = {"vllm_deployments": [{"name": "a", "model": MODEL, "port": 8000}]}
    same = [{"name": "a", "port": 9000}]
    assert merge_deployments({**base, "vllm_deployments__x": same, "vllm_deployments__y": same})[0]["port"] == 9000
    with pytest.raises(InventoryError) as caught:
        merge_deployments({**base, "vllm_deployments__x": same, "vllm_deployments__y": [{"name": "a", "port": 9001}]})
    assert caught.value.code == "inventory.conflict"
    for part in ("'port'", "vllm_deployments__x", "vllm_deployments__y", "9000", "9001"):
        assert part in str(caught.value)


def test_a_conflict_deep_down_is_found_too() -> None:
    variables = {
        "vllm_deployments": [{"name": "a", "model": MODEL}],
        "vllm_deployments__x": [{"name": "a", "engine_args": {"hf-overrides": {"a": 1}}}],
        "vllm_deployments__y": [{"name": "a", "engine_args": {"hf-overrides": "none"}}],
    }
    assert _code(variables) == "inventory.conflict"
    variables["vllm_deployments__y"] = [{"name": "a", "engine_args": {"hf-overrides": {"b": 1}}}]
    assert merge_deployments(variables)[0]["engine_args"] == {"hf-overrides": {"a": 1, "b": 1}}


def test_ports_are_given_by_slot_and_never_twice() -> None:
    entries = [
        {"name": "c", "model": MODEL},
        {"name": "a", "model": MODEL},
        {"name": "b", "model": MODEL, "port": "8000"},
        {"name": "gone", "state": "absent"},
        {"name": "zz", "state": "ignore"},
    ]
    ports = {entry["name"]: entry["port"] for entry in merge_deployments({"vllm_deployments": entries})}
    assert ports == {"a": 8001, "b": 8000, "c": 8002, "gone": 8003}
    assert merge_deployments({"vllm_deployments": entries[:1]}, port_base=18000)[0]["port"] == 18000


def _merged_ports(entries: list[dict[str, Any]], held: dict[str, int], base: int = 8000) -> dict[str, int]:
    instances = [{"name": name, "port": port, "gpu_uuids": []} for name, port in held.items()]
    merged = merge_deployments({"vllm_deployments": entries}, port_base=base, held=instances)
    return {entry["name"]: entry["port"] for entry in merged}


def test_a_name_keeps_the_port_that_it_has_on_the_host() -> None:
    chat = {"name": "chat", "model": MODEL}
    first = {"name": "alpha", "model": MODEL}
    assert _merged_ports([first, chat], {"chat": 8000}) == {"alpha": 8001, "chat": 8000}
    assert _merged_ports([chat], {"alpha": 8000, "chat": 8001}) == {"chat": 8001}
    # Who asks for a port gets it; who had it without asking moves.
    assert _merged_ports([{**first, "port": 8000}, chat], {"chat": 8000}) == {"alpha": 8000, "chat": 8001}
    # An instance that nobody names may still run; one that is to be removed leaves its port.
    assert _merged_ports([first], {"old": 8000}) == {"alpha": 8001}
    assert _merged_ports([first, {"name": "old", "state": "absent"}], {"old": 8000})["alpha"] == 8000
    assert _merged_ports([chat], {"chat": 8000}, base=9000) == {"chat": 9000}
    assert merge_deployments({"vllm_deployments": [chat]}, held=[{"name": "chat", "port": None}])[0]["port"] == 8000


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.randoms(),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(8000, 8010)),
)
def test_the_order_in_the_inventory_does_not_matter(names: list[str], random: Any, ports: dict[str, int]) -> None:
    taken: set[int] = set()
    entries: list[dict[str, Any]] = []
    for name in names:
        entry: dict[str, Any] = {"name": name, "model": MODEL}
        if name in ports and ports[name] not in taken:
            entry["port"] = ports[name]
            taken.add(ports[name])
        entries.append(entry)
    first = merge_deployments({"vllm_deployments": entries})
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert merge_deployments({"vllm_deployments": shuffled}) == first
    assert len({entry["port"] for entry in first}) == len(first)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"model": MODEL}, "inventory.missing_key"),
        ({"name": "a"}, "inventory.missing_key"),
        ({"name": "a", "model": {}}, "inventory.missing_key"),
        ({"name": "a", "model": {"source": "path", "id": "x/y"}}, "inventory.missing_key"),
        ({"name": "a", "model": {"id": "x/y", "path": "/m"}}, "inventory.conflict"),
        ({"name": "A", "model": MODEL}, "inventory.bad_type"),
        ({"name": "../a", "model": MODEL}, "inventory.bad_type"),
        ({"name": "-a", "model": MODEL}, "inventory.bad_type"),
        ({"name": "a\n", "model": MODEL}, "inventory.bad_type"),
        ({"name": "a" * 64, "model": MODEL}, "inventory.bad_type"),
        ({"name": "models", "model": MODEL}, "inventory.bad_type"),
        ({"name": "instances", "model": MODEL}, "inventory.bad_type"),
        ({"name": "open-webui", "model": MODEL}, "inventory.bad_type"),
        ({"name": "uv", "model": MODEL}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "start_timeout_seconds": 0}, "inventory.bad_type"),
        ({"name": 7, "model": MODEL}, "inventory.bad_type"),
        ({"name": "a", "model": "Qwen/Qwen3-4B"}, "inventory.bad_type"),
        ({"name": "a", "model": {"id": "Qwen3-4B"}}, "inventory.bad_type"),
        ({"name": "a", "model": {"id": "a/../b"}}, "inventory.bad_type"),
        ({"name": "a", "model": {"id": "a/b", "revision": "x/../.."}}, "inventory.bad_type"),
        ({"name": "a", "model": {"path": "relative"}}, "inventory.bad_type"),
        ({"name": "a", "model": {"path": "/"}}, "inventory.bad_type"),
        ({"name": "a", "model": {"source": "github", "id": "x/y"}}, "inventory.bad_type"),
        ({"name": "a", "model": {"source": ["path", "modelscope"], "id": "x/y"}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "modle": 1}, "inventory.unknown_key"),
        ({"name": "a", "model": MODEL, "workload": {"max_len": 1}}, "inventory.unknown_key"),
        ({"name": "a", "model": MODEL, "port": "http"}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "port": 0}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "port": True}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "state": "running"}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "workload": {"concurrency": 1.5}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "gpus": 1}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "gpus": {"indices": []}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "gpus": {"indices": [0, 0]}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "runtime": {"version": 0.32}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "runtime": {"provider": "snap"}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "env": {"A": True}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "env": {"A B": "1"}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "env": {"A": "1\n2"}}, "inventory.bad_type"),
        ({"name": "a", "model": MODEL, "engine_args": ["x"]}, "inventory.bad_type"),
        ("a", "inventory.bad_type"),
    ],
)
def test_mistakes_have_a_code(entry: Any, code: str) -> None:
    assert _code({"vllm_deployments": [entry]}) == code


def test_mistakes_of_the_whole_have_a_code() -> None:
    one = {"name": "a", "model": MODEL}
    assert _code({"vllm_deployments": [one, one]}) == "inventory.duplicate_name"
    assert _code({"vllm_deployments": one}) == "inventory.bad_type"
    two = [{**one, "port": 8000}, {"name": "b", "model": MODEL, "port": 8000}]
    assert _code({"vllm_deployments": two}) == "inventory.duplicate_port"
    assert _code({"vllm_deployments": [one]}, port_base=70000) == "inventory.bad_type"
    assert _code({"vllm_deployments": [one, {"name": "b", "model": MODEL}]}, port_base=65535) == "inventory.bad_type"


def test_bad_types_name_the_path_and_what_was_found() -> None:
    with pytest.raises(InventoryError) as caught:
        merge_deployments(
            {"vllm_deployments__x": [{"name": "a", "model": MODEL, "workload": {"max_model_len": "long"}}]}
        )
    assert "vllm_deployments__x[0].workload.max_model_len" in str(caught.value)
    assert "a string: 'long'" in str(caught.value)


def test_null_is_as_if_the_key_were_absent() -> None:
    entry = {"name": "a", "model": {"id": "x/y", "revision": None}, "port": None, "workload": None}
    assert merge_deployments({"vllm_deployments": [entry]})[0]["port"] == 8000
