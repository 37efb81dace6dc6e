# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Weights that were given, held against the architecture; and which of them may leave the card."""

from __future__ import annotations

from math import prod

from ..errors import warning
from ..model.info import ModelInfo
from ..request import Model
from ..shape import Shape
from . import weights_config
from .weights_tables import rotary_bytes
from .weights_tensors import TENSOR_BYTES

GIB = 2**30
_PLAIN_SHARE = 0.2  # a config that says nothing may still be of a model in four bits
_QUANTISED_SHARE = 0.5


def given_warnings(request: Model, model: ModelInfo, version: tuple[int, ...]) -> list[str]:
    """A warning ``plan.weights_differ`` where the weights given are far less than the architecture needs."""
    given = _given(request)
    if given is None:
        return []
    quantization = weights_config.ledger(model).quantization
    if quantization is not None and not quantization.known:
        return []
    needed = weights_config.stage_bytes(model, Shape(version=version, tokens=1, seqs=1, width=model.dtype_bytes))
    if given >= needed * (_PLAIN_SHARE if quantization is None else _QUANTISED_SHARE):
        return []
    text = "the weights given are %.2f GiB, and the architecture in the config has about %.2f GiB: is a part missing?"
    return [warning("plan.weights_differ", text % (given / GIB, needed / GIB))]


def _given(request: Model) -> float | None:
    if request.tensors is None:
        return request.weights_bytes
    return sum(prod(shape) * TENSOR_BYTES.get(dtype, 1) for _name, dtype, shape in request.tensors)


def movable_bytes(held: int, model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """Of ``held`` bytes of one rank those that cpu-offload-gb may move: of the layers, as ``make_layers`` of vLLM's
    model_executor/models/utils.py does it. Embedding, head, towers and tables stay on the card."""
    quantization = weights_config.ledger(model).quantization
    stays = weights_config.ends_bytes(model, shape, stage, quantization)
    stays += weights_config.towers_bytes(model, shape) + rotary_bytes(model, shape, stage)
    return max(0, held - stays)
