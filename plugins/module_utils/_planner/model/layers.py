# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The layers of a model: what each remembers of a request, and what follows it. Counts are those of the whole model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """What a recurrent layer keeps of one request, of all ranks together; elements, not bytes.

    ``conv`` is channels of the short convolution, each with ``conv_length`` elements (and one more for each speculative
    token); ``groups`` x ``group_size`` of the channels come twice (Mamba 2) and are repeated where ranks outnumber
    groups. ``heads`` x ``rows`` x ``columns`` is the recurrent state itself, ``checkpoints`` the copies that a layer
    with prefix caching keeps beside it. ``ssm_dtype`` is the type of the recurrent state: a name, auto (the model's) or
    release (what the release takes where the config is silent).
    """

    kind: str
    conv: int = 0
    conv_length: int = 0
    groups: int = 0
    group_size: int = 0
    heads: int = 0
    rows: int = 0
    columns: int = 0
    ssm_dtype: str = "auto"
    checkpoints: int = 0
    speculative: bool = True


@dataclass(frozen=True)
class Cache:
    """One table of a layer. ``kind`` is full, sliding, chunked, mla, sliding_mla, indexer or cross.

    ``entry_bytes`` (0: computed from the heads) are those of one token or, where ``tokens_per_entry`` tokens are
    pressed into one, of one entry; ``window`` is in tokens (0: none); ``block`` is a block size that the layer insists
    on; ``element`` the bytes of one element (0: those of the KV type).
    """

    kind: str
    heads: int
    size: int
    size_v: int
    window: int = 0
    entry_bytes: int = 0
    tokens_per_entry: int = 1
    alignment: int = 1
    block: int = 0
    element: int = 0


@dataclass(frozen=True)
class Layer:
    """One layer of the decoder.

    ``kind``: full, sliding, chunked or mla for attention; mamba1, mamba2, gdn, kda, lightning or conv for a recurrent
    one; none for a layer that only computes. ``window`` in tokens (of a chunk where chunked; 0: none). ``heads`` are
    the query heads. A layer may have ``state`` beside attention. ``shares_kv``: it reads the cache of an earlier layer.
    ``mlp`` is dense, moe or none; ``intermediate`` is the width of the dense net, ``experts`` their number where moe.
    """

    kind: str
    kv_heads: int
    head_size: int
    head_size_v: int
    window: int = 0
    heads: int = 0
    state: State | None = None
    extra: tuple[Cache, ...] = ()
    shares_kv: bool = False
    mlp: str = "dense"
    intermediate: int = 0
    experts: int = 0


ATTENTION = frozenset(("full", "sliding", "chunked", "mla"))


@dataclass(frozen=True)
class Mla:
    """Widths of multi-head latent attention; ``q_lora_rank`` 0 means that queries are not compressed."""

    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True)
class Indexer:
    """The small attention that picks which tokens a sparse one reads."""

    heads: int
    head_dim: int
    topk: int


@dataclass(frozen=True)
class Encoder:
    """The encoder of an encoder-decoder model; ``length`` is the tokens that it hands over."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    length: int
