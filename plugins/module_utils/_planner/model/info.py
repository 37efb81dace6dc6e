# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What config.json says about a model, as one frozen dataclass of plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ..errors import InvalidRequest, PlanError

_DTYPE_BYTES = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}
MAX_LAYERS = 4096

# Model families whose layers the planner understands in full: attention with K and V in every layer, a gated or plain
# feed-forward net or routed experts. Anything else is refused by name rather than sized wrongly.
DENSE = {
    "llama", "mistral", "ministral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "granite", "olmo2",
    "olmo3",
    "smollm3", "exaone4", "glm4", "glm", "internlm3", "seed_oss", "starcoder2", "mimo", "nemotron", "cohere", "cohere2",
    "hunyuan_v1_dense", "ernie4_5", "apertus", "arcee",
}  # fmt: skip
MOE = {"mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss", "minimax_m2", "olmoe", "granitemoe", "glm4_moe", "ernie4_5_moe"}
MLA = {"deepseek_v2", "deepseek_v3", "kimi_k2"}
# Wrappers whose language model sits in text_config; only the text part is planned where the wrapper is listed here.
_REASONS = {
    "qwen3_5": "its layers are a mix of attention and gated delta nets",
    "qwen3_next": "its layers are a mix of attention and gated delta nets",
    "nemotron_h": "its layers are a mix of attention and Mamba",
    "bamba": "its layers are a mix of attention and Mamba",
    "jamba": "its layers are a mix of attention and Mamba",
    "mamba": "it has no attention cache",
    "mamba2": "it has no attention cache",
    "whisper": "it is an encoder-decoder model",
    "bert": "it is an embedding model",
    "llama4": "its layers use chunked attention and a vision tower",
    "deepseek_v32": "its sparse attention keeps an indexer cache",
    "nemotron-nas": "each of its layers has its own shape",
    "deci": "each of its layers has its own shape",
}


@dataclass(frozen=True)
class Layer:
    """One attention layer: ``kind`` is full, sliding or mla; ``window`` in tokens (0: none)."""

    kind: str
    kv_heads: int
    head_size: int
    head_size_v: int
    window: int = 0


@dataclass(frozen=True)
class ModelInfo:
    """Architecture facts; sizes count elements, ``dtype_bytes`` is the width of an unquantised element."""

    family: str
    architecture: str
    layers: tuple[Layer, ...]
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    dtype: str
    dtype_bytes: int
    max_model_len: int | None
    qk_norm: bool
    attention_bias: bool
    experts: int = 0
    experts_per_token: int = 0
    moe_intermediate: int = 0
    shared_intermediate: int = 0
    moe_layers: int = 0
    quantization: str | None = None


def _number(
    config: Mapping[str, Any], key: str, default: int | None = None, minimum: int = 1, maximum: int = 2**31
) -> int:
    value = config.get(key)
    if value is None:
        if default is None:
            raise InvalidRequest("the model's config lacks '%s'" % key)
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest("the model's config has %s: %r, which is not an integer" % (key, value))
    if not minimum <= value <= maximum:
        raise InvalidRequest("the model's config has %s: %d, outside %d to %d" % (key, value, minimum, maximum))
    return value


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    for key in keys:
        if config.get(key) is not None:
            return _number(config, key, minimum=0)
    return 0


def read_model(config: Mapping[str, Any]) -> ModelInfo:
    """Read config.json. Raises InvalidRequest for nonsense, PlanError ``plan.unsupported_model`` for the unknown."""
    family = config.get("model_type")
    if not isinstance(family, str):
        raise InvalidRequest("the model's config lacks 'model_type'")
    architectures = config.get("architectures") or ["unknown"]
    if not isinstance(architectures, list) or not isinstance(architectures[0], str):
        raise InvalidRequest("the model's config has 'architectures' that is not a list of strings")
    text = config.get("text_config")
    if isinstance(text, Mapping) and isinstance(text.get("model_type"), str):
        merged = {key: value for key, value in config.items() if key != "text_config"}
        merged.update({key: value for key, value in text.items() if value is not None})
        config = merged
        _refuse_unknown(text["model_type"], family, config)
        raise PlanError(
            "plan.unsupported_model",
            "The model '%s' has a tower beside its language model, whose memory this planner does not know yet."
            % family,
            ("Choose a text-only model.",),
        )
    _refuse_unknown(family, family, config)
    return _facts(family, architectures[0], config)


def _refuse_unknown(family: str, shown: str, config: Mapping[str, Any]) -> None:
    if family in DENSE or family in MOE or family in MLA:
        return
    reason = next((why for name, why in _REASONS.items() if family.startswith(name)), "its layers are not known")
    raise PlanError(
        "plan.unsupported_model",
        "Models of type '%s' cannot be planned: %s." % (shown, reason),
        ("Choose a model of a known type: %s." % ", ".join(sorted(DENSE | MOE | MLA)),),
    )


