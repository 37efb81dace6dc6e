# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What config.json says about a model, as one frozen dataclass of plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Mapping

from ..errors import InvalidRequest
from . import attention, feed, recurrent
from .known import ENCODER_DECODER, ENCODERS, KNOWN, MLA, RECURRENT, TEXT_SECTIONS, check_served, refuse
from .layers import ATTENTION, Cache, Encoder, Indexer, Layer, Mla
from .reading import (
    DTYPE_BYTES,
    EXPERTS_PER_TOKEN,
    HEADS,
    HIDDEN,
    LAYERS,
    MAX_LAYERS,
    checked,
    context,
    dtype,
    flag,
    number,
    section,
)

SCALED_YARN = (0, 30)  # releases from this one on take the length of a config with YaRN as it stands

__all__ = ["MLA", "Layer", "ModelInfo", "read_model"]

_QK_NORM = frozenset((
    "qwen3", "qwen3_moe", "gemma3_text", "olmo2", "olmo3", "exaone4", "apertus", "qwen3_vl_text", "qwen3_vl_moe_text",
    "gemma4_text", "gemma3n_text", "qwen3_5_text", "qwen3_5", "qwen3_5_moe_text", "qwen3_5_moe", "qwen3_next",
    "step3p5", "step3p7", "minimax_m2", "minimax_m3", "glm4_moe", "olmoe", "exaone_moe",
))  # fmt: skip
_FLAT_WRAPPERS = {"qwen2_vl": "qwen2_vl_text", "qwen2_5_vl": "qwen2_5_vl_text", "minimax_m3_vl": "minimax_m3"}
_TEXT_NAMES = {"minimax_m3_vl": "minimax_m3", "gemma3": "gemma3_text", "gemma4": "gemma4_text",
               "gemma3n": "gemma3n_text", "llama4": "llama4_text",
               "kimi_k3": "kimi_linear"}  # fmt: skip


@dataclass(frozen=True)
class ModelInfo:
    """Architecture facts of the whole model; sizes count elements, ``dtype_bytes`` is the width of a plain element.

    ``family`` is the type of the language model, ``wrapper`` the type of the whole config where that differs (a model
    with towers). ``layers`` are those of the decoder; drafts (``mtp_layers``) come on top when they are used.
    ``config`` is the language model's section merged over the rest, ``outer`` the whole config, for what else is asked
    of it; neither takes part in comparisons.
    """

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
    wrapper: str | None = None
    mla: Mla | None = None
    indexer: Indexer | None = None
    mtp_layers: int = 0
    draft: tuple[Layer, ...] = ()
    encoder: Encoder | None = None
    pooling: bool = False
    moe_latent: int = 0
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    outer: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def distinct(self) -> tuple[Layer, ...]:
        """The different layers; equal ones are one object."""
        return tuple({id(layer): layer for layer in self.layers}.values())

    @cached_property
    def hybrid(self) -> bool:
        """Attention and recurrent layers in one model: blocks are as large as a state."""
        layers = self.distinct
        return any(layer.state for layer in layers) and any(layer.kind in ATTENTION for layer in layers)

    @property
    def is_mla(self) -> bool:
        """Whether attention keeps one latent, the same on every rank, in place of K and V heads."""
        return any(layer.kind == "mla" for layer in self.distinct)

    @property
    def multimodal(self) -> bool:
        """Whether towers stand beside the language model."""
        return self.wrapper is not None


def read_model(config: Mapping[str, Any], version: tuple[int, ...] = ()) -> ModelInfo:
    """Read config.json as release ``version`` does (the newest where it is not said).

    Raises InvalidRequest for nonsense, PlanError ``plan.unsupported_model`` for the unknown.
    """
    outer = config
    family = config.get("model_type")
    if not isinstance(family, str) or not family:
        raise InvalidRequest("the model's config lacks 'model_type'")
    architectures = config.get("architectures") or ["unknown"]
    if not isinstance(architectures, (list, tuple)) or not isinstance(architectures[0], str):
        raise InvalidRequest("the model's config has 'architectures' that is not a list of strings")
    text, wrapper = _text_section(config, family)
    if text is not None:
        merged = {key: value for key, value in config.items() if key not in TEXT_SECTIONS}
        merged.update({key: value for key, value in text.items() if value is not None})
        config, family = merged, wrapper[1]
    if family not in KNOWN:
        raise refuse(family)
    check_served(family, architectures[0])
    info = _facts(family, architectures[0], config, outer, wrapper[0])
    if version and version < SCALED_YARN:
        info = replace(info, max_model_len=context(config, family))
    return info


