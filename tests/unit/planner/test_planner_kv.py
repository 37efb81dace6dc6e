"""The arithmetic of the KV cache: published figures, releases, ranks and stages, properties."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import PlanError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.kv import cache as kv_cache
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.kv.widths import attention_bytes, ssm_bytes
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory import weights
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model import info as model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.layers import Layer
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import Gpu
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape
from hypothesis import given
from hypothesis import strategies as st

RELEASE = (0, 32, 0)
GIB = 2**30
MODELS = Path(__file__).parent / "data" / "models"
QWEN35_4B = {
    "model_type": "qwen3_5_text", "architectures": ["Qwen3_5ForCausalLM"], "num_hidden_layers": 32, "hidden_size": 2560,
    "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 9216,
    "vocab_size": 248320, "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
    "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_value_head_dim": 128,
    "mamba_ssm_dtype": "float32", "max_position_embeddings": 262144, "dtype": "bfloat16",
}  # fmt: skip


def _shape(tokens: int = 2048, **more: Any) -> Shape:
    """A synchronous engine of 256 requests with blocks of 16 tokens, unless told otherwise."""
    base = {"version": RELEASE, "tokens": tokens, "seqs": 256, "async_scheduling": False, "block_size": 16}
    return Shape(**{**base, **more})


def _card(capability: tuple[int, int]) -> Gpu:
    return Gpu(0, "card", 79 * GIB, 78 * GIB, capability)


def _model(name: str, **changes: Any) -> model.ModelInfo:
    config = json.loads((MODELS / (name + ".json")).read_text())
    config.pop("quantization_config", None)
    return model.read_model({**config, **changes})


def test_parameters_are_those_vllm_creates(configs: dict[str, Any], oracle: list[dict[str, Any]]) -> None:
    known = {row["model"]: row["weight_bytes"] for row in oracle if "weight_bytes" in row}
    assert len(known) == 9
    for name, size in known.items():
        assert weights.parameters(_model(name)) * 2 == size, name


def test_qwen3_4b_takes_147456_bytes_a_token(configs: dict[str, Any]) -> None:
    info = model.read_model(configs["Qwen--Qwen3-4B"])
    kv = kv_cache.layout(info, _shape())
    assert kv.token_bytes == 147456
    assert kv_cache.request_bytes(kv, 40960, _shape()) == int(5.625 * GIB)
    # The published log says 2.39 GiB and 17,440 tokens.
    assert kv_cache.pool(kv, 17440 * 147456, 10000, _shape(version=(0, 10, 2))).tokens == 17440


def test_llama_8b_on_an_a100_has_460496_tokens() -> None:
    kv = kv_cache.layout(_model("meta-llama--Meta-Llama-3.1-8B"), _shape())
    pool = kv_cache.pool(kv, 28781 * kv.block_bytes, 131072, _shape(version=(0, 31, 0)))
    assert (pool.num_blocks, pool.tokens, round(pool.max_concurrency, 4)) == (28781, 460496, 3.5133)


def test_qwen35_4b_on_an_l4_has_blocks_of_528_and_267842_tokens() -> None:
    shape = _shape(version=(0, 29, 0), gpu=_card((8, 9)), block_size=None, async_scheduling=True)
    kv = kv_cache.layout(model.read_model(QWEN35_4B), shape)
    assert kv.block_size == 528
    assert kv.page_bytes == 528 * 4096  # the state of 2,146,304 bytes is padded by 0.76 %
    assert round((kv.page_bytes - 2146304) / 2146304 * 100, 2) == 0.76
    assert kv_cache.request_blocks(kv, 32768, shape) == 69
    pool = kv_cache.pool(kv, 564 * kv.block_bytes, 32768, shape)
    assert (pool.num_blocks, pool.tokens) == (564, 267842)


def test_qwen3_coder_480b_needs_62_gib_and_has_205728_tokens_at_less() -> None:
    """Eight engines side by side (data parallel): each keeps all KV heads."""
    shape = _shape(version=(0, 19, 0), data=8, expert=True, gpu=_card((9, 0)))
    kv = kv_cache.layout(_model("Qwen--Qwen3-Coder-480B-A35B-Instruct"), shape)
    assert round(kv_cache.needed_bytes(kv, 262144, shape) / GIB, 2) == 62.00
    assert kv_cache.longest(kv, int(48.66 * GIB), 262144, shape) == 205728


@pytest.mark.parametrize(
    ("kv_dtype", "size"),
    [("auto", 512), ("fp8", 256), ("fp8_e5m2", 256), ("int8_per_token_head", 264), ("fp8_per_token_head", 264),
     ("int4_per_token_head", 136), ("nvfp4", 144)],
)  # fmt: skip
def test_a_head_of_128_takes_so_many_bytes_a_token(kv_dtype: str, size: int) -> None:
    layer = Layer("full", 1, 128, 128)
    assert attention_bytes(layer, _shape(kv_dtype=kv_dtype)) == size


@pytest.mark.parametrize(
    ("kv_dtype", "capability", "size"),
    [("auto", (9, 0), 1152), ("fp8", (9, 0), 656), ("fp8", (10, 0), 576), ("auto", (12, 0), 656),
     ("fp8_ds_mla", (9, 0), 656), ("nvfp4_ds_mla", (10, 0), 352)],
)  # fmt: skip
def test_sparse_latents_have_forms_of_their_own(kv_dtype: str, capability: tuple[int, int], size: int) -> None:
    info = _model("zai-org--GLM-5")
    kv = kv_cache.layout(info, _shape(kv_dtype=kv_dtype, gpu=_card(capability), block_size=None))
    assert kv.block_size == 64
    assert kv.token_bytes == 78 * (size + 132)  # 132: the indexer's key
    if (kv_dtype, capability) == ("fp8", (10, 0)):
        older = _shape(kv_dtype=kv_dtype, gpu=_card(capability), block_size=None, version=(0, 18, 0))
        assert kv_cache.layout(info, older).token_bytes == 78 * (656 + 132)


def test_an_unknown_kv_type_is_refused_by_name() -> None:
    with pytest.raises(PlanError, match="turboquant_k8v4") as caught:
        kv_cache.layout(_model("Qwen--Qwen3-8B"), _shape(kv_dtype="turboquant_k8v4"))
    assert caught.value.code == "plan.unsupported_kv_cache_dtype"


@pytest.mark.parametrize(
    ("version", "capability", "kv_dtype", "block"),
    [
        ((0, 9, 2), (9, 0), "auto", 64), ((0, 10, 2), (10, 0), "auto", 128), ((0, 14, 0), (10, 3), "auto", 128),
        ((0, 16, 0), (10, 0), "auto", 64), ((0, 17, 0), (9, 0), "auto", 64), ((0, 20, 0), (9, 0), "auto", 16),
        ((0, 32, 0), (9, 0), "fp8", 64), ((0, 32, 0), (10, 0), "auto", 32), ((0, 32, 0), (8, 0), "auto", 16),
        ((0, 32, 0), (12, 0), "auto", 16), ((0, 11, 0), (12, 0), "auto", 16),
    ],
)  # fmt: skip
def test_latent_kernels_raise_the_block(
    version: tuple[int, ...], capability: tuple[int, int], kv_dtype: str, block: int
) -> None:
    info = _model("deepseek-ai--DeepSeek-V3")
    shape = _shape(version=version, gpu=_card(capability), block_size=None, kv_dtype=kv_dtype)
    assert kv_cache.layout(info, shape).block_size == block
    # What the user says is planned as it stands.
    assert kv_cache.layout(info, _shape(version=version, gpu=_card(capability), block_size=256)).block_size == 256


def test_kv_heads_are_repeated_when_ranks_outnumber_them() -> None:
    info = _model("Qwen--Qwen3-8B")
    one, eight, sixteen = (kv_cache.layout(info, _shape(tensor=size)).token_bytes for size in (1, 8, 16))
    assert one == 8 * eight
    assert eight == sixteen


def test_a_latent_cache_is_the_same_on_every_rank() -> None:
    info = _model("deepseek-ai--DeepSeek-V3")
    assert kv_cache.layout(info, _shape()) == kv_cache.layout(info, _shape(tensor=8))


def test_stages_share_the_layers_and_the_middle_ones_take_the_rest() -> None:
    assert [len(kv_cache.stage_layers(61, 4, stage)) for stage in range(4)] == [15, 15, 16, 15]
    assert [len(kv_cache.stage_layers(94, 8, stage)) for stage in range(8)] == [11, 12, 12, 12, 12, 12, 12, 11]
    info = _model("Qwen--Qwen3-235B-A22B")
    stages = [kv_cache.layout(info, _shape(pipeline=4), stage) for stage in range(4)]
    assert [stage.groups[0].layers for stage in stages] == [23, 24, 24, 23]
    assert sum(stage.token_bytes for stage in stages) == kv_cache.layout(info, _shape()).token_bytes


def test_windows_reserve_for_batches_under_way_from_0_26_on() -> None:
    assert kv_cache.in_flight(_shape(2048, version=(0, 25, 0), async_scheduling=True)) == 2048
    assert kv_cache.in_flight(_shape(2048, version=(0, 26, 0), async_scheduling=True)) == 4096
    assert kv_cache.in_flight(_shape(2048, version=(0, 28, 0), async_scheduling=True, pipeline=4)) == 8192
    assert kv_cache.in_flight(_shape(2048, version=(0, 29, 0), async_scheduling=True, pipeline=4)) == 10240
    assert kv_cache.in_flight(_shape(2048, pipeline=4)) == 8192


def test_windows_are_kept_like_full_attention_without_the_hybrid_manager() -> None:
    info = _model("openai--gpt-oss-20b")
    plain, whole = kv_cache.layout(info, _shape()), kv_cache.layout(info, _shape(hybrid_manager=False))
    assert [group.kind for group in plain.groups] == ["sliding", "full"]
    assert [(group.kind, group.layers) for group in whole.groups] == [("full", 24)]
    for name in ("Qwen--Qwen3.5-27B", "deepseek-ai--DeepSeek-V4-Flash"):
        with pytest.raises(PlanError, match="hybrid KV cache manager"):
            kv_cache.layout(_model(name), _shape(hybrid_manager=False))
    # Before 0.9.1 there was no such manager; for a time, the chunks of Llama 4 turned it off.
    assert len(kv_cache.layout(info, _shape(version=(0, 9, 0))).groups) == 1
    chunked = _model("meta-llama--Llama-4-Scout-17B-16E-Instruct")
    assert [len(kv_cache.layout(chunked, _shape(version=(0, minor, 0))).groups) for minor in (13, 14, 32)] == [1, 4, 4]


def test_unequal_pages_need_a_release_that_can_pair_them() -> None:
    info = _model("google--gemma-4-26B-A4B")  # 4,096 and 2,048 elements a token
    assert kv_cache.layout(info, _shape(version=(0, 12, 0))).block_size == 16
    with pytest.raises(PlanError) as caught:
        kv_cache.layout(info, _shape(version=(0, 11, 0)))
    assert caught.value.code == "plan.unsupported_model"


@pytest.mark.parametrize(
    ("version", "caching", "asked", "blocks"),
    [((0, 32, 0), True, None, 3), ((0, 32, 0), False, None, 1), ((0, 31, 0), True, None, 2),
     ((0, 24, 0), True, None, 1), ((0, 12, 0), True, None, 1)],
)  # fmt: skip
def test_states_of_mamba_2_are_counted_by_release(
    version: tuple[int, ...], caching: bool, asked: bool | None, blocks: int
) -> None:
    """One state; with cached prefixes two, and from 0.32 on one more of the middle of the prompt."""
    info = _model("nvidia--Nemotron-H-56B-Base-8K")
    shape = _shape(version=version, prefix_caching=caching, gpu=_card((9, 0)), block_size=None)
    states = [group for group in kv_cache.layout(info, shape).groups if group.kind == "state"]
    assert {group.fixed for group in states} == {blocks}
    assert sum(group.layers for group in states) == 54


@pytest.mark.parametrize(
    ("name", "version", "argument", "width"),
    [("nvidia--Nemotron-H-56B-Base-8K", (0, 32, 0), None, 4), ("nvidia--Nemotron-H-56B-Base-8K", (0, 19, 0), None, 2),
     ("nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", (0, 19, 0), None, 4), ("Qwen--Qwen3.5-27B", (0, 19, 0), None, 4),
     ("nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", (0, 12, 0), None, 2),
     ("Qwen--Qwen3.5-27B", (0, 32, 0), "bfloat16", 2), ("Qwen--Qwen3.5-27B", (0, 32, 0), "auto", 4)],
)  # fmt: skip
def test_recurrent_states_have_a_type_of_their_own(
    name: str, version: tuple[int, ...], argument: str | None, width: int
) -> None:
    state = next(layer.state for layer in _model(name).layers if layer.state is not None)
    arguments = {"mamba-ssm-cache-dtype": argument} if argument else {}
    assert ssm_bytes(state, _shape(version=version, engine_args=arguments)) == width


@pytest.mark.parametrize(
    ("name", "version", "capability", "blocks"),
    [("Qwen--Qwen3.5-27B", (0, 32, 0), (9, 0), 2), ("Qwen--Qwen3.5-27B", (0, 33, 0), (9, 0), 3),
     ("Qwen--Qwen3.5-27B", (0, 33, 0), (8, 9), 2), ("Qwen--Qwen3.5-27B", (0, 33, 0), (12, 0), 3),
     ("moonshotai--Kimi-K3", (0, 32, 0), (9, 0), 3), ("moonshotai--Kimi-K3", (0, 28, 0), (9, 0), 2),
     ("moonshotai--Kimi-K3", (0, 32, 0), (8, 0), 2)],
)  # fmt: skip
def test_some_cards_keep_a_state_of_the_middle_of_a_prompt(
    name: str, version: tuple[int, ...], capability: tuple[int, int], blocks: int
) -> None:
    kv = kv_cache.layout(_model(name), _shape(version=version, gpu=_card(capability), block_size=None))
    assert {group.fixed for group in kv.groups if group.kind == "state"} == {blocks}
    if name.startswith("Qwen") and blocks == 3:
        assert kv.block_size % 64 == 0


def test_every_block_of_a_cached_prefix_kept_a_state_before_0_28() -> None:
    info = _model("nvidia--Nemotron-H-56B-Base-8K")
    shape = _shape(version=(0, 20, 2), gpu=_card((9, 0)), block_size=None, engine_args={"enable-prefix-caching": True})
    kv = kv_cache.layout(info, shape)
    assert kv.block_size % 128 == 0  # whole chunks of the scan
    states = len([group for group in kv.groups if group.kind == "state"])
    assert states and kv_cache.request_blocks(kv, 10 * kv.block_size, shape) == 10 * len(kv.groups)


def test_drafts_add_states_and_a_layer() -> None:
    info = model.read_model({**QWEN35_4B, "mtp_num_hidden_layers": 1})
    arguments = {"speculative-config": {"method": "mtp", "num_speculative_tokens": 2}}
    plain = kv_cache.layout(info, _shape(gpu=_card((9, 0)), block_size=None))
    shape = _shape(gpu=_card((9, 0)), block_size=None, speculative_tokens=2, engine_args=arguments)
    drafting = kv_cache.layout(info, shape)
    assert {group.fixed for group in drafting.groups if group.kind == "state"} == {4}
    assert sum(group.layers for group in drafting.groups) == sum(group.layers for group in plain.groups) + 1


def test_cross_attention_holds_the_encoders_tokens() -> None:
    config = {
        "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "d_model": 1280,
        "decoder_attention_heads": 20, "decoder_layers": 4, "decoder_ffn_dim": 5120, "encoder_layers": 32,
        "encoder_attention_heads": 20, "encoder_ffn_dim": 5120, "vocab_size": 51866, "max_source_positions": 1500,
        "max_target_positions": 448, "torch_dtype": "float16",
    }  # fmt: skip
    shape = _shape(2048, gpu=_card((8, 9)))
    kv = kv_cache.layout(model.read_model(config), shape)
    assert sorted((group.kind, group.layers, group.fixed) for group in kv.groups) == [("cross", 4, 128), ("full", 4, 0)]
    assert kv_cache.request_blocks(kv, 448, shape) == 28 + 128


def test_encoders_keep_nothing() -> None:
    config = {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384, "num_attention_heads": 12,
        "num_hidden_layers": 6, "intermediate_size": 1536, "vocab_size": 30522, "max_position_embeddings": 512,
    }  # fmt: skip
    info = model.read_model(config)
    kv = kv_cache.layout(info, _shape())
    assert info.pooling
    assert (kv.groups, kv.block_bytes, kv_cache.needed_bytes(kv, 512, _shape())) == ((), 0, 0)
    assert kv_cache.longest(kv, 0, 512, _shape()) == 512
    assert kv_cache.pool(kv, GIB, 512, _shape()).tokens == 0


@pytest.mark.parametrize("version", [(0, 8, 5), (0, 10, 2), (0, 13, 0), (0, 18, 0), (0, 20, 2), (0, 28, 0), RELEASE])
def test_the_null_block_is_set_apart_from_0_29_on(version: tuple[int, ...]) -> None:
    kv = kv_cache.layout(_model("Qwen--Qwen3-8B"), _shape(version=version))
    spare = kv.block_bytes if version >= (0, 29) else 0
    needed = kv_cache.needed_bytes(kv, 4096, _shape(version=version))
    assert needed == 256 * kv.block_bytes + spare


@pytest.mark.parametrize(
    "name",
    ["Qwen--Qwen3-8B", "openai--gpt-oss-20b", "synth-gemma3-0", "Qwen--Qwen3.5-27B", "deepseek-ai--DeepSeek-V4-Flash"],
)
@given(
    available=st.integers(0, 2**38),
    more=st.integers(0, 2**34),
    length=st.integers(1, 131072),
    longer=st.integers(0, 65536),
    version=st.sampled_from([(0, 10, 2), (0, 14, 0), (0, 19, 0), (0, 20, 2), (0, 27, 0), (0, 29, 0), RELEASE]),
)
def test_more_memory_never_holds_fewer_and_longer_requests_never_more(
    name: str, available: int, more: int, length: int, longer: int, version: tuple[int, ...]
) -> None:
    info = _INFOS.setdefault(name, _model(name))
    shape = _shape(4096, version=max(version, (0, 20, 2)) if name.startswith("deepseek") else version, block_size=None)
    kv = kv_cache.layout(info, shape)
    base = kv_cache.pool(kv, available, length, shape)
    assert kv_cache.pool(kv, available + more, length, shape).tokens >= base.tokens
    assert kv_cache.pool(kv, available, length + longer, shape).max_concurrency <= base.max_concurrency
    assert kv_cache.needed_bytes(kv, length + longer, shape) >= kv_cache.needed_bytes(kv, length, shape)
    longest = kv_cache.longest(kv, available, length, shape)
    assert 0 <= longest <= length
    if longest:
        assert kv_cache.needed_bytes(kv, longest, shape) <= available
    if longest < length:
        assert kv_cache.needed_bytes(kv, longest + 1, shape) > available


_INFOS: dict[str, model.ModelInfo] = {}


def test_an_engine_is_sized_in_well_under_two_milliseconds() -> None:
    """Every model of the data, each with the search of its longest context."""
    infos = []
    for path in sorted(MODELS.glob("*.json")):
        with contextlib.suppress(PlanError):  # some are refused
            infos.append(model.read_model(json.loads(path.read_text())))
    assert len(infos) > 80
    shape = _shape(8192, gpu=_card((9, 0)), block_size=None, tensor=2)
    started = time.process_time()
    for info in infos:
        kv = kv_cache.layout(info, shape)
        kv_cache.pool(kv, 40 * GIB, 32768, shape)
        kv_cache.longest(kv, 40 * GIB, 131072, shape)
    assert (time.process_time() - started) / len(infos) < 0.002
