"""The plan as people read it, on a real answer of the planner."""

from __future__ import annotations

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan_report import report
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.compose import build_request
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.merge import merge_deployments
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.specs import build_specs
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": 2, "hidden_size": 128,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 384, "vocab_size": 320, "head_dim": 64,
    "tie_word_embeddings": True, "max_position_embeddings": 2048, "torch_dtype": "bfloat16",
}  # fmt: skip


def test_every_setting_stands_with_value_source_and_reason() -> None:
    wanted = [
        {"name": "tiny", "model": {"id": "a/tiny"}, "workload": {"max_model_len": 512}},
        {"name": "old", "state": "absent"},
    ]
    deployments = merge_deployments({"vllm_deployments": wanted}, device="cpu")
    found = {"id": "a/tiny", "source": "huggingface", "revision": "c0ffee", "config": CONFIG, "weights_bytes": 1000000}
    host = {"memory": {"total_bytes": 8 * 1024**3}, "cpus": 2}
    answer = plan(build_request(deployments, {"tiny": found}, host, None, "cpu"))
    assert answer["errors"] == []
    text = report(answer, build_specs(answer, deployments, {"tiny": found}), "gpu1")
    lines = text.splitlines()
    assert "gpu1  old: to be removed" in lines
    assert any(line.startswith("gpu1  tiny (present)  http://127.0.0.1:") for line in lines)
    assert "  model    a/tiny @ c0ffee from huggingface" in lines
    row = next(line for line in lines if line.startswith("  max-model-len"))
    assert row.split()[:3] == ["max-model-len", "512", "user"]
    for decision in answer["instances"][0]["decisions"]:
        assert decision["reason"] in text


def test_a_host_without_deployments_says_so() -> None:
    assert report({"instances": [], "warnings": []}, [], "web1") == "web1  nothing to run"
