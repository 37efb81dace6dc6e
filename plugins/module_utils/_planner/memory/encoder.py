# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Towers: what profiling an image, video or audio encoder takes, and what stays of it while the text is profiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ..model.info import ModelInfo
from ..shape import Shape
from .runner import second_runner

# What the attention of a vision block holds of each patch at once, in hidden states. On every rank: the positions'
# embedding, the block's input, its norm, its output. Divided between ranks: query, key and value as projected, queries
# and keys laid out for the rotation, the same rotated, the attention's output.
_WHOLE, _DIVIDED = 4, 8
# 0.11.0 rotates queries and keys together in 4-byte floats, beside contiguous copies; 0.11.1 and 0.11.2 without copies.
_DIVIDED_0_11_0, _DIVIDED_0_11 = 16, 13

# Towers of families whose published configurations are often copied without them.
_UNSTATED: Mapping[str, Mapping[str, int]] = {
    "llama4": {"image_size": 336, "patch_size": 14, "hidden_size": 1408, "intermediate_size": 5632},
}

# 0.11 and 0.12 make room for what an encoder answers by the tokens of the prompt, and count 12.5 of them for each of a
# video's (the times between its frames). The largest video of Qwen3-VL: two frames of 3520 x 3520 pixels.
_WIDENED, _WIDENED_UNTIL = (0, 11), (0, 13)
_VIDEO_SIDE, _VIDEO_TIMES = 3520, 12.5


@dataclass(frozen=True)
class Encoding:
    """Bytes of the profiled batch of images: ``peak`` while encoded, ``outputs`` and ``pixels`` kept afterwards."""

    peak: int = 0
    outputs: int = 0
    pixels: int = 0


@dataclass(frozen=True)
class Item:
    """The largest image: tokens it becomes, patches it is cut into, numbers of its pixels."""

    tokens: int
    patches: int
    pixels: int


def _number(section: Mapping[str, Any], key: str, default: int) -> int:
    value = section.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**24 else default


def largest_item(model: ModelInfo, vision: Mapping[str, Any]) -> Item:
    """What the processor of the family makes of the largest image it takes."""
    family = model.wrapper or ""
    patch = _number(vision, "patch_size", 14)
    if family.startswith(("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")):
        # The processors of these families allow 16,384 tokens an image; four patches become one token.
        merge = _number(vision, "spatial_merge_size", 2) ** 2
        patches = 16384 * merge
        return Item(16384, patches, patches * 3 * _number(vision, "temporal_patch_size", 2) * patch * patch)
    size = _number(vision, "image_size", 448 if family == "kimi_vl" else 896)
    side = size // patch
    merge = _number(model.outer, "spatial_merge_size", 1)
    if family == "gemma3":
        return Item(_number(model.outer, "mm_tokens_per_image", 256), side * side, 3 * size * size)
    if family == "gemma4":
        tokens = _number(vision, "default_output_length", 280)
        return Item(tokens, tokens * 9, tokens * 9 * 3 * patch * patch)
    if family == "llama4":
        chunks = 17  # the largest grid of tiles and the thumbnail
        return Item(chunks * side * side // 4, chunks * side * side, chunks * 3 * size * size)
    if family in ("mistral3", "pixtral"):
        merged = side // merge
        return Item(merged * (merged + 1), side * side, 3 * size * size)
    if family == "llava_next":
        grid = model.outer.get("image_grid_pinpoints")
        tiles = 1
        if isinstance(grid, (list, tuple)):
            for pair in grid[:64]:
                if isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(n, int) for n in pair):
                    tiles = max(tiles, 1 + pair[0] * pair[1] // (size * size))
        return Item(tiles * side * side, tiles * side * side, tiles * 3 * size * size)
    if family in ("kimi_vl", "kimi_k25"):
        return Item(4096, 16384, 16384 * 3 * patch * patch)
    return Item(max(1, side * side // max(1, merge * merge)), side * side, 3 * size * size)


def encoding(model: ModelInfo, shape: Shape) -> Encoding:
    """The profiled batch of images of ``model``, nothing for a model without towers or with images switched off."""
    vision = model.outer.get("vision_config")
    if not isinstance(vision, Mapping):
        vision = _UNSTATED.get(model.wrapper or "", {})
    if not model.multimodal or not vision or _switched_off(model, shape):
        return Encoding()
    item = largest_item(model, vision)
    room = max(shape.tokens, item.tokens)
    widened = _WIDENED <= shape.version < _WIDENED_UNTIL
    if widened and (model.wrapper or "").startswith("qwen3_vl") and not _limited(shape, ("video",)):
        item = _video(vision)
        room = int(item.tokens * _VIDEO_TIMES)
        count = 1
    else:
        # As many of the largest images as a batch may hold, and one where not even one fits.
        count = max(1, room // item.tokens)
    hidden = _number(vision, "hidden_size", 1024)
    if "embed_dim" in vision:
        hidden = _number(vision, "embed_dim", hidden)
    inner = _number(vision, "intermediate_size", int(hidden * float(_ratio(vision))))
    ranks = 1 if shape.engine_args.get("mm-encoder-tp-mode") == "data" else shape.tensor
    per_patch = _WHOLE * hidden + max(_divided(shape) * hidden, 2 * inner) // ranks
    deep = vision.get("deepstack_visual_indexes")
    streams = 1 + (len(deep) if isinstance(deep, (list, tuple)) else 0)
    pixels = count * item.pixels * shape.width
    outputs = count * item.tokens * model.hidden * streams * shape.width
    peak = count * item.patches * per_patch * shape.width + pixels + outputs * (streams - 1) // streams
    if widened and item.tokens < room:
        outputs += count * room * model.hidden * streams * shape.width
    # The second runner lets go of the pixels before the text is profiled, the first holds them.
    return Encoding(peak, outputs, 0 if second_runner(model, shape) else pixels)


def _video(vision: Mapping[str, Any]) -> Item:
    """The largest video of Qwen3-VL, two frames as one."""
    patch = _number(vision, "patch_size", 16)
    patches = (_VIDEO_SIDE // patch) ** 2
    merge = _number(vision, "spatial_merge_size", 2) ** 2
    return Item(patches // merge, patches, patches * 3 * _number(vision, "temporal_patch_size", 2) * patch * patch)


def _divided(shape: Shape) -> int:
    if (0, 11) <= shape.version < (0, 12):
        return _DIVIDED_0_11_0 if shape.version < (0, 11, 1) else _DIVIDED_0_11
    return _DIVIDED


def _ratio(vision: Mapping[str, Any]) -> float:
    ratio = vision.get("mlp_ratio")
    return ratio if isinstance(ratio, (int, float)) and not isinstance(ratio, bool) and 0 < ratio < 64 else 4.0


def _switched_off(model: ModelInfo, shape: Shape) -> bool:
    """Whether no image is ever encoded: by name, or because every kind of them is limited to none."""
    args = shape.engine_args
    if args.get("language-model-only") or args.get("skip-mm-profiling"):
        return True
    return _limited(shape, ("image", "video") if (model.wrapper or "").startswith("qwen") else ("image",))


def _limited(shape: Shape, kinds: tuple[str, ...]) -> bool:
    limits = shape.engine_args.get("limit-mm-per-prompt")
    return isinstance(limits, Mapping) and all(limits.get(kind) == 0 for kind in kinds)