def _facts(family: str, architecture: str, config: Mapping[str, Any]) -> ModelInfo:
    layers = _number(config, "num_hidden_layers", maximum=MAX_LAYERS)
    hidden = _number(config, "hidden_size", maximum=2**20)
    heads = _number(config, "num_attention_heads", maximum=2**16)
    kv_heads = _number(config, "num_key_value_heads", heads, maximum=2**16)
    head_dim = _number(config, "head_dim", max(1, hidden // heads), maximum=2**16)
    dtype = _dtype(config)
    experts = _first(config, ("num_experts", "num_local_experts", "n_routed_experts"))
    dense_first = _number(config, "first_k_dense_replace", 0, minimum=0)
    moe_intermediate = _first(config, ("moe_intermediate_size",)) or _number(config, "intermediate_size", 4 * hidden)
    shared = _first(config, ("shared_expert_intermediate_size",))
    if not shared and config.get("n_shared_experts"):
        shared = _number(config, "n_shared_experts") * moe_intermediate
    return ModelInfo(
        family=family,
        architecture=architecture,
        layers=_layers(family, config, layers, kv_heads, head_dim),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=_number(config, "intermediate_size", 4 * hidden),
        vocab=_number(config, "vocab_size", maximum=2**26),
        tied=bool(config.get("tie_word_embeddings", family.startswith("gemma") or family == "cohere")),
        dtype=dtype,
        dtype_bytes=_DTYPE_BYTES[dtype],
        max_model_len=_context(config),
        qk_norm=family in ("qwen3", "qwen3_moe", "gemma3_text", "olmo2", "olmo3", "exaone4", "apertus"),
        attention_bias=bool(config.get("attention_bias", family in ("qwen2", "qwen2_moe"))),
        experts=experts,
        experts_per_token=_first(config, ("num_experts_per_tok", "num_experts_per_token", "moe_topk"))
        if experts
        else 0,
        moe_intermediate=moe_intermediate if experts else 0,
        shared_intermediate=shared if experts else 0,
        moe_layers=max(0, layers - dense_first) if experts else 0,
        quantization=_quantization(config),
    )


def _dtype(config: Mapping[str, Any]) -> str:
    """The element type vLLM's ``dtype: auto`` picks: float32 checkpoints are served as bfloat16."""
    name = config.get("torch_dtype") or config.get("dtype") or "bfloat16"
    if not isinstance(name, str) or name not in _DTYPE_BYTES:
        raise InvalidRequest("the model's config has the unknown torch_dtype %r" % (name,))
    return "bfloat16" if _DTYPE_BYTES[name] == 4 else {"half": "float16"}.get(name, name)


def _context(config: Mapping[str, Any]) -> int | None:
    """Longest context that the config allows, in tokens; rope scaling other than Llama 3's multiplies it."""
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length"):
        if config.get(key) is not None:
            base = _number(config, key)
            break
    else:
        return None
    scaling = config.get("rope_scaling")
    if isinstance(scaling, Mapping):
        factor = scaling.get("factor")
        rope = scaling.get("rope_type", scaling.get("type"))
        if rope in ("linear", "dynamic", "yarn") and isinstance(factor, (int, float)) and 1 <= factor <= 1024:
            original = scaling.get("original_max_position_embeddings")
            if rope == "yarn" and isinstance(original, int) and not isinstance(original, bool) and original > 0:
                base = original
            return int(base * factor)
    return base


def _layers(family: str, config: Mapping[str, Any], count: int, kv_heads: int, head_dim: int) -> tuple[Layer, ...]:
    if family in MLA:
        # One compressed latent and one shared rotary key a token; there is no V of its own.
        width = _number(config, "kv_lora_rank") + _number(config, "qk_rope_head_dim")
        return tuple(Layer("mla", 1, width, 0) for _index in range(count))
    window = config.get("sliding_window")
    if isinstance(window, bool) or not isinstance(window, int) or window <= 0:
        window = 0
    if config.get("use_sliding_window") is False:
        window = 0
    kinds = _layer_kinds(family, config, count) if window else ["full"] * count
    return tuple(Layer(kind, kv_heads, head_dim, head_dim, window if kind == "sliding" else 0) for kind in kinds)


def _layer_kinds(family: str, config: Mapping[str, Any], count: int) -> list[str]:
    """``full`` or ``sliding`` for each layer of a model that has a window."""
    types = config.get("layer_types")
    if isinstance(types, list) and len(types) == count:
        names = {"full_attention": "full", "sliding_attention": "sliding"}
        if any(entry not in names for entry in types):
            raise PlanError(
                "plan.unsupported_model", "The config's layer_types hold kinds other than full and sliding attention."
            )
        return [names[entry] for entry in types]
    pattern = config.get("sliding_window_pattern")
    if family == "gemma3_text" and pattern is None:
        pattern = 6
    if family == "cohere2" and pattern is None:
        pattern = 4
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 1:
        return ["full" if (index + 1) % pattern == 0 else "sliding" for index in range(count)]
    if family in ("gemma2", "gpt_oss"):
        return ["sliding" if index % 2 == 0 else "full" for index in range(count)]
    return ["sliding"] * count


def _quantization(config: Mapping[str, Any]) -> str | None:
    section = config.get("quantization_config") or config.get("compression_config")
    if not isinstance(section, Mapping):
        return None
    method = section.get("quant_method") or section.get("quant_algo")
    return method.lower() if isinstance(method, str) else "unknown"
