# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What libraries hold beside the tensors, in bytes. Constants marked FIT are fitted to published start-up logs."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape
from .accounting import GIB


def non_torch_bytes(model: ModelInfo, shape: Shape) -> int:
    """FIT: libraries' own allocations on one rank after the engine's first look at the card."""
    if shape.tensor == 1:
        return int((0.25 if shape.version >= (0, 18) else 0.13) * GIB)
    return int((2.1 if shape.version >= (0, 18) else 0.55) * GIB)
