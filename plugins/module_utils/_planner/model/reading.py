# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Strict readers of a model's config.json, which nobody has checked: numbers, lists and names, or InvalidRequest."""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

from ..errors import InvalidRequest
from ..values import shown

MAX_LAYERS = 4096
DTYPE_BYTES = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}

LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model", "hidden_dim")
HEADS = ("num_attention_heads", "n_head", "n_heads", "attention_heads")
KV_HEADS = ("n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num", "num_attention_groups")
INTERMEDIATE = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "ffn_hidden_dim")
EXPERTS = ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts")
EXPERTS_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
           "max_target_positions", "max_sequence_length", "max_seq_length", "seq_len")  # fmt: skip


def checked(value: Any, key: str, minimum: int = 1, maximum: int = 2**31) -> int:
    """``value`` as an integer between the bounds, or InvalidRequest that names ``key``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest("the model's config has %s: %s, which is not an integer" % (key, shown(value)))
    if not minimum <= value <= maximum:
        raise InvalidRequest("the model's config has %s: %s, outside %d to %d" % (key, shown(value), minimum, maximum))
    return value


def number(
    config: Mapping[str, Any],
    keys: str | Sequence[str],
    default: int | None = None,
    minimum: int = 1,
    maximum: int = 2**31,
) -> int:
    """The first of ``keys`` that is set, else ``default``; without one the config is invalid."""
    names = (keys,) if isinstance(keys, str) else keys
    for key in names:
        value = config.get(key)
        if value is not None:
            return checked(value, key, minimum, maximum)
    if default is None:
        raise InvalidRequest("the model's config lacks '%s'" % names[0])
    return default


def flag(config: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidRequest("the model's config has %s: %s, which is not true or false" % (key, shown(value)))
    return value


def numbers(config: Mapping[str, Any], key: str, count: int, minimum: int = 0) -> list[int] | None:
    """A list of at least ``count`` integers, one for each layer; None where the key is absent or no list."""
    value = config.get(key)
    if not isinstance(value, (list, tuple)):
        return None
    if len(value) < count:
        raise InvalidRequest("the model's config has %s for %d layers of %d" % (key, len(value), count))
    return [checked(entry, key, minimum) for entry in value[:count]]


def names(config: Mapping[str, Any], key: str, count: int) -> list[str] | None:
    """A list of at least ``count`` strings, one for each layer; None where the key is absent."""
    value = config.get(key)
    if not isinstance(value, (list, tuple)):
        return None
    if len(value) < count or any(not isinstance(entry, str) for entry in value):
        raise InvalidRequest("the model's config has %s that does not name all %d layers" % (key, count))
    return list(value[:count])


def section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A nested object, empty where it is absent."""
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest("the model's config has %s that is not an object" % key)
    return value


def dtype(config: Mapping[str, Any], *outer: Mapping[str, Any]) -> str:
    """The element type vLLM's ``dtype: auto`` picks: float32 checkpoints are served as bfloat16."""
    for place in (config, *outer):
        name = place.get("torch_dtype") or place.get("dtype")
        if name is not None:
            break
    else:
        name = "bfloat16"
    if not isinstance(name, str) or name not in DTYPE_BYTES:
        raise InvalidRequest("the model's config has the unknown torch_dtype %s" % shown(name))
    return "bfloat16" if DTYPE_BYTES[name] == 4 else {"half": "float16"}.get(name, name)


def context(config: Mapping[str, Any], family: str = "", scaled_yarn: bool = False) -> int | None:
    """Longest context that the config allows, in tokens: the smallest of the keys that say so, times rope scaling.

    ``scaled_yarn``: the release takes YaRN's length as already scaled (0.30 on); before, it scaled the original one.
    """
    lengths = [number(config, key) for key in CONTEXT if config.get(key) is not None]
    if not lengths:
        return None
    base = number(config, "model_max_length", min(lengths))
    if family.startswith("gemma3"):
        return base  # its config holds the scaled length
    for rope in _ropes(config):
        base = _scaled(base, rope, scaled_yarn)
        if base != min(lengths):
            break
    return base


def _ropes(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rope settings: one, or one for each kind of layer."""
    for key in ("rope_parameters", "rope_scaling"):
        value = config.get(key)
        if isinstance(value, Mapping):
            nested = [entry for entry in value.values() if isinstance(entry, Mapping)]
            return nested or [value]
    return []


def _scaled(base: int, scaling: Mapping[str, Any], scaled_yarn: bool) -> int:
    factor = scaling.get("factor")
    rope = scaling.get("rope_type", scaling.get("type"))
    if rope not in ("linear", "dynamic", "yarn") or isinstance(factor, bool) or not isinstance(factor, (int, float)):
        return base
    if not math.isfinite(factor) or not 1 <= factor <= 1024:
        return base
    if rope == "yarn":
        original = scaling.get("original_max_position_embeddings")
        if scaled_yarn:
            return base
        if isinstance(original, int) and not isinstance(original, bool) and original > 0:
            base = original
    return int(base * factor)
