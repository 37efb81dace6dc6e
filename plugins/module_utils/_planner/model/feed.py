# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What follows the attention of each layer: a dense net, routed experts or nothing, and how wide it is."""

from __future__ import annotations

from typing import Any, Mapping

from ..errors import InvalidRequest
from .known import HETEROGENEOUS
from .reading import EXPERTS, HIDDEN, INTERMEDIATE, flag, names, number, numbers, section


def expert_count(config: Mapping[str, Any]) -> int:
    """Routed experts of one layer; some configs hold a list with the same number for each modality."""
    for key in EXPERTS:
        value = config.get(key)
        if isinstance(value, (list, tuple)) and value:
            value = value[0]
        if value is not None:
            return number({key: value}, key, minimum=0, maximum=2**20)
    if isinstance(config.get("ffn_config"), Mapping):
        return number(section(config, "ffn_config"), EXPERTS, 0, minimum=0)
    return 0


def dense_width(family: str, config: Mapping[str, Any]) -> int:
    """Width of the dense feed-forward net of a layer that has one."""
    hidden = number(config, HIDDEN, maximum=2**20)
    if family in ("llama4_text", "llama4"):
        return number(config, "intermediate_size_mlp", 4 * hidden)
    if family in ("minimax_m3", "minimax_m3_text"):
        return number(config, ("dense_intermediate_size", "intermediate_size"), 4 * hidden)
    if family == "lfm2":
        return _lfm2(config, hidden)
    value = config.get("intermediate_size")
    if isinstance(value, (list, tuple)) and value:  # Gemma 3n gives one for each layer, all alike
        return number({"intermediate_size": value[0]}, "intermediate_size")
    return number(config, INTERMEDIATE, 4 * hidden)


def _lfm2(config: Mapping[str, Any], hidden: int) -> int:
    width = number(config, ("intermediate_size", "block_ff_dim"), 4 * hidden)
    if not flag(config, "block_auto_adjust_ff_dim", True):
        return width
    width = 2 * width // 3
    multiple = number(config, "block_multiple_of", 256)
    return -(-width // multiple) * multiple


def feeds(family: str, config: Mapping[str, Any], count: int) -> list[tuple[str, int, int]]:
    """For each layer its kind (dense, moe, none), the width of the dense net and the number of experts."""
    if family in ("mamba", "mamba2", "falcon_mamba"):
        return [("none", 0, 0)] * count
    if family in HETEROGENEOUS:
        return _blocks(config, count)
    width, experts = dense_width(family, config), expert_count(config)
    dense = ("dense", width, 0)
    if not experts:
        return [dense] * count
    if family.startswith("gemma4"):
        return [("moe", width, experts)] * count  # a dense net and experts side by side
    routed = ("moe", 0, experts)
    return [routed if sparse else dense for sparse in _sparse(family, config, count)]


def _sparse(family: str, config: Mapping[str, Any], count: int) -> list[bool]:
    """Whether each layer has routed experts."""
    listed = names(config, "mlp_layer_types", count)
    if listed is not None:
        return [entry in ("sparse", "moe") for entry in listed]
    frequency = numbers(config, "moe_layer_freq", count)
    if frequency is not None:
        return [entry != 0 for entry in frequency]
    enumerated = config.get("moe_layers_enum")
    if isinstance(enumerated, str) and enumerated:
        return _listed(enumerated, count)
    if family in ("llama4_text", "llama4"):
        step = number(config, "interleave_moe_layer_step", 1, minimum=0)
        return [step > 0 and (index + 1) % step == 0 for index in range(count)]
    if family == "jamba":
        period, offset = number(config, "expert_layer_period", 2), number(config, "expert_layer_offset", 1, minimum=0)
        return [index % period == offset for index in range(count)]
    if family.startswith("ernie4_5_moe"):
        start, interval = number(config, "moe_layer_start_index", 0, minimum=0), number(config, "moe_layer_interval", 1)
        last = number(config, "moe_layer_end_index", count - 1, minimum=-1)
        last = count - 1 if last < 0 else last
        return [start <= index <= last and (index + 1) % interval == 0 for index in range(count)]
    first = number(config, ("first_k_dense_replace", "num_dense_layers"), 0, minimum=0)
    step = number(config, ("moe_layer_freq", "decoder_sparse_step"), 1)
    dense = _only(config) if config.get("mlp_only_layers") else set()
    if config.get("decoder_sparse_step") is not None:
        return [index not in dense and (index + 1) % step == 0 for index in range(count)]
    if family in ("step3p5",) and not first:
        first = 1
    return [index >= first and index % step == 0 for index in range(count)]


def _only(config: Mapping[str, Any]) -> set[int]:
    value = config["mlp_only_layers"]
    if not isinstance(value, (list, tuple)) or any(not isinstance(entry, int) for entry in value):
        raise InvalidRequest("the model's config has mlp_only_layers that is no list of layers")
    return set(value)


def _listed(text: str, count: int) -> list[bool]:
    try:
        chosen = {int(part) for part in text.split(",")}
    except ValueError:
        raise InvalidRequest("the model's config has moe_layers_enum that is no list of layers") from None
    return [index in chosen for index in range(count)]


def _blocks(config: Mapping[str, Any], count: int) -> list[tuple[str, int, int]]:
    hidden = number(config, HIDDEN, maximum=2**20)
    out: list[tuple[str, int, int]] = []
    blocks = config.get("block_configs")
    for block in blocks[:count] if isinstance(blocks, (list, tuple)) else ():
        part = section(block, "ffn") if isinstance(block, Mapping) else {}
        if flag(part, "no_op") or flag(part, "replace_with_linear"):
            out.append(("none", 0, 0))
            continue
        factor = part.get("ffn_mult")
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor <= 1024:
            out.append(("dense", number(part, "intermediate_size"), 0))
            continue
        out.append(("dense", -(-int(2 * factor * hidden / 3) // 256) * 256, 0))
    return out
