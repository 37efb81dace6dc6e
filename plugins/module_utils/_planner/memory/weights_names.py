# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What a tensor of a checkpoint is, by its name: where it goes and which ranks hold how much of it."""

from __future__ import annotations

import re
from typing import NamedTuple

# How ranks share a tensor.
WHOLE, DIVIDED, KV, EXPERTS, VOCABULARY, DROPPED, FUSED = (
    "whole",
    "divided",
    "kv",
    "experts",
    "vocab",
    "dropped",
    "fused",
)
# Where it stands.
LAYER, FIRST, LAST, EMBEDDING, HEAD, TOWER = "layer", "first", "last", "embedding", "head", "tower"

_TOWERS = (
    "visual", "vision", "audio", "multi_modal", "mm_projector", "vit.", "embed_vision", "projector", "image_newline",
    "patch_merge",
)  # fmt: skip
_DROPPED = ("rotary_emb.inv_freq", "position_ids", "masked_bias", "attn.bias", "weight_shape", "num_batches_tracked",
            ".weight_g_idx_unused")  # fmt: skip
_KV = frozenset(("k_proj", "v_proj", "key", "value"))
_FUSED = frozenset(("qkv_proj", "query_key_value", "Wqkv", "wqkv", "c_attn", "qkv"))
_OUT = frozenset((
    "q_proj", "q_b_proj", "kv_b_proj", "gate_proj", "up_proj", "gate_up_proj", "w1", "w3", "fc1", "c_fc",
    "dense_h_to_4h", "wq_b", "in_proj", "in_proj_qkvz", "in_proj_ba", "in_proj_qkv", "in_proj_z", "in_proj_a",
    "in_proj_b", "query", "intermediate", "wi", "b_proj", "f_b_proj", "g_b_proj", "dt_proj", "g_proj", "linear_fc1",
    "wo_a", "index_q_proj", "q_conv1d", "k_conv1d", "v_conv1d", "linear_1", "q",
))  # fmt: skip
_IN = frozenset((
    "o_proj", "down_proj", "w2", "out_proj", "dense", "dense_4h_to_h", "wo", "c_proj", "fc2", "wo_b", "proj", "x_proj",
    "linear_fc2", "linear_2", "out_lin", "attention.wo",
))  # fmt: skip
_STATE = frozenset(("A_log", "dt_bias", "D", "A", "conv1d", "sinks", "attn_sink", "attention_sink_bias"))
_EMBEDDINGS = ("embed_tokens.", "word_embeddings.", "wte.", "tok_embeddings.", "embedding.weight", "embeddings.weight",
               "embed.weight", "embed_in.", "embed_tokens_per_layer.")  # fmt: skip
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")
_MODULES = ("weight", "bias", "qweight", "qzeros", "scales", "g_idx", "weight_scale", "weight_scale_inv", "input_scale",
            "weight_scale_2", "weight_packed", "weight_zero_point", "weight_global_scale", "input_global_scale",
            "weight_g_idx", "k_scale", "v_scale", "output_scale", "scale", "blocks")  # fmt: skip


class Kind(NamedTuple):
    """``where`` a tensor stands, how ranks ``share`` it, whether they cut it along its inputs (``inward``)."""

    where: str
    share: str
    inward: bool
    router: bool
    keeps: bool  # its own element type, whatever the model's
    linear: bool  # a weight that online quantisation shrinks
    twice: bool  # held twice once loaded


def layer_of(name: str) -> tuple[int, str]:
    """Index of the layer that a name belongs to (-1: none) and the name from there on."""
    start = name.find("layers.")
    if start >= 0 and (start == 0 or name[start - 1] == "."):
        end = name.find(".", start + 7)
        number = name[start + 7 : end]
        if end > 0 and number.isdigit():
            return int(number), name[end + 1 :]
    found = _LAYER.search(name)
    if found:
        return int(found.group(1)), name[found.end() :]
    return -1, name


def is_tower(name: str) -> bool:
    return any(word in name[:48] for word in _TOWERS)


def kind_of(rest: str, layer: int, name: str, rank: int) -> Kind:
    """What the tensor ``rest`` (the name below its layer) of ``rank`` dimensions is."""
    pieces = rest.split(".")
    last = pieces[-1]
    module = pieces[-2] if last in _MODULES and len(pieces) > 1 else last
    scale = "scale" in last or last in ("qzeros", "g_idx", "scales", "weight_zero_point")
    keeps = (
        ("scale" in last and last not in ("scales",)) or last in ("A_log", "e_score_correction_bias", "ape")
        or rest.startswith("hc_") or name.startswith("hc_") or "tid2eid" in last
    )  # fmt: skip
    if any(rest.endswith(word) or name.endswith(word) for word in _DROPPED):
        return Kind(LAYER, DROPPED, False, False, False, False, False)
    if is_tower(name):
        return Kind(TOWER, _tower_share(module, last, rank), False, False, keeps, False, False)
    if layer < 0:
        return _outside(name, keeps)
    if ".experts." in "." + rest and "shared_expert" not in rest:
        return Kind(LAYER, EXPERTS, False, False, keeps, not scale and last != "bias", False)
    if "indexer" in rest or "index_k_proj" in rest:
        return Kind(LAYER, WHOLE, False, False, keeps, False, False)
    router = module in ("gate", "router") and last in ("weight", "bias")
    if router or (module == "proj" and "router" in rest):
        return Kind(LAYER, WHOLE, False, last == "weight", keeps, False, False)
    matrix = last in ("weight", "qweight", "weight_packed") and rank >= 2
    if module in _STATE:
        return Kind(LAYER, DIVIDED, False, False, keeps, False, module == "conv1d")
    if module in _KV and "cross" not in rest:
        return Kind(LAYER, KV, False, False, keeps, matrix, False)
    if module in _FUSED:
        return Kind(LAYER, FUSED, False, False, keeps, matrix, False)
    if module in _OUT:
        return Kind(LAYER, WHOLE if last in ("g_idx",) else DIVIDED, False, False, keeps, matrix, False)
    if module in _IN:
        whole = last == "bias"
        return Kind(LAYER, WHOLE if whole else DIVIDED, True, False, keeps, matrix, False)
    return Kind(LAYER, WHOLE, False, False, keeps, matrix and "norm" not in module and "a_proj" in module, False)


def _tower_share(module: str, last: str, rank: int) -> str:
    if rank < 2 and not (last == "bias" and (module in _OUT or module in _FUSED or module in _KV)):
        return WHOLE
    divided = module in _OUT or module in _IN or module in _FUSED or module in _KV
    return DIVIDED if divided else WHOLE


def _outside(name: str, keeps: bool) -> Kind:
    if "lm_head" in name or name.startswith(("output.", "head.weight", "embed_out.")):
        return Kind(HEAD, VOCABULARY, False, False, keeps, False, False)
    if any(word in name for word in _EMBEDDINGS) and "position" not in name and "norm" not in name.lower():
        return Kind(EMBEDDING, VOCABULARY, False, False, keeps, False, False)
    if "norm" in name or "ln_f" in name or name.startswith("hc_head") or ".hc_head" in name:
        return Kind(LAST, WHOLE, False, False, keeps, False, False)
    return Kind(FIRST, WHOLE, False, False, keeps, False, False)
