"""Engine arguments: what the linter takes, converts and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner import releases
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments import lint as engine_args
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.catalogue import catalogue
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.retired import RESERVED
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import PlanError

RELEASE = (0, 32, 0)
DATA = Path(__file__).parent / "data"
SAMPLES: dict[str, Any] = {
    "flag": True,
    "switch": True,
    "float": 0.5,
    "size": "4K",
    "size_or_auto": "4k",
    "json": {"a": 1},
    "list_str": ["a"],
}


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
        ({"cpu-offload-gb": "inf"}, "bad", "Correct it."),
        ({"speculative-config": '{"a": NaN}'}, "bad", "Correct it."),
        ({"speculative-config": '{"a": 1e999}'}, "bad", "Correct it."),
        ({"speculative-config": "[" * 100000}, "bad", "Correct it."),
        ({"speculative-config": "7"}, "bad", "Correct it."),
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


@pytest.mark.parametrize(
    ("given", "release", "code", "remedy"),
    [
        ({"enable-reasoning": True}, (0, 10, 0), "removed", "Set reasoning-parser alone."),
        ({"swap-space": 4}, (0, 18, 0), "removed", "Leave it out; preempted requests are computed again."),
        ({"enable-kv-cache": True}, (0, 8, 5), "removed", None),
        ({"cuda-graph-sizes": [1]}, (0, 13, 0), "removed", "Use cudagraph-capture-sizes."),
        ({"task": "embed"}, (0, 33, 0), "removed", "Use runner and convert."),
        ({"attention-backend": "FLASH_ATTN"}, (0, 8, 5), "early", "Use vLLM 0.13.0 or newer, the first that has it."),
        ({"kv-cache-memory-bytes": "1G"}, (0, 9, 2), "early", "Use vLLM 0.10.2 or newer, the first that has it."),
        ({"reasoning-parser": "qwen3"}, (0, 8, 5), "bad", "vLLM 0.9.0 is the first that has it. Choose one of them."),
        ({"attention-backend": "FLASHATTN"}, (0, 33, 0), "bad", "Did you mean FLASH_ATTN?"),
        ({"max-model-len": "auto"}, (0, 13, 0), "bad", "Correct it."),
        ({"quantization": "gguf"}, (0, 24, 0), "bad", "vLLM 0.24.0 dropped it. Use a safetensors checkpoint."),
        ({"quantization": "hqq"}, (0, 33, 0), "bad", "vLLM 0.15.0 dropped it. Choose one of them."),
        ({"kv-cache-dtype": "fp9"}, (0, 33, 0), "bad", "Did you mean fp8?"),
        ({"load-format": "gguf"}, (0, 33, 0), "bad", None),
        ({"enable-chunked": True}, (0, 33, 0), "unknown", "Did you mean enable-chunked-prefill?"),
        ({"-tp": 8, "tensor-parallel-size": 4}, (0, 33, 0), "duplicate", "Keep one of them."),
        ({"ignore-patterns": ["a", "b"]}, (0, 9, 2), "bad", "Give one."),
        ({"middleware": ["a", "b"]}, (0, 33, 0), "bad", "Give one."),
        ({"chat-template": "-x"}, (0, 33, 0), "bad", "Write it without the dash."),
    ],
)  # fmt: skip
def test_each_release_refuses_what_it_would_not_take(
    given: dict[str, Any], release: tuple[int, ...], code: str, remedy: str | None
) -> None:
    with pytest.raises(PlanError) as caught:
        engine_args.lint(given, release)
    assert caught.value.code == "plan.%s_engine_argument" % code
    if remedy is not None:
        assert caught.value.remedies[0] == remedy


@pytest.mark.parametrize(
    ("given", "release", "read"),
    [
        ({"enable-reasoning": True}, (0, 8, 5), {"enable-reasoning": True}),
        ({"swap-space": 4}, (0, 17, 1), {"swap-space": 4.0}),
        ({"max-num-batched-tokens": "8K"}, (0, 8, 5), {"max-num-batched-tokens": 8192}),
        ({"attention-backend": "flash_attn"}, (0, 20, 2), {"attention-backend": "flash_attn"}),
        ({"attention-backend": "auto"}, (0, 33, 0), {"attention-backend": "auto"}),
        ({"quantization": "gguf"}, (0, 23, 0), {"quantization": "gguf"}),
        ({"max-model-len": "auto"}, (0, 14, 0), {"max-model-len": -1}),
        ({"disable-log-requests": True}, (0, 33, 0), {"enable-log-requests": False}),
        ({"disable-prefix-caching": True}, (0, 33, 0), {"enable-prefix-caching": False}),
    ],
)
def test_each_release_takes_what_it_has(given: dict[str, Any], release: tuple[int, ...], read: dict[str, Any]) -> None:
    assert engine_args.lint(given, release)[0] == read


def test_the_tables_say_of_0_32_what_its_installed_parser_said() -> None:
    """Read from sources with borrowed libraries, against the same read from the release as installed."""
    installed = json.loads((DATA / "arguments_0_32.json").read_text())
    found = catalogue((0, 32, 0))
    assert found.kinds == {name: kind for kind, names in installed["kinds"].items() for name in names}
    assert found.short == installed["short"]
    choices = {name: tuple(sorted(str(value) for value in values)) for name, values in installed["choices"].items()}
    assert {name: values for name, values in found.choices.items() if name in choices} == choices
    assert set(found.choices) - set(choices) == {"attention-backend", "load-format"}


def test_every_dropped_argument_has_a_remedy_or_is_left_out() -> None:
    for release in releases.RELEASES:
        for name in catalogue((0, 8, 5)).kinds:
            found = catalogue(release.version)
            if name in found.kinds or name in found.short or name in RESERVED:
                continue
            with pytest.raises(PlanError) as caught:
                engine_args.lint({name: True}, release.version)
            assert caught.value.code in ("plan.removed_engine_argument", "plan.unknown_engine_argument")
            assert caught.value.remedies


def test_every_argument_of_every_release_is_read_again_as_it_was() -> None:
    """What the linter returns, linted again, is itself: a plan re-planned with its own settings."""
    for release in releases.RELEASES:
        found = catalogue(release.version)
        for name, kind in found.kinds.items():
            if name in RESERVED or kind not in SAMPLES:
                continue
            value = SAMPLES[kind] if name not in found.choices else found.choices[name][-1]
            once, _remarks = engine_args.lint({name: value}, release.version)
            assert engine_args.lint(once, release.version)[0] == once, (release.name, name)
