"""Engine arguments: what the linter takes, converts and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments import families
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments import lint as engine_args
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments import release_0_32 as arguments_0_32
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
        ({"max-num-seq": 1}, "unknown", "Did you mean max-num-seqs?"),
        ({"max-modle-len": 1}, "unknown", "Did you mean max-model-len?"),
        ({"qqqqq": 1}, "unknown", "Remove it."),
        ({"--max-model-len": 1}, "unknown", "Write it without dashes in front: max-model-len."),
        ({"tp": 2}, "unknown", "Write its long name: tensor-parallel-size."),
        ({"no-enable-prefix-caching": True}, "unknown", "Write enable-prefix-caching: false."),
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
        ({"max-model-len": 1, "max_model_len": 1}, "bad", None),
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


def test_releases_without_a_catalogue_refuse_slips_only() -> None:
    old = (0, 9, 2)
    assert engine_args.lint({"enable-reasoning": True, "swap-space": 4}, old)[1]
    assert engine_args.lint({"something-quite-new": 1}, (0, 33, 0))[0] == {"something-quite-new": 1}
    with pytest.raises(PlanError):
        engine_args.lint({"max-num-seq": 1}, (0, 8, 5))
    with pytest.raises(PlanError):
        engine_args.lint({"enable-kv-cache": True}, (0, 8, 5))


def test_foreign_code_is_remarked() -> None:
    assert engine_args.lint({"trust-remote-code": True}, RELEASE)[1]


def test_every_parser_the_planner_chooses_exists() -> None:
    tools, thoughts = (set(arguments_0_32.CHOICES[name]) for name in ("tool-call-parser", "reasoning-parser"))
    assert {entry[2] for entry in families._FAMILIES} | {families.FALLBACK_TOOL_PARSER} <= tools
    assert {entry[3] for entry in families._FAMILIES} - {""} <= thoughts


@pytest.mark.parametrize(
    ("family", "name", "tool", "reasoning"),
    [
        ("qwen3", "Qwen/Qwen3-4B", "hermes", "qwen3"),
        ("qwen3", "Qwen/Qwen3-4B-Instruct-2507", "hermes", None),
        ("qwen3_moe", "Qwen/Qwen3-Coder-480B-A35B-Instruct", "qwen3_coder", None),
        ("qwen2", "Qwen/Qwen2.5-7B-Instruct", "hermes", None),
        ("llama", "meta-llama/Llama-3.1-8B-Instruct", "llama3_json", None),
        ("llama", "HuggingFaceTB/SmolLM2-135M-Instruct", "hermes", None),
        ("gpt_oss", None, "openai", "openai_gptoss"),
        ("deepseek_v3", "deepseek-ai/DeepSeek-R1", "deepseek_v3", "deepseek_r1"),
    ],
)
def test_parsers_by_family(family: str, name: str | None, tool: str, reasoning: str | None) -> None:
    assert families.parsers(family, name)[:2] == (tool, reasoning)
