# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Towers beside a language model (vision, audio) and what projects their output: parameters, shared and whole."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from .info import ModelInfo

_QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3_vl", "qwen3_5", "qwen3_omni")


class Tower(NamedTuple):
    """Elements of one tower: ``matrices`` that ranks divide, ``whole`` that each rank holds, ``layers`` of it."""

    matrices: int
    whole: int
    layers: int


def _n(section: Mapping[str, Any], default: int, *keys: str) -> int:
    for key in keys:
        value = section.get(key)
        if isinstance(value, (list, tuple)) and value:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**24:
            return value
    return default


def towers(model: ModelInfo) -> tuple[Tower, ...]:
    """The towers of ``model``; none for a model that only knows text."""
    if model.wrapper is None:
        return ()
    out = []
    place = model.outer
    thinker = place.get("thinker_config")
    if isinstance(thinker, Mapping):
        place = thinker
    vision = place.get("vision_config")
    if vision is None and model.wrapper == "llama4":
        vision = {}  # the defaults of the family
    if isinstance(vision, Mapping):
        out.append(_vision(model.wrapper, place, vision, model.hidden))
    audio = place.get("audio_config")
    if isinstance(audio, Mapping) and audio:
        out.append(_audio(audio, model.hidden))
    return tuple(out)


def _vision(wrapper: str, place: Mapping[str, Any], vision: Mapping[str, Any], text: int) -> Tower:
    if wrapper.startswith(_QWEN):
        return _qwen(wrapper, vision, text)
    if wrapper.startswith(("glm4v", "glm_ocr")):
        return _glm(vision, text)
    if wrapper.startswith("gemma4"):
        return _gemma4(vision, text)
    if wrapper.startswith("llama4"):
        return _llama4(vision, text)
    if wrapper.startswith(("kimi_k25", "kimi_vl", "kimi_k3")):
        return _moon(vision, text)
    if wrapper.startswith(("mistral3", "pixtral")):
        return _pixtral(place, vision, text)
    if wrapper.startswith("minimax_m3"):
        return _minimax(place, vision, text)
    return _siglip(wrapper, place, vision, text)


