# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Parts of recurrent layers: gated delta nets, Mamba, short convolutions, Kimi's delta attention."""

from __future__ import annotations

from typing import Union

from ..model.info import ModelInfo
from ..model.layers import State
from ..model.reading import flag
from .weights_formats import Experts, Part, vector

Parts = list[Union[Part, Experts]]


def state_parts(model: ModelInfo, state: State) -> Parts:
    """What computes ``state``."""
    maker = {"gdn": _delta_net, "kda": _delta_attention, "mamba2": _mamba2, "mamba1": _mamba1, "conv": _conv}
    return maker[state.kind](model, state) if state.kind in maker else []


def _delta_net(model: ModelInfo, state: State) -> Parts:
    hidden, values = model.hidden, state.heads * state.rows
    keys = state.conv - values
    return [
        Part(("linear_attn.in_proj_qkv", "linear_attn.in_proj_qkvz"), hidden, state.conv + values, "out"),
        # vLLM keeps this one as it is: its outputs are too few to quantise.
        Part(("linear_attn.in_proj_ba", "linear_attn.in_proj_b"), hidden, 2 * state.heads, "out"),
        Part(("linear_attn.out_proj",), values, hidden, "in"),
        vector((keys + values) * (state.conv_length + 1) + state.heads, "out"),
        vector(state.heads, "out", 4),
        vector(state.rows),
    ]


def _delta_attention(model: ModelInfo, state: State) -> Parts:
    hidden, width, name = model.hidden, state.heads * state.rows, "self_attn"
    return [
        Part((name + ".q_proj",), hidden, 3 * width, "out", state.heads),
        Part((name + ".b_proj",), hidden, state.heads, "out"),
        Part((name + ".f_a_proj",), hidden, state.rows),
        Part((name + ".f_b_proj",), state.rows, width, "out", state.heads),
        Part((name + ".g_a_proj",), hidden, state.rows),
        Part((name + ".g_b_proj",), state.rows, width, "out", state.heads),
        Part((name + ".o_proj",), width, hidden, "in"),
        vector(3 * width * (state.conv_length + 1), "out"),
        vector(width + state.heads, "out", 4),
        vector(state.rows),
    ]


def _mamba2(model: ModelInfo, state: State) -> Parts:
    hidden, inner = model.hidden, state.heads * state.rows
    channels = inner + 2 * state.groups * state.group_size
    name = "mixer" if model.family in ("nemotron_h", "mamba2") else "mamba"
    bias = (
        inner + channels + state.heads if flag(model.config, "use_bias") or flag(model.config, "mamba_proj_bias") else 0
    )
    kernel = state.conv_length + 1
    out: Parts = [
        Part((name + ".in_proj",), hidden, inner + channels + state.heads, "out", 0, bias),
        Part((name + ".out_proj",), inner, hidden, "in"),
        # The kernels of the convolution are held twice: as loaded, and laid out for the kernel that runs them.
        vector(channels * (2 * kernel + 1), "out"),
        vector(2 * state.heads, "out"),
        vector(state.heads, "out", 4),
        vector(inner, "out"),
    ]
    if bias:
        out.append(vector(hidden))
    return out


def _mamba1(model: ModelInfo, state: State) -> Parts:
    hidden, inner, size = model.hidden, state.conv, state.columns
    value = model.config.get("time_step_rank") or model.config.get("mamba_dt_rank")
    rank = value if isinstance(value, int) and not isinstance(value, bool) else -(-hidden // 16)
    kernel = state.conv_length + 1
    return [
        Part(("mixer.in_proj",), hidden, 2 * inner, "out"),
        Part(("mixer.x_proj",), inner, rank + 2 * size, "in"),
        Part(("mixer.dt_proj",), rank, inner, "out", 0, inner),
        Part(("mixer.out_proj",), inner, hidden, "in"),
        vector(inner * (kernel + 1), "out"),
        vector(inner * (size + 1), "out", 4),
    ]


def _conv(model: ModelInfo, state: State) -> Parts:
    return [
        Part(("conv.in_proj",), model.hidden, 3 * state.conv, "out"),
        Part(("conv.out_proj",), state.conv, model.hidden, "in"),
        vector(state.conv * (state.conv_length + 1), "out"),
    ]
