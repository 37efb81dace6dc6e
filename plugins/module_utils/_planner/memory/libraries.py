# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What libraries hold beside the tensors, in bytes of one rank. Constants marked FIT are fitted to published logs."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape
from .cards import GIB, MIB, multiprocessors, nvlink, peer_access, unified
from .runner import second_runner
from .sampler import state_bytes

# FIT: kernels loaded after the first look: 0.06 with the second runner, 0.07 on a first stage.
_MODULES = int(0.06 * GIB)
# FIT: what the kernels of sampling load, 0.13 GiB in all on an H100 and 0.03 on others; and from 0.17 on the stack of
# theirs on each multiprocessor: 0.25 in all on an H100, 0.15 on an L40S (two logs), 0.12 on a 5090, 0.09 on a 5070 Ti.
_SORT_HOPPER = int(0.07 * GIB)
_SAMPLER_PER_SM = int(0.93 * MIB)
# FIT: NCCL's and the all-reduce kernels' buffers of two ranks, and of each further one. Some come with the ranks'
# group, which until 0.10.2 was made after the engine's first look at the card (1.38 GiB on two H200, 1.84 on four H100)
# and since is made before it. The rest comes later: 0.55 on two H100 (0.11), 2.07 and 2.13 on two and four (0.19: from
# 0.17 on all-reduce and norm are one kernel on Hopper and newer, with a workspace); without NVLink 1.1 to 1.5 (L4s,
# Quadros). GeForce cards have no peer access, their ranks meet in the host's memory: 0.5 (two 5090).
_GROUP, _GROUP_EACH = int(0.8 * GIB), int(0.2 * GIB)
_LATER, _FUSED, _UNLINKED, _NO_PEER = int(0.42 * GIB), int(1.79 * GIB), int(1.15 * GIB), int(0.53 * GIB)
_LATER_EACH = int(0.03 * GIB)
# FIT: on a card that shares the host's memory vLLM looks at what the host has free, so the process itself counts (one
# reading of a GB10).
_HOST_PROCESS = int(1.4 * GIB)
# FIT: what PyTorch's allocator holds between the tensors, seen where what is free is what counts, from 0.27 on: what
# two logs call consumed, less weights, kept tensors and kernels (0.13 and 0.11).
_LEFT_BETWEEN = int(0.12 * GIB)


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
    if shape.version >= (0, 27):
        held += _LEFT_BETWEEN + (state_bytes(model, shape) if last else 0)
    return held + (_HOST_PROCESS if unified(shape.gpu) else 0)


def _sampling(shape: Shape) -> int:
    hopper = shape.gpu is not None and shape.gpu.capability is not None and shape.gpu.capability[0] == 9
    loaded = _SORT_HOPPER if hopper else -_MODULES // 2
    return loaded + (multiprocessors(shape.gpu) * _SAMPLER_PER_SM if shape.version >= (0, 17) else 0)


def group_bytes(shape: Shape) -> int:
    """What joining the ranks takes, whether before or after the engine's first look at the card."""
    return _GROUP + _GROUP_EACH * (shape.tensor - 2) if shape.tensor > 1 else 0


def unseen_group_bytes(shape: Shape) -> int:
    """The part of ``group_bytes`` that is taken before the engine first looks at the card: its budget never sees it."""
    return group_bytes(shape) if shape.version >= (0, 11) else 0


def _joined(shape: Shape) -> int:
    linked = nvlink(shape.gpu)
    fused = shape.version >= (0, 17) and shape.gpu is not None and (shape.gpu.capability or (0, 0))[0] in (9, 10)
    if shape.version >= (0, 17) and not linked:
        later = _UNLINKED if peer_access(shape.gpu) else _NO_PEER
    else:
        later = (_FUSED if fused else _LATER) + _LATER_EACH * (shape.tensor - 1)
    return later + group_bytes(shape) - unseen_group_bytes(shape)


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
