"""The arithmetic of the KV cache against vLLM's own answers and published logs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.kv import cache as kv_cache
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory import weights
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model import info as model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape
from hypothesis import given
from hypothesis import strategies as st

RELEASE = (0, 32, 0)
GIB = 2**30


def _shape(tokens: int = 2048, **more: Any) -> Shape:
    """A synchronous engine of 256 requests with blocks of 16 tokens, unless told otherwise."""
    base = {"version": RELEASE, "tokens": tokens, "seqs": 256, "async_scheduling": False, "block_size": 16}
    return Shape(**{**base, **more})


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "quantization_config"}


def test_every_oracle_row_is_met_exactly(configs: dict[str, Any], oracle: list[dict[str, Any]]) -> None:
    assert len(oracle) == 108
    for row in oracle:
        info = model.read_model(_plain(configs[row["model"]]))
        length, tokens = row["max_model_len"], row["max_num_batched_tokens"]
        # 32 is the smallest block of the CPU's attention kernels, on which the rows were taken.
        shape = _shape(tokens, block_size=row["block_size"], kv_dtype=row["kv_cache_dtype"], kernel_block=32)
        kv = kv_cache.layout(info, shape)
        available = row["kv_available_bytes"]
        one = sum(group.layers * kv_cache.blocks_of_request(group, length, tokens) for group in kv.groups)
        assert one * kv.page_bytes == row["one_request_bytes"], row
        fits = kv_cache.needed_bytes(kv, length, shape) <= available
        assert fits is row["fits"], row
        if fits:
            pool = kv_cache.pool(kv, available, length, shape)
            assert (pool.num_blocks, pool.tokens) == (row["num_blocks"], row["kv_tokens"]), row
            assert pool.max_concurrency == row["max_concurrency"], row
        else:
            longest = kv_cache.longest(kv, available, length, shape)
            assert longest == row["estimated_length"], row


def test_parameters_are_those_vllm_creates(configs: dict[str, Any], oracle: list[dict[str, Any]]) -> None:
    known = {row["model"]: row["weight_bytes"] for row in oracle if "weight_bytes" in row}
    assert len(known) == 9
    for name, size in known.items():
        info = model.read_model(_plain(configs[name]))
        assert weights.parameters(info) * 2 == size, name


def test_qwen3_4b_takes_147456_bytes_a_token(configs: dict[str, Any]) -> None:
    info = model.read_model(configs["Qwen--Qwen3-4B"])
    kv = kv_cache.layout(info, _shape())
    assert kv.token_bytes == 147456
    assert kv_cache.request_bytes(kv, 40960, _shape()) == int(5.625 * GIB)
    # The published log says 2.39 GiB and 17,440 tokens.
    assert kv_cache.pool(kv, 17440 * 147456, 10000, _shape(version=(0, 10, 2))).tokens == 17440


def test_llama_8b_on_an_a100_has_460496_tokens(configs: dict[str, Any]) -> None:
    info = model.read_model(configs["meta-llama--Meta-Llama-3.1-8B"])
    kv = kv_cache.layout(info, _shape())
    pool = kv_cache.pool(kv, 28781 * kv.block_bytes, 131072, _shape(version=(0, 31, 0)))
    assert (pool.num_blocks, pool.tokens, round(pool.max_concurrency, 4)) == (28781, 460496, 3.5133)


def test_kv_heads_are_repeated_when_ranks_outnumber_them(configs: dict[str, Any]) -> None:
    info = model.read_model(configs["Qwen--Qwen3-4B"])
    one, eight, sixteen = (kv_cache.layout(info, _shape(tensor=size)).token_bytes for size in (1, 8, 16))
    assert one == 8 * eight
    assert eight == sixteen


def test_a_latent_cache_is_the_same_on_every_rank(configs: dict[str, Any]) -> None:
    info = model.read_model(_plain(configs["deepseek-ai--DeepSeek-V3"]))
    assert kv_cache.layout(info, _shape()) == kv_cache.layout(info, _shape(tensor=8))


@pytest.mark.parametrize("name", ["Qwen--Qwen3-8B", "openai--gpt-oss-20b", "synth-gemma3-0"])
@given(
    available=st.integers(0, 2**38),
    more=st.integers(0, 2**34),
    length=st.integers(1, 131072),
    longer=st.integers(0, 65536),
)
def test_more_memory_never_holds_fewer_and_longer_requests_never_more(
    configs: dict[str, Any], name: str, available: int, more: int, length: int, longer: int
) -> None:
    info = model.read_model(_plain(configs[name]))
    shape = _shape(4096)
    kv = kv_cache.layout(info, shape)
    base = kv_cache.pool(kv, available, length, shape)
    assert kv_cache.pool(kv, available + more, length, shape).tokens >= base.tokens
    assert kv_cache.pool(kv, available, length + longer, shape).max_concurrency <= base.max_concurrency
    longest = kv_cache.longest(kv, available, length, shape)
    assert 0 <= longest <= length
    if longest:
        assert kv_cache.needed_bytes(kv, longest, shape) <= available
    if longest < length:
        assert kv_cache.needed_bytes(kv, longest + 1, shape) > available
