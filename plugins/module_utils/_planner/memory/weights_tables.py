# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Tables beside the layers: angles of the rotary embedding, embeddings of their own for each layer."""

from __future__ import annotations

from typing import Any, Mapping

from ..kv.cache import stage_layers
from ..model.info import ModelInfo
from ..model.layers import Layer
from ..model.reading import number
from ..shape import Shape

# Learnt positions, slopes, or none at all.
_NO_ROTARY = frozenset((
    "gpt2", "gpt_bigcode", "opt", "bloom", "mamba", "mamba2", "falcon_mamba", "nemotron_h", "jamba", "whisper", "bert",
    "roberta", "xlm-roberta", "xlm_roberta", "distilbert", "kimi_linear", "mpt", "clip", "siglip", "siglip2",
))  # fmt: skip
# Sections of the angles follow height, width and time; before 0.32 vLLM made their table four times as long.
_SECTIONED = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "glm4v", "qwen2_5_omni", "qwen3_omni", "glm_ocr",
              "keye", "ernie4_5_moe_vl")  # fmt: skip
_FLOAT_ANGLES = frozenset(("gpt_oss", "deepseek_v4", "deepseek_ref"))


def _rope(config: Mapping[str, Any], key: str) -> Any:
    for place in ("rope_parameters", "rope_scaling"):
        section = config.get(place)
        if isinstance(section, Mapping) and section.get(key) is not None:
            return section[key]
    return config.get(key)


def _share(model: ModelInfo, size: int) -> int:
    """Elements of a head that turn."""
    config = model.config
    for key in ("rotary_dim", "rotary_ndims"):
        fixed = config.get(key)
        if isinstance(fixed, int) and not isinstance(fixed, bool) and 0 < fixed <= size:
            return fixed
    for key in ("partial_rotary_factor", "rotary_pct", "rotary_percent", "rope_percent"):
        factor = _rope(config, key)
        if isinstance(factor, (int, float)) and not isinstance(factor, bool) and 0 < factor < 1:
            return int(size * factor)
    return size


def _sectioned(model: ModelInfo) -> bool:
    name = model.wrapper or model.family
    return name.startswith(_SECTIONED)


def _angles(model: ModelInfo, layer: Layer) -> tuple[int, bool]:
    """Elements that turn, and whether the layer has a base of its own."""
    if layer.kind == "mla" or model.family == "minicpm3":
        return number(model.config, "qk_rope_head_dim", 64, minimum=0), False
    local = layer.kind == "sliding" and (
        model.config.get("rope_local_base_freq") is not None
        or model.config.get("swa_rope_theta") is not None
        or model.family in ("gemma3_text", "gemma4_text", "gemma3n_text")
    )
    if model.family == "gemma4_text":
        return layer.head_size, local
    return _share(model, layer.head_size), local


def rotary_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """Bytes of the tables of angles: one row a position, one table for each width and base, the same on every rank."""
    positions = model.max_model_len or 0
    if not positions or model.family in _NO_ROTARY:
        return 0
    tables: set[tuple[int, bool]] = set()
    seen: set[int] = set()
    for layer in model.layers:
        if id(layer) not in seen and layer.kind in ("full", "sliding", "chunked", "mla"):
            seen.add(id(layer))
            tables.add(_angles(model, layer))
    if model.family in ("deepseek_v4", "deepseek_ref"):
        own = stage_layers(len(model.layers), shape.pipeline, stage)
        ratios = model.config.get("compress_ratios")
        listed = ratios if isinstance(ratios, (list, tuple)) else ()
        bases = {index < len(listed) and listed[index] in (0, 1) for index in own}
        return len(bases) * positions * number(model.config, "qk_rope_head_dim", 64) * 4
    if model.family == "deepseek_v32":
        tables.add((number(model.config, "qk_rope_head_dim", 64), True))  # the indexer turns its keys another way
    if _sectioned(model) and shape.version < (0, 32):
        positions *= 4
    width = 4 if model.family in _FLOAT_ANGLES else shape.width
    return sum(positions * size * width for size, _local in tables)


def extra_parameters(model: ModelInfo, tensor: int) -> int:
    """Elements of embeddings that each layer has beside the common one (Gemma 3n and 4)."""
    size = number(model.config, "hidden_size_per_layer_input", 0, minimum=0)
    if not size or not model.family.startswith("gemma"):
        return 0
    count = len(model.layers)
    rows = number(model.config, "vocab_size_per_layer_input", model.vocab)
    table = -(-rows // 64) * 64 // tensor * count * size
    return table + model.hidden * count * size + size
