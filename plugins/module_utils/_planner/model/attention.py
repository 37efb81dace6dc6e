# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The attention of each layer: full, in a window or a chunk, latent, sparse; with the caches it keeps."""

from __future__ import annotations

from typing import Any, Mapping

from ..errors import InvalidRequest, PlanError
from .known import HETEROGENEOUS, MLA
from .layers import Cache, Layer, Mla
from .reading import HEADS, HIDDEN, KV_HEADS, flag, names, number, numbers, section

# These pick the window of each layer themselves; the others use the config's one window in every layer.
_WINDOW_OFFSET = {"cohere2": 1, "cohere2_moe": 1}
_SLIDING = {
    "full_attention": False,
    "sliding_attention": True,
    "global": False,
    "local": True,
    "chunked_attention": True,
}
_INDEXED = frozenset(("deepseek_v32", "glm_moe_dsa"))


def head_counts(family: str, config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Query heads, KV heads and the width of a head, as vLLM reads them."""
    if family in ("mamba", "mamba2", "falcon_mamba"):
        return 0, 0, 0
    heads = number(config, HEADS, maximum=2**16)
    hidden = number(config, HIDDEN, maximum=2**20)
    kv_heads = number(config, KV_HEADS, heads, maximum=2**16)
    if family == "falcon" and not flag(config, "new_decoder_architecture"):
        kv_heads = 1 if flag(config, "multi_query", True) else heads
    elif family == "gpt_bigcode" and flag(config, "multi_query", True):
        kv_heads = 1
    elif family == "chatglm" and not flag(config, "multi_query_attention"):
        kv_heads = heads
    elif family == "dbrx":
        kv_heads = number(section(config, "attn_config"), "kv_n_heads", heads, maximum=2**16)
    head_dim = number(config, ("head_dim", "attention_head_dim", "kv_channels"), 0, minimum=0, maximum=2**16)
    return heads, kv_heads, head_dim or max(1, hidden // heads)


def read_mla(config: Mapping[str, Any]) -> Mla:
    return Mla(
        number(config, "q_lora_rank", 0, minimum=0),
        number(config, "kv_lora_rank"),
        number(config, "qk_nope_head_dim", 128, minimum=0),
        number(config, "qk_rope_head_dim"),
        number(config, "v_head_dim", 128),
    )


def attention(family: str, config: Mapping[str, Any], count: int) -> list[Layer]:
    """One attention layer for each of ``count`` layers; feed-forward nets and states come later."""
    heads, kv_heads, head_dim = head_counts(family, config)
    if family in ("deepseek_v4", "deepseek_ref"):
        return compressed(config, count, heads)
    if family in MLA and config.get("kv_lora_rank") is not None and family != "minicpm3":
        return _latent(family, config, count, heads)
    if family in HETEROGENEOUS:
        return _blocks(config, count, heads, head_dim)
    if family in ("mimo_v2_flash", "mimo_v2"):
        return _mimo(config, count, heads, kv_heads, head_dim)
    if family in ("step3p5", "step3p7"):
        return _step(config, count, heads, kv_heads, head_dim)
    if family in ("gemma4_text", "gemma3n_text"):
        return _gemma(config, count, heads, kv_heads, head_dim)
    if family in ("llama4_text", "llama4"):
        return _llama4(config, count, Layer("full", kv_heads, head_dim, head_dim, heads=heads))
    if family in ("minimax_m3", "minimax_m3_text"):
        return _indexed_full(config, count, Layer("full", kv_heads, head_dim, head_dim, heads=heads))
    if family == "minicpm3":
        head_dim = number(config, "qk_nope_head_dim", 64) + number(config, "qk_rope_head_dim", 32)
        return [Layer("full", heads, head_dim, head_dim, heads=heads)] * count
    if heads % max(1, kv_heads):
        raise PlanError(
            "plan.unsupported_model",
            "The config has %d attention heads over %d KV heads, which do not divide; vLLM refuses it."
            % (heads, kv_heads),
        )
    window = _window(family, config)
    full = Layer("full", kv_heads, head_dim, head_dim, heads=heads)
    if not window:
        return [full] * count
    sliding = Layer("sliding", kv_heads, head_dim, head_dim, window, heads)
    return [sliding if slides else full for slides in _slides(family, config, count)]


def _window(family: str, config: Mapping[str, Any]) -> int:
    window = config.get("sliding_window")
    if isinstance(window, bool) or not isinstance(window, int) or window <= 0:
        return 0
    if config.get("use_sliding_window") is False:
        return 0
    if window > 2**31:
        raise InvalidRequest("the model's config has sliding_window: %d, which is too large" % window)
    return window + _WINDOW_OFFSET.get(family, 0)


def _slides(family: str, config: Mapping[str, Any], count: int) -> list[bool]:
    """Whether each layer of a model with a window keeps to it."""
    listed = names(config, "layer_types", count)
    if listed is not None:
        unknown = [entry for entry in listed if entry not in _SLIDING]
        if unknown:
            raise PlanError(
                "plan.unsupported_model", "The config has layers of the unknown kind '%s'." % unknown[0][:40]
            )
        return [_SLIDING[entry] for entry in listed]
    pattern = config.get("sliding_window_pattern", config.get("_sliding_window_pattern"))
    if isinstance(pattern, str) and pattern:  # "LLLG": the letters repeat, the last layer is always global
        return [pattern[index % len(pattern)] == "L" and index + 1 < count for index in range(count)]
    if family == "gemma3_text" and pattern is None:
        pattern = 6
    if family in ("cohere2", "exaone4") and pattern is None:
        pattern = 4
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 1:
        return [(index + 1) % pattern != 0 for index in range(count)]
    if family in ("gemma2", "gpt_oss"):
        return [index % 2 == 0 for index in range(count)]
    if family in ("qwen2", "qwen3", "qwen2_moe", "qwen3_moe"):
        first = number(config, "max_window_layers", count, minimum=0)
        return [index >= first for index in range(count)]
    return [True] * count


def _latent(family: str, config: Mapping[str, Any], count: int, heads: int) -> list[Layer]:
    mla = read_mla(config)
    plain = Layer("mla", 1, mla.kv_lora_rank + mla.qk_rope_head_dim, 0, heads=heads)
    if family not in _INDEXED:
        return [plain] * count
    size = number(config, "index_head_dim", 128)
    # Keys of the indexer are stored in fp8 with one float32 scale for each 128 of them.
    cache = Cache("indexer", 1, size, 0, entry_bytes=size + size // 128 * 4)
    indexed = Layer("mla", 1, plain.head_size, 0, heads=heads, extra=(cache,))
    return [plain if shared else indexed for shared in _shared_indexers(config, count)]


def _shared_indexers(config: Mapping[str, Any], count: int) -> list[bool]:
    """Whether a layer of a sparse model reuses what an earlier layer's indexer picked."""
    pattern = config.get("index_topk_pattern")
    if isinstance(pattern, str):
        return [index < len(pattern) and pattern[index] == "S" for index in range(count)]
    every = number(config, "index_topk_freq", 1)
    offset = number(config, "index_skip_topk_offset", 2, minimum=0)
    return [max(index - offset + 1, 0) % every != 0 for index in range(count)]


def compressed(config: Mapping[str, Any], count: int, heads: int) -> list[Layer]:
    """DeepSeek V4: every layer keeps a short window; most press 4 or 128 tokens into one latent beside it."""
    size, window = number(config, "head_dim"), number(config, "sliding_window", number(config, "window_size", 128))
    index = number(config, "index_head_dim", 128)
    ratios = numbers(config, "compress_ratios", count) or [0] * count
    made: dict[int, Layer] = {}
    for ratio in set(ratios):
        if ratio not in (0, 1, 2, 4, 128):
            raise PlanError("plan.unsupported_model", "The config has the unknown compress_ratios %d." % ratio)
        extra = [Cache("v4_window", 1, size, 0, window, block=64)]
        if ratio > 1:
            double = 2 if ratio == 4 else 1
            extra.append(Cache("v4_latent", 1, size, 0, tokens_per_entry=ratio))
            extra.append(_compressor(double, ratio, size))
        if ratio == 4:
            extra.append(Cache("v4_index", 1, index, 0, entry_bytes=index + index // 128 * 4, tokens_per_entry=ratio))
            extra.append(_compressor(2, ratio, index))
        made[ratio] = Layer("mla", 1, size, 0, window, heads, extra=tuple(extra))
    return [made[ratio] for ratio in ratios]


def _compressor(double: int, ratio: int, size: int) -> Cache:
    """Float32 sums and scores of the tokens that are still being pressed together."""
    return Cache("v4_sums", 1, 2 * double * size, 0, double * ratio, block=4 if ratio == 4 else 8, element=4)


def _blocks(config: Mapping[str, Any], count: int, heads: int, head_dim: int) -> list[Layer]:
    blocks = config.get("block_configs")
    if not isinstance(blocks, (list, tuple)) or len(blocks) < count:
        raise InvalidRequest("the model's config has no block_configs for all %d layers" % count)
    out = []
    for block in blocks[:count]:
        part = section(block, "attention") if isinstance(block, Mapping) else {}
        if flag(part, "no_op") or flag(part, "replace_with_linear"):
            out.append(Layer("none", 0, 0, 0, heads=heads))
            continue
        out.append(Layer("full", heads // number(part, "n_heads_in_group", 1), head_dim, head_dim, heads=heads))
    return out


def _mimo(config: Mapping[str, Any], count: int, heads: int, kv_heads: int, head_dim: int) -> list[Layer]:
    pattern = numbers(config, "hybrid_layer_pattern", count) or [0] * count
    full = Layer("full", kv_heads, head_dim, number(config, "v_head_dim", head_dim), heads=heads)
    window = number(config, ("sliding_window_size", "sliding_window"))
    swa_dim = number(config, "swa_head_dim", head_dim)
    sliding = Layer(
        "sliding",
        number(config, "swa_num_key_value_heads", kv_heads),
        swa_dim,
        number(config, "swa_v_head_dim", swa_dim),
        window,
        number(config, "swa_num_attention_heads", heads),
    )
    return [sliding if entry == 1 else full for entry in pattern]


def _step(config: Mapping[str, Any], count: int, heads: int, kv_heads: int, head_dim: int) -> list[Layer]:
    listed = names(config, "layer_types", count) or []
    window = _window("step3p5", config)
    other = section(config, "attention_other_setting")
    out = []
    for index in range(count):
        kind = listed[index] if listed else ("sliding_attention" if index % 2 == 0 else "full_attention")
        own = other if other and kind == other.get("attention_type") else {}
        groups = number(own, "num_attention_groups", kv_heads)
        width, queries = number(own, "head_dim", head_dim), number(own, "num_attention_heads", heads)
        slides = kind == "sliding_attention" and window > 0
        out.append(Layer("sliding" if slides else "full", groups, width, width, window if slides else 0, queries))
    return out


def _gemma(config: Mapping[str, Any], count: int, heads: int, kv_heads: int, head_dim: int) -> list[Layer]:
    """Gemma 4 (wider heads in its full layers) and 3n; the last layers read the cache of earlier ones."""
    listed = names(config, "layer_types", count) or ["full_attention"] * count
    if listed and "global_head_dim" in config:
        listed[-1] = "full_attention"  # the last layer always is
    window, shared = _window("gemma4", config), number(config, "num_kv_shared_layers", 0, minimum=0)
    wide = number(config, "global_head_dim", head_dim)
    alternative = flag(config, "attention_k_eq_v")
    groups = number(config, "num_global_key_value_heads", kv_heads) if alternative else kv_heads
    out = []
    for index, kind in enumerate(listed):
        slides = kind == "sliding_attention" and window > 0
        reads = count - shared <= index and shared > 0
        size = head_dim if slides else wide
        out.append(
            Layer(
                "sliding" if slides else "full",
                kv_heads if slides else groups,
                size,
                size,
                window if slides else 0,
                heads,
                shares_kv=reads,
            )
        )
    return out


def _llama4(config: Mapping[str, Any], count: int, full: Layer) -> list[Layer]:
    chunk = number(config, "attention_chunk_size", 0, minimum=0)
    rope = numbers(config, "no_rope_layers", count) if config.get("no_rope_layers") else None
    if rope is None:
        every = number(config, "no_rope_layer_interval", 4)
        rope = [int((index + 1) % every != 0) for index in range(count)]
    if not chunk:
        return [full] * count
    chunked = Layer("chunked", full.kv_heads, full.head_size, full.head_size_v, chunk, full.heads)
    return [chunked if entry else full for entry in rope]


def _indexed_full(config: Mapping[str, Any], count: int, full: Layer) -> list[Layer]:
    sparse = section(config, "sparse_attention_config")
    if not sparse or sparse.get("use_sparse_attention") is False:
        return [full] * count
    cache = Cache("indexer", 1, number(sparse, "sparse_index_dim", 128), 0, element=2)
    indexed = Layer("full", full.kv_heads, full.head_size, full.head_size_v, heads=full.heads, extra=(cache,))
    frequency = numbers(sparse, "sparse_attention_freq", count) or [1] * count
    return [indexed if entry else full for entry in frequency]