def _text_section(config: Mapping[str, Any], family: str) -> tuple[Mapping[str, Any] | None, tuple[str | None, str]]:
    """The section that describes the language model, the wrapper's type and the language model's."""
    for key in TEXT_SECTIONS:
        text = config.get(key)
        if not isinstance(text, Mapping):
            continue
        inner = text.get("text_config")
        if key == "thinker_config" and isinstance(inner, Mapping):
            text = inner
        name = text.get("model_type")
        if not isinstance(name, str) or not name:
            name = family
        return text, (family, _TEXT_NAMES.get(name, name))
    if family in _FLAT_WRAPPERS:
        return {}, (family, _FLAT_WRAPPERS[family])
    towered = any(isinstance(config.get(key), Mapping) for key in ("vision_config", "audio_config"))
    return None, (family if towered and family not in ENCODERS else None, family)


def _facts(
    family: str, architecture: str, config: Mapping[str, Any], outer: Mapping[str, Any], wrapper: str | None
) -> ModelInfo:
    if family in ENCODER_DECODER:
        return _encoder_decoder(family, architecture, config, outer)
    count = _count(config)
    hidden = number(config, HIDDEN, maximum=2**20)
    heads, kv_heads, head_dim = attention.head_counts(family, config)
    layers = _layers(family, config, count)
    type_name = dtype(config, outer)
    experts = max((layer.experts for layer in layers), default=0)
    moe_width = number(config, "moe_intermediate_size", 0, minimum=0) if not _listed(config) else _largest(config)
    moe_width = moe_width or number(config, ("expert_dim", "ffn_hidden_size", "intermediate_size"), 4 * hidden)
    mla = attention.read_mla(config) if family in MLA and config.get("kv_lora_rank") is not None else None
    info = ModelInfo(
        family=family,
        architecture=architecture,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=feed.dense_width(family, config) if family != "nemotron-nas" else _widest(layers),
        vocab=number(config, ("padded_vocab_size", "vocab_size"), maximum=2**26),
        tied=flag(config, "tie_word_embeddings", family.startswith(("gemma", "cohere"))),
        dtype=type_name,
        dtype_bytes=DTYPE_BYTES[type_name],
        max_model_len=context(config, family, scaled_yarn=True),
        qk_norm=family in _QK_NORM or flag(config, "use_qk_norm"),
        attention_bias=flag(
            config, "attention_bias", family in ("qwen2", "qwen2_moe", "qwen2_vl_text", "qwen2_5_vl_text")
        ),
        experts=experts,
        experts_per_token=number(config, EXPERTS_PER_TOKEN, 1, minimum=0) if experts else 0,
        moe_intermediate=moe_width if experts else 0,
        shared_intermediate=_shared(config, moe_width) if experts else 0,
        moe_layers=sum(1 for layer in layers if layer.mlp == "moe"),
        quantization=_quantization(config, outer),
        wrapper=wrapper,
        mla=mla,
        indexer=_indexer(config) if any(cache.kind == "indexer" for layer in layers for cache in layer.extra) else None,
        mtp_layers=number(
            config,
            ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"),
            1 if family == "qwen3_next" else 0,  # vLLM takes one where this family's config is silent
            minimum=0,
            maximum=64,
        ),
        pooling=family in ENCODERS,
        moe_latent=number(config, "moe_latent_size", 0, minimum=0),
        config=config,
        outer=outer,
    )
    return replace(info, draft=_draft(info)) if info.mtp_layers else info


def _count(config: Mapping[str, Any]) -> int:
    """Decoder layers; some configs only list them."""
    listed = config.get("layers_block_type") or config.get("hybrid_override_pattern")
    default = len(listed) if isinstance(listed, (list, tuple, str)) else None
    return checked(number(config, LAYERS, default), LAYERS[0], maximum=MAX_LAYERS)


def _layers(family: str, config: Mapping[str, Any], count: int) -> tuple[Layer, ...]:
    if family in ENCODERS:
        plain = Layer("none", 0, 0, 0, heads=number(config, HEADS), intermediate=feed.dense_width(family, config))
        return (plain,) * count
    if family not in RECURRENT:
        base = attention.attention(family, config, count)
        return _joined(base, feed.feeds(family, config, count))
    kinds = recurrent.kinds(family, config, count)
    count = len(kinds)
    state = recurrent.state(family, config)
    attentive = attention.attention(family, config, count)
    nets = feed.feeds(family, config, count)
    lone, bare = Layer(state.kind, 0, 0, 0, state=state), Layer("none", 0, 0, 0)
    both = {id(layer): replace(layer, state=state) for layer in attentive} if "both" in kinds else {}
    out = []
    for index, kind in enumerate(kinds):
        net = nets[index]
        if family == "nemotron_h":  # a layer is one thing only
            net = (kind, net[1] if kind == "dense" else 0, feed.expert_count(config) if kind == "moe" else 0)
            net = net if kind in ("dense", "moe") else ("none", 0, 0)
        layer = attentive[index]
        if kind in ("dense", "moe"):
            layer = bare
        elif kind == "state":
            layer = lone
        elif kind == "both":
            layer = both[id(layer)]
        out.append((layer, net))
    return _joined([layer for layer, _net in out], [net for _layer, net in out])


