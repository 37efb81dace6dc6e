# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The states of recurrent layers (Mamba, gated delta nets, short convolutions) and which layers have them."""

from __future__ import annotations

from typing import Any, Mapping

from ..errors import InvalidRequest
from .layers import State
from .reading import HIDDEN, names, number, numbers, section

_SSM_DTYPES = frozenset(("auto", "float32", "float16", "bfloat16"))
_BLOCKS = {
    "linear_attention": "state", "mamba": "state", "conv": "state", "M": "state", "full_attention": "full",
    "attention": "full", "*": "full", "-": "dense", "E": "moe", "hybrid": "both", "moe": "moe", "mlp": "dense",
}  # fmt: skip


def kinds(family: str, config: Mapping[str, Any], count: int) -> list[str]:
    """For each layer ``state``, ``full`` (attention), ``both``, or the feed-forward net it only is: dense or moe."""
    if family in ("mamba", "mamba2", "falcon_mamba"):
        return ["state"] * count
    if family == "falcon_h1":
        return ["both"] * count
    if family == "kimi_linear":
        return _kda_kinds(config, count)
    if family == "jamba" and not config.get("layers_block_type"):
        period, offset = number(config, "attn_layer_period", 8), number(config, "attn_layer_offset", 4, minimum=0)
        return ["full" if index % period == offset else "state" for index in range(count)]
    if family == "bamba" and not config.get("layers_block_type"):
        attention = set(numbers(config, "attn_layer_indices", 0) or ())
        return ["full" if index in attention else "state" for index in range(count)]
    found = _listed(family, config, count)
    if found is None:
        raise InvalidRequest("the model's config does not say which of its layers are recurrent")
    unknown = [entry for entry in found if entry not in _BLOCKS]
    if unknown:
        raise InvalidRequest("the model's config has layers of the unknown kind '%s'" % unknown[0][:40])
    return [_BLOCKS[entry] for entry in found]


def _listed(family: str, config: Mapping[str, Any], count: int) -> list[str] | None:
    pattern = config.get("hybrid_override_pattern")
    if family == "nemotron_h" and isinstance(pattern, str):
        if len(pattern) < count:
            raise InvalidRequest("the model's config has hybrid_override_pattern for %d layers" % len(pattern))
        return list(pattern)  # vLLM makes a layer of each letter
    for key in ("layers_block_type", "layer_types"):
        found = names(config, key, count)
        if found is not None:
            return found
    if family.startswith(("qwen3_next", "qwen3_5")):
        interval = number(config, "full_attention_interval", 4)
        return ["full_attention" if (index + 1) % interval == 0 else "linear_attention" for index in range(count)]
    if family in ("lfm2", "lfm2_moe"):
        attention = set(numbers(config, "full_attn_idxs", 0) or ())
        return ["full_attention" if index in attention else "conv" for index in range(count)]
    return None


def _kda_kinds(config: Mapping[str, Any], count: int) -> list[str]:
    linear = section(config, "linear_attn_config")
    entries = linear.get("kda_layers")
    if not isinstance(entries, (list, tuple)):
        raise InvalidRequest("the model's config lacks 'linear_attn_config.kda_layers'")
    listed = {entry for entry in entries if isinstance(entry, int)}
    return ["state" if index + 1 in listed else "full" for index in range(count)]  # counted from one there


def state(family: str, config: Mapping[str, Any]) -> State:
    """The state of one recurrent layer of the whole model."""
    if family.startswith(("qwen3_next", "qwen3_5")) or family == "olmo_hybrid":
        return _gated_delta_net(config)
    if family == "kimi_linear":
        return _delta_attention(config)
    if family in ("lfm2", "lfm2_moe"):
        width = number(config, ("conv_dim", "hidden_size"))
        return State("conv", conv=width, conv_length=number(config, "conv_L_cache", 3) - 1, speculative=False)
    if family in ("mamba", "falcon_mamba", "jamba"):
        return _mamba1(family, config)
    return _mamba2(family, config)


