# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What one engine is started with, as far as its memory depends on it: the seam between layout, memory and kv."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from .request import Gpu


@dataclass(frozen=True)
class Shape:
    """One engine's batch, parallel layout and switches. Counts are tokens, requests and ranks; widths are bytes."""

    version: tuple[int, ...]
    tokens: int  # max-num-batched-tokens
    seqs: int  # max-num-seqs
    width: int = 2  # bytes of one activation element (the model's type as served)
    kv_dtype: str = "auto"
    block_size: int | None = None  # the user's; None: what the release and the attention backend choose
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: bool = False  # enable-expert-parallel
    eager: bool = False
    prefix_caching: bool = True
    async_scheduling: bool = True
    hybrid_manager: bool = True  # not disable-hybrid-kv-cache-manager
    quantization: str | None = None  # the engine argument; None: what the checkpoint says
    speculative_tokens: int = 0
    gpu: Gpu | None = None  # the (smallest) card; None on a CPU
    kernel_block: int = 16  # smallest block that the attention kernels take (32 on a CPU)
    engine_args: Mapping[str, Any] = field(default_factory=dict)  # the rest, linted
