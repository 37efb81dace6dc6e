# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""How releases of vLLM count: when the rules of groups, blocks and requests changed. Read in their sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Rules:
    """The arithmetic of one release."""

    hybrid_manager: bool  # layers of different kinds get groups of their own (0.9.1)
    chunk_groups: bool  # so do chunked ones (0.10.0, and 0.14 on; between, a slower path turned it off)
    scale_blocks: bool  # unequal pages are made equal by larger blocks (0.12)
    pad_pages: bool  # what cannot be scaled is padded (0.24; latents never)
    larger_group: float  # take the larger count as group size below this ratio (1.25 from 0.12, 1.5 from 0.19)
    in_flight: bool  # windows reserve for every batch under way (0.26)
    every_group: bool  # one request is counted over all groups, not the first only (0.19)
    layer_sum: bool  # before 0.14 one request was the sum over layers, each with its own block
    null_block: bool  # one block is set apart when a request is checked (0.29)
    concurrency_tokens: bool  # tokens = concurrency x context (0.20.1)
    group_tokens: bool  # tokens = blocks / groups x block (0.11)
    state_modes: bool  # states are counted by mode: one, or two where prefixes are cached (0.15)
    caches_states: bool  # prefixes of models with states are cached unless told otherwise (0.26)
    every_state: bool  # Mamba kept a state for each block of the prompt where prefixes are cached (0.15 to 0.27)
    kernel_window_block: bool  # sliding layers take the smallest block of their kernels (0.25 to 0.29)
    fitting_window_block: bool  # they take the largest that fits the page of the others (0.30)


@lru_cache(maxsize=256)
def rules(version: tuple[int, ...]) -> Rules:
    """The rules of release ``version``."""
    return Rules(
        hybrid_manager=version >= (0, 9, 1),
        chunk_groups=version >= (0, 14) or (0, 10) <= version < (0, 10, 1),
        scale_blocks=version >= (0, 12),
        pad_pages=version >= (0, 24),
        larger_group=1.5 if version >= (0, 19) else 1.25 if version >= (0, 12) else 0.0,
        in_flight=version >= (0, 26),
        every_group=version >= (0, 19),
        layer_sum=version < (0, 14),
        null_block=version >= (0, 29),
        concurrency_tokens=version >= (0, 20, 1),
        group_tokens=version >= (0, 11),
        state_modes=version >= (0, 15),
        caches_states=version >= (0, 26),
        every_state=(0, 15) <= version < (0, 28),
        kernel_window_block=(0, 25) <= version < (0, 30),
        fitting_window_block=version >= (0, 30),
    )