def _qwen(wrapper: str, vision: Mapping[str, Any], text: int) -> Tower:
    """Qwen: patches over time, blocks without a class token, a merger of four patches into one token."""
    second = wrapper.startswith("qwen2_vl")
    gated = wrapper.startswith(("qwen2_5_vl", "qwen2_5_omni"))
    hidden = _n(vision, 1280, "embed_dim" if second else "hidden_size", "hidden_size")
    depth = _n(vision, 32, "depth", "num_hidden_layers")
    ratio = vision.get("mlp_ratio", 4)
    wide = int(hidden * ratio) if isinstance(ratio, (int, float)) and 0 < ratio < 64 else 4 * hidden
    inner = wide if second else _n(vision, 4 * hidden, "intermediate_size")
    patch, steps = _n(vision, 14, "patch_size"), _n(vision, 2, "temporal_patch_size")
    merged = hidden * _n(vision, 2, "spatial_merge_size") ** 2
    out = _n(vision, text, "out_hidden_size") if not second else _n(vision, text, "hidden_size")
    block = 4 * hidden * hidden + 3 * hidden + (3 * hidden * inner + 2 * inner if gated else 2 * hidden * inner + inner)
    merger = merged * merged + merged + merged * out
    matrices = depth * block + merger
    norms = 2 if gated else 4
    whole = (
        depth * (2 * hidden + norms * hidden)
        + _n(vision, 3, "in_channels", "in_chans") * steps * patch * patch * hidden
    )
    whole += out + (1 if gated else 2) * hidden
    if not second and not gated:
        deep = vision.get("deepstack_visual_indexes")
        count = len(deep) if isinstance(deep, (list, tuple)) else 0
        matrices += count * merger
        whole += count * (2 * merged + out) + hidden + _n(vision, 2304, "num_position_embeddings") * hidden
    heads = _n(vision, 16, "num_heads", "num_attention_heads")
    return Tower(matrices, whole + 8192 * (hidden // heads // 2), depth)


def _glm(vision: Mapping[str, Any], text: int) -> Tower:
    """GLM: blocks without biases, four patches pressed into one by a convolution, a gated net behind."""
    hidden, depth = _n(vision, 1536, "hidden_size"), _n(vision, 24, "depth", "num_hidden_layers")
    out, inner = _n(vision, text, "out_hidden_size"), _n(vision, 13696, "intermediate_size")
    patch, steps = _n(vision, 14, "patch_size"), _n(vision, 2, "temporal_patch_size")
    merge = _n(vision, 2, "spatial_merge_size")
    heads = _n(vision, 12, "num_heads", "num_attention_heads")
    matrices = depth * (4 * hidden * hidden + 3 * hidden * out) + out * out + 3 * out * inner
    whole = depth * 2 * hidden + (3 * steps * patch * patch + 3) * hidden + 2 * out
    whole += (_n(vision, 336, "image_size") // patch) ** 2 * hidden + out * hidden * merge * merge + out
    return Tower(matrices, whole + 8192 * (hidden // heads // 2), depth)


def _gemma4(vision: Mapping[str, Any], text: int) -> Tower:
    hidden, depth = _n(vision, 1152, "hidden_size"), _n(vision, 27, "num_hidden_layers")
    inner, patch = _n(vision, 4304, "intermediate_size"), _n(vision, 16, "patch_size")
    size = _n(vision, 72, "head_dim")
    wide = _n(vision, 16, "num_attention_heads") * size
    block = 4 * hidden * wide + 3 * hidden * inner + 4 * hidden + 2 * size
    whole = depth * block + 2 * _n(vision, 10240, "position_embedding_size") * hidden + 3 * patch * patch * hidden
    return Tower(0, whole + text * hidden, depth)  # each rank holds all of it


def _llama4(vision: Mapping[str, Any], text: int) -> Tower:
    hidden, depth = _n(vision, 768, "hidden_size"), _n(vision, 34, "num_hidden_layers")
    inner, patch = _n(vision, 5632, "intermediate_size"), _n(vision, 14, "patch_size")
    image, heads = _n(vision, 448, "image_size"), _n(vision, 16, "num_attention_heads")
    fed, out = _n(vision, 4096, "projector_input_dim"), _n(vision, 4096, "projector_output_dim")
    seen = _n(vision, 7680, "vision_output_dim")
    block = 4 * hidden * hidden + 3 * hidden + 2 * hidden * inner + inner
    positions = (image // patch) ** 2 + 1
    whole = depth * 6 * hidden + hidden * (1 + positions + 3 * patch * patch + 4)
    whole += positions * (hidden // heads // 2) * 4  # a table of complex angles
    adapter = inner * fed + fed * out
    return Tower(depth * block + adapter + seen * text, whole, depth)


def _moon(vision: Mapping[str, Any], text: int) -> Tower:
    hidden = _n(vision, 1152, "vt_hidden_size", "hidden_size")
    depth = _n(vision, 27, "vt_num_hidden_layers", "num_hidden_layers")
    inner, patch = _n(vision, 4304, "vt_intermediate_size", "intermediate_size"), _n(vision, 14, "patch_size")
    wide = _n(vision, hidden, "qkv_hidden_size")
    kernel = vision.get("merge_kernel_size")
    merge = 4
    if (
        isinstance(kernel, (list, tuple))
        and len(kernel) == 2
        and all(isinstance(n, int) and 0 < n < 64 for n in kernel)
    ):
        merge = kernel[0] * kernel[1]
    merged = hidden * merge
    rows = _n(vision, 64, "init_pos_emb_height") * _n(vision, 64, "init_pos_emb_width")
    block = 4 * hidden * wide + 3 * wide + 2 * hidden * inner + inner
    whole = depth * 6 * hidden + (3 * patch * patch + 1 + rows) * hidden + 4 * hidden + text
    whole += merged * merged + merged + merged * text  # what projects is whole on every rank
    return Tower(depth * block, whole, depth)


def _pixtral(place: Mapping[str, Any], vision: Mapping[str, Any], text: int) -> Tower:
    hidden, depth = _n(vision, 1024, "hidden_size"), _n(vision, 24, "num_hidden_layers")
    inner, patch = _n(vision, 4096, "intermediate_size"), _n(vision, 16, "patch_size")
    merge = _n(place, 1, "spatial_merge_size") ** 2
    matrices = depth * (4 * hidden * hidden + 3 * hidden * inner) + hidden * text + text * text
    whole = depth * 2 * hidden + hidden * (3 * patch * patch + 1)
    if merge > 1:
        matrices += merge * hidden * hidden
        whole += hidden
    return Tower(matrices, whole, depth)


def _minimax(place: Mapping[str, Any], vision: Mapping[str, Any], text: int) -> Tower:
    hidden, depth = _n(vision, 1280, "hidden_size"), _n(vision, 32, "num_hidden_layers")
    inner, patch = _n(vision, 5120, "intermediate_size"), _n(vision, 14, "patch_size")
    block = 4 * hidden * hidden + 3 * hidden + 2 * hidden * inner + inner
    first = _n(place, text, "projector_hidden_size")
    projector = hidden * first + first * text + 4 * text * first + first * text
    whole = depth * 6 * hidden + 2 * hidden + 2 * 3 * patch * patch * hidden + 2 * (first + text)
    return Tower(depth * block + projector, whole, depth)


def _siglip(wrapper: str, place: Mapping[str, Any], vision: Mapping[str, Any], text: int) -> Tower:
    """CLIP and SigLIP with a projector of one matrix (Gemma 3) or two."""
    hidden, depth = _n(vision, 1152, "hidden_size"), _n(vision, 27, "num_hidden_layers")
    inner, patch = _n(vision, 4304, "intermediate_size"), _n(vision, 14, "patch_size")
    image = _n(vision, 384, "image_size")
    taken = place.get("vision_feature_layer")
    if isinstance(taken, int) and not isinstance(taken, bool) and -depth <= taken < -1:
        depth += taken + 1  # what comes after the layer that is read is not loaded
    block = 4 * hidden * hidden + 3 * hidden + 2 * hidden * inner + inner
    whole = depth * 6 * hidden + (3 * patch * patch + (image // patch) ** 2 + 4) * hidden
    if wrapper.startswith("gemma3"):
        return Tower(depth * block, whole + hidden * text + hidden, depth)
    return Tower(depth * block + hidden * text + text * text, whole + 2 * text, depth)


def _audio(audio: Mapping[str, Any], text: int) -> Tower:
    """An encoder like Whisper's, or a conformer of like size."""
    hidden = _n(audio, 1280, "d_model", "hidden_size")
    depth = _n(audio, 32, "encoder_layers", "num_hidden_layers", "conf_num_hidden_layers")
    inner = _n(audio, 4 * hidden, "encoder_ffn_dim", "intermediate_size")
    bins, rows = _n(audio, 128, "num_mel_bins", "input_feat_size"), _n(audio, 1500, "max_source_positions")
    matrices = depth * (4 * hidden * hidden + 2 * hidden * inner)
    whole = depth * (9 * hidden + inner) + 3 * bins * hidden + 3 * hidden * hidden + rows * hidden + hidden * text
    return Tower(matrices, whole, depth)
