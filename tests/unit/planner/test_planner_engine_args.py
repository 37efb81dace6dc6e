"""Engine arguments: what the linter takes, converts and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments import lint as engine_args
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import PlanError

RELEASE = (0, 32, 0)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"max-model-len": "4K"}, {"max-model-len": 4096}),
        ({"max-model-len": "4k"}, {"max-model-len": 4000}),
        ({"max-model-len": "25.6k"}, {"max-model-len": 25600}),
        ({"max_model_len": 8192}, {"max-model-len": 8192}),
        ({"max-model-len": "auto"}, {"max-model-len": -1}),
        ({"kv-cache-memory-bytes": "64M"}, {"kv-cache-memory-bytes": 64 * 2**20}),
        ({"max-num-seqs": "8"}, {"max-num-seqs": 8}),
        ({"gpu-memory-utilization": "0.5"}, {"gpu-memory-utilization": 0.5}),
        ({"enforce-eager": "yes"}, {"enforce-eager": True}),
        ({"disable-log-stats": False}, {}),
        ({"enable-prefix-caching": False}, {"enable-prefix-caching": False}),
        ({"seed": None}, {}),
        ({"cudagraph-capture-sizes": [1, "2"]}, {"cudagraph-capture-sizes": [1, 2]}),
        ({"max-lora-rank": 16}, {"max-lora-rank": 16}),
        ({"optimization-level": 2}, {"optimization-level": 2}),
        ({"hf-overrides": '{"a": 1}'}, {"hf-overrides": {"a": 1}}),
        ({"compilation-config": {"mode": 3}}, {"compilation-config": {"mode": 3}}),
        ({"compilation-config.mode": 3}, {"compilation-config.mode": 3}),
        (
            {"tool-call-parser": "mine", "tool-parser-plugin": "/p.py"},
            {"tool-call-parser": "mine", "tool-parser-plugin": "/p.py"},
        ),
    ],
)  # fmt: skip
def test_what_vllm_would_read(given: dict[str, Any], read: dict[str, Any]) -> None:
    assert engine_args.lint(given, RELEASE) == (read, [])


@pytest.mark.parametrize(
    ("given", "code", "remedy"),
    [
        ({"max-modle-len": 1}, "unknown", "Did you mean max-model-len?"),
        ({"qqqqq": 1}, "unknown", "Remove it."),
        ({"enable-reasoning": True}, "removed", "Set reasoning-parser alone."),
        ({"swap-space": 4}, "removed", "Leave it out; preempted requests are computed again."),
        ({"enable-kv-cache": True}, "removed", "Leave it out; it never existed, and every release has a KV cache."),
        ({"device": "cpu"}, "removed", "Use vllm_device, or `device` of the deployment."),
        ({"api-key": "secret"}, "reserved", "Use vllm_api_keys."),
        ({"api_key": "secret"}, "reserved", "Use vllm_api_keys."),
        ({"model": "/m"}, "reserved", "Use model.id or model.path."),
        ({"port": 1}, "reserved", "Use port."),
        ({"host": "0.0.0.0"}, "reserved", "Use vllm_bind_address."),
        ({"served-model-name": "x"}, "reserved", "Use served_name."),
        ({"max-model-len": "4 thousand"}, "bad", "Correct it."),
        ({"max-model-len": "1.5K"}, "bad", "Correct it."),
        ({"max-model-len": 0}, "bad", "Correct it."),
        ({"max-model-len": True}, "bad", "Correct it."),
        ({"max-num-seqs": 0}, "bad", "Correct it."),
        ({"max-num-seqs": 1.5}, "bad", "Correct it."),
        ({"tensor-parallel-size": "two"}, "bad", "Correct it."),
        ({"enforce-eager": 1}, "bad", "Correct it."),
        ({"gpu-memory-utilization": 1.2}, "bad", "Correct it."),
        ({"gpu-memory-utilization": "nan"}, "bad", "Correct it."),
        ({"dtype": "bf16"}, "bad", "Did you mean bfloat16?"),
        ({"kv-cache-dtype": "fp9"}, "bad", "Did you mean fp8?"),
        ({"tool-call-parser": "hermez"}, "bad", "Did you mean hermes?"),
        ({"quantization": "gguf"}, "bad", None),
        ({"speculative-config": "ngram"}, "bad", "Correct it."),
        ({"max-model-len": 1, "max_model_len": 2}, "duplicate", "Keep one of them."),
    ],
)  # fmt: skip
def test_what_is_refused_with_which_remedy(given: dict[str, Any], code: str, remedy: str | None) -> None:
    with pytest.raises(PlanError) as caught:
        engine_args.lint(given, RELEASE)
    assert caught.value.code == "plan.%s_engine_argument" % code
    if remedy is not None:
        assert caught.value.remedies == (remedy,)


def test_a_key_never_stands_in_an_error() -> None:
    with pytest.raises(PlanError) as caught:
        engine_args.lint({"api-key": "s3cret"}, RELEASE)
    assert "s3cret" not in str(caught.value) + "".join(caught.value.remedies)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"max-num-seq": 1}, {"max-num-seqs": 1}),
        ({"--max-model-len": 1}, {"max-model-len": 1}),
        ({"tp": 2}, {"tensor-parallel-size": 2}),
        ({"-tp": 2}, {"tensor-parallel-size": 2}),
        ({"no-enable-prefix-caching": True}, {"enable-prefix-caching": False}),
        ({"no_enable_prefix_caching": "false"}, {"enable-prefix-caching": True}),
        ({"cc.mode": 3}, {"compilation-config.mode": 3}),
        ({"max-model-len": 1, "max_model_len": 1}, {"max-model-len": 1}),
    ],
)
def test_what_argparse_would_understand_is_corrected_and_said(given: dict[str, Any], read: dict[str, Any]) -> None:
    out, remarks = engine_args.lint(given, RELEASE)
    assert out == read
    assert len(remarks) == 1 and remarks[0].startswith(("[plan.corrected_", "[plan.duplicate_"))


def test_foreign_code_is_remarked() -> None:
    assert engine_args.lint({"trust-remote-code": True}, RELEASE)[1]