def _gated_delta_net(config: Mapping[str, Any]) -> State:
    key_dim, value_dim = number(config, "linear_key_head_dim", 128), number(config, "linear_value_head_dim", 128)
    keys, values = number(config, "linear_num_key_heads", 16), number(config, "linear_num_value_heads", 32)
    return State(
        "gdn",
        conv=key_dim * keys * 2 + value_dim * values,
        conv_length=number(config, "linear_conv_kernel_dim", 4) - 1,
        heads=values,
        rows=value_dim,
        columns=key_dim,
        ssm_dtype=_ssm_dtype(config, "mamba_ssm_dtype", "auto"),
    )


def _delta_attention(config: Mapping[str, Any]) -> State:
    linear = section(config, "linear_attn_config")
    heads, size = number(linear, "num_heads"), number(linear, "head_dim")
    kernel = number(linear, "short_conv_kernel_size", 4)
    # Only kernels for a bounded gate and heads of 128 hand out states of the middle of a prompt.
    bounded = linear.get("gate_lower_bound") is not None and size == 128
    return State(
        "kda",
        conv=3 * heads * size,
        conv_length=kernel - 1,
        heads=heads,
        rows=size,
        columns=size,
        ssm_dtype="float32",
        checkpoints=int(bounded),
    )


def _mamba1(family: str, config: Mapping[str, Any]) -> State:
    if family == "jamba":
        width = number(config, "mamba_expand", 2) * number(config, HIDDEN)
        size, kernel = number(config, "mamba_d_state", 16), number(config, "mamba_d_conv", 4)
    else:
        width = number(config, "intermediate_size", 2 * number(config, HIDDEN))
        size, kernel = number(config, "state_size", 16), number(config, "conv_kernel", 4)
    return State("mamba1", conv=width, conv_length=kernel - 1, heads=width, rows=1, columns=size, speculative=False)


def _mamba2(family: str, config: Mapping[str, Any]) -> State:
    hidden = number(config, HIDDEN)
    if family == "mamba2":
        heads, size = number(config, "num_heads", 128), number(config, "head_dim", 64)
        groups, state_size = number(config, "n_groups", 8), number(config, "state_size", 128)
        width, kernel = number(config, "expand", 2) * hidden, number(config, "conv_kernel", 4)
    elif family == "nemotron_h":
        heads, size = number(config, "mamba_num_heads"), number(config, "mamba_head_dim")
        groups, state_size = number(config, "n_groups", 8), number(config, "ssm_state_size", 128)
        width, kernel = heads * size, number(config, "conv_kernel", 4)
    else:
        heads = number(config, ("mamba_n_heads", "n_mamba_heads"), 128)
        size = number(config, ("mamba_d_head", "mamba_headdim"), 64)
        groups = number(config, ("mamba_n_groups", "mamba_ngroups"), 1)
        state_size = number(config, "mamba_d_state", 256 if family in ("falcon_h1", "granitemoehybrid") else 64)
        kernel = number(config, "mamba_d_conv", 4)
        width = number(config, "mamba_d_ssm", 0, minimum=0) if family == "falcon_h1" else 0
        width = width or number(config, "mamba_expand", 2) * hidden
    default = "release" if family == "nemotron_h" else "auto"  # vLLM's own choice, which changed
    return State(
        "mamba2",
        conv=width,
        conv_length=kernel - 1,
        groups=groups,
        group_size=state_size,
        heads=heads,
        rows=size,
        columns=state_size,
        ssm_dtype=_ssm_dtype(config, "mamba_ssm_cache_dtype", default),
        checkpoints=1,
    )


def _ssm_dtype(config: Mapping[str, Any], key: str, default: str) -> str:
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or value not in _SSM_DTYPES:
        raise InvalidRequest("the model's config has the unknown %s %r" % (key, str(value)[:40]))
    return value
