# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Weights of one rank of a pipeline stage, from config.json alone: the architecture and the formats it states."""

from __future__ import annotations

from typing import Union

from ..errors import PlanError
from ..kv.cache import stage_layers
from ..model.info import ModelInfo
from ..model.quantization import Quantization, Scheme
from ..model.quantized import read_quantization
from ..model.towers import towers
from ..shape import Shape
from .weights_draft import draft_bytes
from .weights_formats import Experts, Part, experts_bytes, part_bytes, slack, up
from .weights_kernels import as_loaded, online, padding, repacked
from .weights_latent import absorbed_bytes
from .weights_layers import ENDS_EVERYWHERE, Parts, layer_parts, norm_parameters, position_parameters
from .weights_tables import extra_parameters, rotary_bytes

_Any = Union[Part, Experts]
_Group = tuple[tuple[Union[Part, Experts], Union[Scheme, None]], ...]


class Ledger:
    """The parts of each layer of one model with their formats; layers that are alike share one group."""

    def __init__(self, model: ModelInfo) -> None:
        self.model = model
        self.quantization = read_quantization(model.family, model.config, model.outer)
        made: dict[int, Parts] = {}
        groups: dict[tuple[object, ...], _Group] = {}
        self.layers: list[_Group] = []
        # What a layer is depends on where it is: its compression, or whether it has an indexer of its own.
        lone = model.family in ("deepseek_v4", "deepseek_ref") or bool(model.config.get("indexer_types"))
        for index, layer in enumerate(model.layers):
            make = index if lone else id(layer)
            parts = made.get(make)
            if parts is None:
                parts = made[make] = layer_parts(model, layer, index)
            key: tuple[object, ...] = (make,)
            if self.quantization is not None:
                key = (make, self.quantization.signature(index) if self.quantization.uniform else index)
            group = groups.get(key)
            if group is None:
                group = groups[key] = tuple((part, _scheme(self.quantization, part, index)) for part in parts)
            self.layers.append(group)


def _scheme(quantization: Quantization | None, part: _Any, index: int) -> Scheme | None:
    if quantization is None:
        return None
    if isinstance(part, Experts):
        return quantization.scheme(index, part.names, True)
    return None if part.plain or not part.names else quantization.scheme(index, part.names)


_last: list[Ledger] = []


def ledger(model: ModelInfo) -> Ledger:
    """The ledger of ``model``; the last one asked for is kept, as a plan asks for many shapes of one model."""
    if _last and _last[0].model is model:
        return _last[0]
    made = Ledger(model)
    _last[:] = [made]
    return made


def check_known(model: ModelInfo) -> None:
    """Raise ``plan.weights_unknown`` where the config's quantisation does not tell bytes."""
    quantization = ledger(model).quantization
    if quantization is not None and not quantization.known:
        raise PlanError(
            "plan.weights_unknown",
            "The checkpoint is quantised (%s), and what its weights take does not follow from its config."
            % (model.quantization or quantization.method),
            ("Give model.tensors or model.weights_bytes (model_info reads both).",),
        )


def has_head(model: ModelInfo, shape: Shape) -> bool:
    """Whether the model keeps a head over the vocabulary: embedding, reward and rerank models do not."""
    if model.pooling or shape.engine_args.get("runner") == "pooling":
        return False
    if shape.engine_args.get("task") in ("embed", "embedding", "score", "classify", "reward"):
        return False
    name = model.architecture
    return not name.endswith(("Model", "ForSequenceClassification", "ForRewardModel", "ForTokenClassification"))