def _joined(layers: list[Layer], nets: list[tuple[str, int, int]]) -> tuple[Layer, ...]:
    """Attention and feed-forward nets in one; equal layers become the same object."""
    made: dict[tuple[int, tuple[str, int, int]], Layer] = {}
    out = []
    for layer, net in zip(layers, nets):
        key = (id(layer), net)
        if key not in made:
            made[key] = replace(layer, mlp=net[0], intermediate=net[1], experts=net[2])
        out.append(made[key])
    return tuple(out)


def _draft(info: ModelInfo) -> tuple[Layer, ...]:
    """The attention layers that a draft of the checkpoint itself adds (multi-token prediction)."""
    for layer in reversed(info.layers):
        if layer.kind in ("full", "mla"):
            return (replace(layer, state=None),) * info.mtp_layers
    return ()


def _listed(config: Mapping[str, Any]) -> bool:
    return isinstance(config.get("moe_intermediate_size"), (list, tuple))


def _largest(config: Mapping[str, Any]) -> int:
    entries = config["moe_intermediate_size"]
    return max((number({"moe_intermediate_size": entry}, "moe_intermediate_size") for entry in entries), default=0)


def _widest(layers: tuple[Layer, ...]) -> int:
    return max((layer.intermediate for layer in layers), default=0)


def _shared(config: Mapping[str, Any], moe_width: int) -> int:
    """Width of the experts that every token passes, of all of them together."""
    shared = number(
        config,
        (
            "shared_expert_intermediate_size",
            "moe_shared_expert_intermediate_size",
            "share_expert_dim",
            "shared_intermediate_size",
        ),
        0,
        minimum=0,
    )
    count = number(config, ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 0, minimum=0)
    if not shared and count:
        return count * moe_width
    if not shared and str(config.get("model_type", "")).startswith("llama4"):
        return number(config, "intermediate_size")
    return shared


def _indexer(config: Mapping[str, Any]) -> Indexer:
    sparse = section(config, "sparse_attention_config")
    if sparse:
        return Indexer(
            number(sparse, "sparse_num_index_heads", 4),
            number(sparse, "sparse_index_dim", 128),
            number(sparse, "sparse_topk_blocks", 16) * number(sparse, "sparse_block_size", 128),
        )
    return Indexer(
        number(config, "index_n_heads", 64), number(config, "index_head_dim", 128), number(config, "index_topk", 2048)
    )


def _encoder_decoder(family: str, architecture: str, config: Mapping[str, Any], outer: Mapping[str, Any]) -> ModelInfo:
    """Whisper: its decoder keeps its own tokens and what the encoder handed over."""
    hidden = number(config, "d_model", maximum=2**20)
    heads = number(config, "decoder_attention_heads", maximum=2**16)
    head_dim = max(1, hidden // heads)
    width = number(config, "decoder_ffn_dim", 4 * hidden)
    cross = Cache("cross", heads, head_dim, head_dim)
    layer = Layer("full", heads, head_dim, head_dim, heads=heads, extra=(cross,), intermediate=width)
    type_name = dtype(config)
    return ModelInfo(
        family=family,
        architecture=architecture,
        layers=(layer,) * number(config, "decoder_layers", maximum=MAX_LAYERS),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        intermediate=width,
        vocab=number(config, "vocab_size", maximum=2**26),
        tied=flag(config, "tie_word_embeddings", True),
        dtype=type_name,
        dtype_bytes=DTYPE_BYTES[type_name],
        max_model_len=context(config, family, scaled_yarn=True),
        qk_norm=False,
        attention_bias=True,
        quantization=_quantization(config, outer),
        encoder=Encoder(
            layers=number(config, "encoder_layers", maximum=MAX_LAYERS),
            hidden=hidden,
            heads=number(config, "encoder_attention_heads"),
            intermediate=number(config, "encoder_ffn_dim", 4 * hidden),
            length=number(config, "max_source_positions", 1500),
        ),
        config=config,
        outer=outer,
    )


def _quantization(config: Mapping[str, Any], outer: Mapping[str, Any]) -> str | None:
    for place in (outer, config):
        part = place.get("quantization_config") or place.get("compression_config")
        if isinstance(part, Mapping):
            method = part.get("quant_method") or part.get("quant_algo")
            return method.lower() if isinstance(method, str) else "unknown"
    return None
