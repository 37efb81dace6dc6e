"""Invalid and hostile requests: one sentence, exit status 2, never a traceback."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.catalogue import catalogue
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import parse_request
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[3]


def _changed(request: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    out = copy.deepcopy(request)
    target: Any = out
    keys = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in keys[:-1]:
        target = target[key]
    if value is ...:
        del target[keys[-1]]
    else:
        target[keys[-1]] = value
    return out


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("vllm_version", ...),
        ("gpus", ...),
        ("deployments", ...),
        ("deployments/0/name", ...),
        ("deployments/0/model", ...),
        ("deployments/0/model/config", ...),
        ("surprise", 1),
        ("deployments/0/surprise", 1),
        ("deployments/0/model/surprise", 1),
        ("gpus/0/surprise", 1),
        ("vllm_version", 0.32),
        ("vllm_version", "latest"),
        ("vllm_version", "0.1.0"),
        ("gpus", {}),
        ("gpus/0/index", "0"),
        ("gpus/0/index", True),
        ("gpus/0/index", -1),
        ("gpus/0/memory_total_bytes", "24G"),
        ("gpus/0/memory_total_bytes", float("nan")),
        ("gpus/0/memory_total_bytes", float("inf")),
        ("gpus/0/memory_total_bytes", 10),
        ("gpus/0/memory_total_bytes", 2**70),
        ("gpus/0/compute_capability", 8.9),
        ("gpus/0/compute_capability", "ampere"),
        ("deployments/0/gpus", {"count": 0}),
        ("deployments/0/gpus", {"count": 1, "indices": [0]}),
        ("deployments/0/workload", {"max_model_len": 0}),
        ("deployments/0/workload", {"max_model_len": "4K"}),
        ("deployments/0/workload", []),
        ("deployments/0/engine_args", []),
        ("deployments/0/model/weights_bytes", -1),
        ("deployments/0/model/tensors", {"a": {"dtype": "BF16"}}),
        ("deployments/0/model/tensors", {"a": {"dtype": "BF16", "shape": [-1]}}),
        ("deployments/0/model/config", "{}"),
        ("deployments/0/model/config/model_type", ...),
        ("deployments/0/model/config/hidden_size", ...),
        ("deployments/0/model/config/num_hidden_layers", 10**6),
        ("deployments/0/model/config/num_hidden_layers", "36"),
        ("deployments/0/model/config/num_hidden_layers", float("nan")),
        ("deployments/0/model/config/num_hidden_layers", 0),
        ("deployments/0/model/config/num_attention_heads", 0),
        ("deployments/0/model/config/vocab_size", 10**30),
        ("deployments/0/model/config/torch_dtype", ["bfloat16"]),
        ("deployments/0/model/config/architectures", "Qwen3ForCausalLM"),
        ("deployments/0/gpus", {"share": 2}),
        ("deployments/0/env", []),
        ("placement", []),
        ("placement", {"a": ["GPU-0"]}),
        ("placement", {"a": {"uuids": [0]}}),
        ("links", {}),
        ("links", [{"a": 0}]),
        ("links", [{"a": 0, "b": 1, "p2p": "yes"}]),
        ("measured", {}),
        ("measured", [{"deployment": "a"}]),
        ("measured", [{"deployment": "a", "vllm_version": "0.32.0", "weights_bytes": "8G"}]),
        ("measured", [{"deployment": "a", "vllm_version": "0.32.0", "surprise": 1}]),
        ("measured", [{"deployment": "a", "vllm_version": "0.32.0", "kv_tokens": float("nan")}]),
        ("runtime", {"device": "tpu"}),
        ("host", {"memory_bytes": 0}),
    ],
)
def test_a_wrong_request_is_told_in_one_sentence(gpu_request: dict[str, Any], path: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(_changed(gpu_request, path, value))
    assert 10 < len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_names_and_indices_are_unique(gpu_request: dict[str, Any]) -> None:
    for key in ("deployments", "gpus"):
        request = copy.deepcopy(gpu_request)
        request[key] *= 2
        with pytest.raises(InvalidRequest, match="twice"):
            plan(request)


def test_cycles_and_bombs_are_refused(cpu_request: dict[str, Any]) -> None:
    config = cpu_request["deployments"][0]["model"]["config"]
    config["self"] = config
    with pytest.raises(InvalidRequest, match="nested"):
        plan(cpu_request)
    bomb: Any = 0
    for _level in range(20):
        bomb = [bomb] * 4
    config["self"] = bomb
    with pytest.raises(InvalidRequest, match="more than"):
        plan(cpu_request)


def _hostile() -> dict[str, Any]:
    """Configs that a hub could hand over."""
    config = {
        "model_type": "qwen3",
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 2,
        "vocab_size": 9,
    }
    deep: Any = 1
    for _level in range(40):
        deep = {"text_config": deep}
    return {
        "a million layers": {**config, "num_hidden_layers": 10**6},
        "no layers": {**config, "num_hidden_layers": 0},
        "layers that are no number": {**config, "num_hidden_layers": float("nan")},
        "layers in words": {**config, "num_hidden_layers": "two"},
        "endless width": {**config, "hidden_size": float("inf")},
        "a width beyond all cards": {**config, "hidden_size": 10**18},
        "heads below zero": {**config, "num_attention_heads": -8},
        "no heads": {**config, "num_attention_heads": 0},
        "nested in itself": {**config, **deep},
        "too large": {**config, "architectures": ["Qwen3ForCausalLM"] * 300_000},
        "no type": {"num_hidden_layers": 2},
        "a type that is a list": {**config, "model_type": ["qwen3"]},
    }


@pytest.mark.parametrize("what", list(_hostile()))
def test_hostile_configs_end_in_one_sentence(gpu_request: dict[str, Any], what: str) -> None:
    gpu_request["deployments"][0]["model"]["config"] = _hostile()[what]
    with pytest.raises(InvalidRequest) as caught:
        plan(gpu_request)
    assert "\n" not in str(caught.value)
    done = _run(json.dumps(gpu_request).encode())
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"[plan.invalid_request] ")
    assert done.stderr.count(b"\n") == 1


def test_no_gpus_is_a_host_without_one(gpu_request: dict[str, Any]) -> None:
    gpu_request["gpus"] = []
    done = _run(json.dumps(gpu_request).encode())
    assert done.returncode == 3
    assert json.loads(done.stdout)["errors"][0]["code"] == "host.no_gpu"


def test_no_deployments_need_no_plan() -> None:
    assert plan({"vllm_version": "0.32.0", "gpus": [], "deployments": []})["instances"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = set(catalogue((0, 32, 0)).kinds)
PLACES = (
    "vllm_version",
    "gpus",
    "gpus/0",
    "gpus/0/name",
    "gpus/0/processes",
    "gpus/0/memory_free_bytes",
    "deployments",
    "deployments/0",
    "host",
    "runtime",
    "deployments/0/engine_args",
    "deployments/0/gpus",
    "deployments/0/workload",
    "deployments/0/model",
    "deployments/0/model/tensors",
    "deployments/0/model/config",
    "deployments/0/model/config/head_dim",
    "deployments/0/model/config/rope_scaling",
    "deployments/0/model/config/layer_types",
    "deployments/0/model/config/quantization_config",
    "deployments/0/model/config/sliding_window",
    "deployments/0/model/config/text_config",
    "deployments/0/model/config/tie_word_embeddings",
    "deployments/0/model/config/num_experts",
)


@settings(max_examples=300)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_nothing_but_an_answer_or_a_sentence(configs: dict[str, Any], place: str, value: Any) -> None:
    request = {
        "vllm_version": "0.32.0",
        "gpus": [{"index": 0, "name": "GPU", "memory_usable_bytes": 24 * 10**9}],
        "deployments": [{"name": "a", "model": {"config": configs["Qwen--Qwen3-4B"]}}],
    }
    try:
        answer = plan(_changed(request, place, value))
    except InvalidRequest:
        return
    json.dumps(answer, allow_nan=False)


@settings(max_examples=300)
@given(
    arguments=st.dictionaries(st.sampled_from(sorted(NAMES)) | st.text(max_size=8), JSON, max_size=3), cpu=st.booleans()
)
def test_any_engine_arguments_give_an_answer(configs: dict[str, Any], arguments: dict[str, Any], cpu: bool) -> None:
    request = {
        "vllm_version": "0.32.0",
        "gpus": [{"index": 0, "name": "GPU", "memory_usable_bytes": 24 * 10**9}],
        "host": {"memory_bytes": 24 * 10**9},
        "runtime": {"device": "cpu" if cpu else "cuda"},
        "deployments": [{"name": "a", "model": {"config": configs["Qwen--Qwen3-4B"]}, "engine_args": arguments}],
    }
    try:
        json.dumps(plan(request), allow_nan=False)
    except InvalidRequest as error:
        assert "engine_args" in str(error)


def _run(text: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "plugins" / "module_utils"))
    command = [sys.executable, "-m", "_planner", "plan", *arguments]
    return subprocess.run(command, input=text, capture_output=True, env=environment, check=False, timeout=60)


def test_the_command_line_answers_with_its_exit_status(cpu_request: dict[str, Any], tmp_path: Path) -> None:
    done = _run(json.dumps(cpu_request).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["instances"][0]["name"] == "a"
    file = tmp_path / "request.json"
    file.write_text(json.dumps(cpu_request))
    table = _run(b"", str(file), "--format", "table")
    assert table.returncode == 0
    assert table.stdout.startswith(b"a: vLLM 0.32.0 on ")
    cpu_request["host"]["memory_bytes"] = 2**30
    done = _run(json.dumps(cpu_request).encode())
    assert done.returncode == 3
    assert json.loads(done.stdout)["errors"][0]["code"] == "host.memory"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"NaN",
        b'{"vllm_version": NaN}',
        b"[" * 100000,
        b'{"a": 1' + b"0" * 5000 + b"}",
    ],
)
def test_the_command_line_refuses_nonsense_without_a_traceback(text: bytes) -> None:
    done = _run(text)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"[plan.invalid_request] ")
    assert done.stderr.count(b"\n") == 1


def test_a_missing_file_is_a_sentence_too(tmp_path: Path) -> None:
    done = _run(b"", str(tmp_path / "none.json"))
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_headers_of_the_largest_models_are_read_in_time(gpu_request: dict[str, Any]) -> None:
    """100,000 tensors, as a model of many experts in FP8 has them."""
    layer = "model.layers.%d.mlp.experts.%d.%s"
    gpu_request["deployments"][0]["model"]["tensors"] = {
        layer % (index // 1000, index % 1000, "down_proj.weight"): {
            "dtype": "F8_E4M3", "shape": [64, 64], "data_offsets": [0, 4096]
        }
        for index in range(100_000)
    }  # fmt: skip
    started = time.process_time()
    request = parse_request(gpu_request)
    assert time.process_time() - started < 2
    assert len(request.deployments[0].model.tensors or ()) == 100_000