def stage_bytes(model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """Bytes on the first rank of pipeline ``stage``, as vLLM holds them once loaded."""
    return sum(stage_sizes(model, shape, stage))


def stage_sizes(model: ModelInfo, shape: Shape, stage: int = 0) -> tuple[int, int]:
    """Bytes of the tensors on the first rank of ``stage``, and what a card's allocator gives beyond them."""
    book = ledger(model)
    width, tensor = shape.width, shape.tensor
    adopted = online(shape) if book.quantization is None else None
    sums: dict[int, tuple[int, int]] = {}
    total = spare = 0
    absorbed = absorbed_bytes(model, tensor, width)
    for index in stage_layers(len(book.layers), shape.pipeline, stage):
        group = book.layers[index]
        size = sums.get(id(group))
        if size is None:
            size = sums[id(group)] = _group_bytes(group, adopted, shape)
        total += size[0]
        spare += size[1]
        if model.layers[index].kind == "mla":
            total += absorbed
    total += ends_bytes(model, shape, stage, book.quantization)
    total += towers_bytes(model, shape, adopted)  # every stage holds them, though only the first runs them
    total += rotary_bytes(model, shape, stage)
    if stage == shape.pipeline - 1:
        total += draft_bytes(model, shape)
    table = -(-up(model.vocab, 64) // tensor) * model.hidden * width
    first, last = ends(model, shape, stage)
    spare += slack(table) * (first + (last and not model.tied and has_head(model, shape)))
    return total, spare if shape.gpu is not None else 0


def _group_bytes(group: _Group, adopted: Scheme | None, shape: Shape) -> tuple[int, int]:
    """Bytes of one layer on one rank, and the allocator's slack."""
    total = spare = weights = rest = 0
    for part, own in group:
        scheme = own
        if adopted is not None and (isinstance(part, Experts) or (part.names and not part.plain)):
            scheme = adopted
        scheme = as_loaded(scheme, shape)
        if isinstance(part, Experts):
            size, more = experts_bytes(
                part, scheme, shape.tensor * shape.data, shape.expert, shape.width, padding(scheme, shape)
            )
            total += size
            spare += 0 if adopted is not None or repacked(scheme) else more
            continue
        main, extra = part_bytes(part, scheme, shape.tensor, shape.width)
        total += main + extra
        if scheme is not None and (scheme is adopted or repacked(scheme)):
            continue
        if part.joined:
            weights += main
            rest += extra
        else:
            spare += slack(weights) + slack(rest)
            weights, rest = main, extra
    return total, spare + slack(weights) + slack(rest)


def towers_bytes(model: ModelInfo, shape: Shape, adopted: Scheme | None = None) -> int:
    """Bytes of the towers on one rank of the first stage; with ``mm-encoder-tp-mode: data`` each rank holds all."""
    ranks = 1 if shape.engine_args.get("mm-encoder-tp-mode") == "data" else shape.tensor
    total = 0
    for tower in towers(model):
        share = -(-tower.matrices // ranks)
        total += tower.whole * shape.width
        total += share * shape.width if adopted is None else -(-int(share * adopted.bits) // 8)
    return total


def ends(model: ModelInfo, shape: Shape, stage: int) -> tuple[bool, bool]:
    """Whether a rank of ``stage`` holds what the first and what the last stage needs."""
    if model.family in ENDS_EVERYWHERE:
        return True, True
    return stage == 0, stage == shape.pipeline - 1


def ends_bytes(model: ModelInfo, shape: Shape, stage: int, quantization: Quantization | None) -> int:
    """Embedding, head, last norm and tables outside the layers, of one rank of ``stage``."""
    first, last = ends(model, shape, stage)
    width, tensor = shape.width, shape.tensor
    vocab = -(-up(model.vocab, 64) // tensor)
    table = vocab * model.hidden * width
    total = 0
    head = has_head(model, shape)
    if first or (last and model.tied and head):
        total += table
    if first:
        total += position_parameters(model) * width + extra_parameters(model, tensor) * width
    if last:
        total += norm_parameters(model) * width
        if head and not model.tied:
            # Over several stages vLLM holds a quantised head in the model's own type.
            scheme = head_scheme(quantization) if shape.pipeline == 1 else None
            part = Part((), model.hidden, vocab * tensor, "out")
            total += sum(part_bytes(part, scheme, tensor, width))
    return total


def head_scheme(quantization: Quantization | None) -> Scheme | None:
    """The format of the output head: plain, unless the checkpoint lists it among what it quantised."""
    if quantization is None:
        return None
    found = quantization.listed_head()
    if found is None and quantization.head:
        return quantization.default
    return found


def parameters(model: ModelInfo) -> int:
    """Parameters of the model, one copy; those of a quantised layer count as what they stand for."""
    plain = Shape(version=(0, 32, 0), tokens=1, seqs=1, width=1)
    book = ledger(model)
    total = ends_bytes(model, plain, 0, None) + towers_bytes(model, plain)
    for group in book.layers:
        for part, _scheme_of in group:
            if isinstance(part, Experts):
                total += experts_bytes(part, None, 1, False, 1)[0]
            else:
                total += sum(part_bytes(part._replace(width=1), None, 1, 1))
    return total
