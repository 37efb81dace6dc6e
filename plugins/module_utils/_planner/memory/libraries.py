# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What libraries hold beside the tensors, in bytes of one rank. Constants marked FIT are fitted to published logs."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape
from .cards import GIB, MIB, multiprocessors, nvlink, unified
from .runner import second_runner
from .sampler import state_bytes

_MODULES = int(
    0.06 * GIB
)  # FIT: kernels loaded after the first look (0.06 with the second runner, 0.07 on a first stage)
# FIT: stack that the kernels of sampling take on each multiprocessor: 0.25 GiB in all on an H100 from 0.17 on, 0.16 on
# a 16 GB card; before, 0.13 on an H100 and 0.03 on others.
_SAMPLER_PER_SM = int(1.45 * MIB)
_SORT_HOPPER = int(0.07 * GIB)
# FIT: NCCL's and the all-reduce kernels' buffers of two ranks. Boards with NVLink: 0.55 GiB in all (0.11), 2.07 (0.19:
# from 0.17 on all-reduce and norm are one kernel with a workspace). Cards without: 1.1 to 1.8 (two and four L4), 0.6
# on two 3090 under Windows.
_NVLINK_OLD, _NVLINK, _PCIE = int(0.45 * GIB), int(1.82 * GIB), int(1.25 * GIB)
_NVLINK_EACH = int(0.03 * GIB)  # FIT: for each further rank (2.07 at two, 2.13 at four)
# FIT: on a card that shares the host's memory vLLM looks at what the host has free, so the process itself counts (one
# reading of a GB10).
_HOST_PROCESS = int(1.5 * GIB)


def non_torch_bytes(model: ModelInfo, shape: Shape, stage: int | None = None) -> int:
    """Libraries' own allocations after the engine's first look at the card; ``stage`` None is the last one.

    From 0.27 on vLLM counts by what is free, so tensors that the runner keeps are counted too: they stand here.
    """
    last = stage is None or stage == shape.pipeline - 1
    held = _MODULES
    if last and not second_runner(model, shape):
        held += _sampling(shape)
    if shape.tensor > 1:
        held += _joined(shape)
    if last and shape.version >= (0, 27):
        held += state_bytes(model, shape)
    return held + (_HOST_PROCESS if unified(shape.gpu) else 0)


def _sampling(shape: Shape) -> int:
    hopper = shape.gpu is not None and shape.gpu.capability is not None and shape.gpu.capability[0] == 9
    if shape.version < (0, 17):
        return _SORT_HOPPER if hopper else -_MODULES // 2
    return multiprocessors(shape.gpu) * _SAMPLER_PER_SM


def _joined(shape: Shape) -> int:
    if not nvlink(shape.gpu):
        return _PCIE
    return (_NVLINK_OLD if shape.version < (0, 17) else _NVLINK) + _NVLINK_EACH * (shape.tensor - 2)


# FIT to one reading (4070, 0.8.5, a 4B model: 9852 MiB at a budget of 7158): of what quantising while loading frees, so
# much stays with PyTorch's allocator in pieces too small for the cache. Layers are quantised one by one from 0.15 on.
_PIECES = 2 / 3


def allocator_bytes(model: ModelInfo, shape: Shape, weights: int) -> int:
    """What a model quantised while it loads leaves with the allocator, beside ``weights`` bytes of one rank."""
    online = shape.quantization is not None and model.quantization is None
    if not online or shape.version >= (0, 15):
        return 0
    whole = model.vocab * model.hidden * shape.width * (1 if model.tied else 2) // shape.tensor
    return int(max(0, weights - whole) * _PIECES)
