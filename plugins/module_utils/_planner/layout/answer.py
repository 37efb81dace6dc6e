# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The parts of an instance's answer."""

from __future__ import annotations

from typing import Any

from ..kv import cache as kv_cache


def kv_dict(layout: kv_cache.KvLayout, pool: kv_cache.KvPool) -> dict[str, Any]:
    """The ``kv`` part of an instance's answer."""
    return {
        "bytes_per_token": layout.token_bytes,
        "block_size": layout.block_size,
        "groups": [{"kind": group.kind, "layers": group.layers} for group in layout.groups],
        "num_blocks": pool.num_blocks,
        "tokens": pool.tokens,
        "max_concurrency": pool.max_concurrency,
    }
