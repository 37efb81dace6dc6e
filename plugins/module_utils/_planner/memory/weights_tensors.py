# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Weights of one rank of a pipeline stage, from the headers of the checkpoint."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from ..errors import PlanError
from ..kv.cache import stage_layers
from ..model.info import ModelInfo
from ..shape import Shape
from . import weights_names as names
from .weights_config import ends, has_head, ledger, stage_sizes
from .weights_draft import draft_bytes
from .weights_formats import up
from .weights_kernels import as_loaded, online, padding
from .weights_latent import absorbed_bytes
from .weights_layers import FLOAT_ROUTERS
from .weights_tables import rotary_bytes

TENSOR_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1, "F4": 0.5, "F4_E2M1": 0.5,
}  # fmt: skip
_FLOATS = frozenset(("F64", "F32", "F16", "BF16"))
Tensors = tuple[tuple[str, str, tuple[int, ...]], ...]


class Sums:
    """Of one layer (or of what stands outside them), by the way ranks share: bytes that stay, and elements of the
    model's own type, those of them in linear layers apart."""

    __slots__ = ("fixed", "floats", "keys", "linear", "tiles", "values")

    def __init__(self) -> None:
        self.fixed: dict[str, float] = {}
        self.floats: dict[str, int] = {}
        self.linear: dict[str, int] = {}
        self.tiles: dict[str, float] = {}
        self.keys = 0
        self.values = 0


class Digest(NamedTuple):
    layers: dict[int, Sums]
    outside: dict[str, Sums]
    stored_head: bool


_last: list[tuple[Tensors, ModelInfo, Digest]] = []


def digest(tensors: Tensors, model: ModelInfo) -> Digest:
    """Sum the headers by layer; the last checkpoint asked for is kept, as a plan asks for many shapes of it."""
    if _last and _last[0][0] is tensors and _last[0][1] is model:
        return _last[0][2]
    made = _digest(tensors, model)
    _last[:] = [(tensors, model, made)]
    return made


def _digest(tensors: Tensors, model: ModelInfo) -> Digest:
    count = len(model.layers)
    layers: dict[int, Sums] = {}
    outside: dict[str, Sums] = {}
    kinds: dict[tuple[str, int], names.Kind] = {}
    spare = _spare(model)
    float_router = model.family in FLOAT_ROUTERS
    twice = any(layer.state is not None and layer.state.kind == "mamba2" for layer in model.layers)
    for name, dtype, shape in tensors:
        index, rest = names.layer_of(name)
        tower = index >= 0 and names.is_tower(name)
        if tower:
            index, rest = -1, name
        if index >= count or name.startswith("mtp.") or ".mtp." in name:
            continue  # drafts for speculation, which are loaded apart
        key = (rest if index >= 0 else name, len(shape))
        kind = kinds.get(key)
        if kind is None:
            kind = kinds[key] = names.kind_of(rest, index, name, len(shape))
        if kind.share == names.DROPPED or (spare and rest.rsplit(".", 1)[-1] in spare):
            continue
        elements = 1
        for size in shape:
            elements *= size
        width = TENSOR_BYTES.get(dtype) or TENSOR_BYTES.get(dtype.upper())
        if width is None:
            raise PlanError("plan.unsupported_dtype", "Tensor '%s' has the unknown element type %s." % (name, dtype))
        if index >= 0:
            sums = layers.get(index)
            if sums is None:
                sums = layers[index] = Sums()
        else:
            sums = outside.setdefault(kind.where, Sums())
        share = kind.share
        if share == names.DIVIDED and (elements <= 4 or (kind.inward and len(shape) == 2 and shape[1] == 1)):
            share = names.WHOLE  # one scale for the layer, or for each output of a layer cut by its inputs
        elif share == names.WHOLE and model.family in ("olmo2", "olmo3", "olmoe", "minimax_m2") and "_norm" in rest:
            share = _norm_share(rest)
        elif share == names.VOCABULARY and len(shape) == 2:
            elements = up(shape[0], 64) * shape[1]
        if kind.twice and twice:
            elements *= 2
        if dtype in _FLOATS and not kind.keeps:
            if kind.router and float_router:
                sums.fixed[share] = sums.fixed.get(share, 0) + 4 * elements
            elif kind.linear:
                sums.linear[share] = sums.linear.get(share, 0) + elements
                if rest.endswith("k_proj.weight"):
                    sums.keys += elements
                elif rest.endswith("v_proj.weight"):
                    sums.values += elements
            else:
                sums.floats[share] = sums.floats.get(share, 0) + elements
        elif rest.endswith("weight_scale_inv") or (name.endswith("weight_scale") and len(shape) == 2 and shape[1] > 1):
            sums.tiles[share] = sums.tiles.get(share, 0) + elements * width
        else:
            sums.fixed[share] = sums.fixed.get(share, 0) + elements * width
    return Digest(layers, outside, names.HEAD in outside)


def _norm_share(rest: str) -> str:
    if "q_norm" in rest:
        return names.DIVIDED
    return names.KV if "k_norm" in rest else names.WHOLE


def _spare(model: ModelInfo) -> frozenset[str]:
    """Tensors of GPTQ that its kernels do without: the order of groups in their order, zero points all alike."""
    section: Any = model.outer.get("quantization_config") or model.config.get("quantization_config")
    if not isinstance(section, Mapping) or "gptq" not in str(section.get("quant_method")):
        return frozenset()
    out = set()
    if section.get("desc_act") is not True:
        out.add("g_idx")
    if section.get("sym") is not False:
        out.add("qzeros")
    return frozenset(out)


class Shares:
    """Part of a rank of what is shared in each way."""

    def __init__(self, model: ModelInfo, shape: Shape) -> None:
        tensor, ranks = shape.tensor, shape.tensor * shape.data
        experts = max(model.experts, 1)
        whole = -(-experts // ranks) / experts if shape.expert else 1 / ranks
        queries, keys = model.heads * model.head_dim, 2 * model.kv_heads * model.head_dim
        held = -(-model.kv_heads // tensor) / max(1, model.kv_heads)
        fused = (queries / tensor + keys * held) / max(1, queries + keys)
        self.by = {
            names.WHOLE: 1.0,
            names.DIVIDED: 1 / tensor,
            names.EXPERTS: whole,
            names.VOCABULARY: 1 / tensor,
            names.KV: held,
            names.FUSED: fused,
        }

    def of(self, kv_heads: int, tensor: int) -> dict[str, float]:
        if not kv_heads:
            return self.by
        held = -(-kv_heads // tensor) / kv_heads
        return self.by if held == self.by[names.KV] else {**self.by, names.KV: held}


def _sized(
    sums: Sums, share: Mapping[str, float], shape: Shape, bits: float | None, tile: float, expert: float
) -> float:
    total = 0.0
    width = shape.width
    for how, size in sums.fixed.items():
        total += size * share[how] * (expert if how == names.EXPERTS else 1)
    for how, size in sums.tiles.items():
        total += size * share[how] * tile * (expert if how == names.EXPERTS else 1)
    for how, count in sums.floats.items():
        total += count * share[how] * width
    for how, count in sums.linear.items():
        total += count * share[how] * (width if bits is None else bits / 8)
    return total


def stage_bytes(tensors: Tensors, model: ModelInfo, shape: Shape, stage: int = 0) -> int:
    """Bytes on the first rank of pipeline ``stage``, as vLLM holds them once loaded."""
    found = digest(tensors, model)
    shares = Shares(model, shape)
    quantization = ledger(model).quantization
    adopted = online(shape) if quantization is None else None
    bits = (
        None
        if adopted is None
        else adopted.bits * (1 + (8 * adopted.scale / adopted.group if adopted.group > 0 else 0) / adopted.bits)
    )
    tile, expert = _growth(model, shape)
    total = 0.0
    absorbed = absorbed_bytes(model, shape.tensor, shape.width)
    for index in stage_layers(len(model.layers), shape.pipeline, stage):
        layer = model.layers[index]
        sums = found.layers.get(index)
        if sums is not None:
            share = shares.of(layer.kv_heads, shape.tensor)
            total += _sized(sums, share, shape, bits, tile, expert)
            if sums.keys and not sums.values and not layer.shares_kv and layer.kind != "mla":
                # Values that are the keys: a checkpoint has them once, vLLM makes room for both.
                total += sums.keys * share[names.KV] * (shape.width if bits is None else bits / 8)
        if layer.kind == "mla":
            total += absorbed
    total += _ends(found, model, shape, stage, shares)
    total += rotary_bytes(model, shape, stage)
    if stage == shape.pipeline - 1:
        total += draft_bytes(model, shape)
    expected, spare = stage_sizes(model, shape, stage)
    # The allocator's slack follows from the sizes of the tensors as vLLM joins them; a checkpoint that is not what
    # the config says has another.
    return int(total) + (spare if abs(total - expected) < expected // 10 else 0)


def _growth(model: ModelInfo, shape: Shape) -> tuple[float, float]:
    """How much larger the tile scales of FP8 and the experts of MXFP4 become for the card's kernels."""
    quantization = ledger(model).quantization
    if quantization is None:
        return 1.0, 1.0
    tile = expert = 1.0
    if quantization.default is not None:
        loaded = as_loaded(quantization.default, shape)
        if loaded is not None and loaded.name == "fp8_block_marlin":
            tile = quantization.default.rows * loaded.scale / quantization.default.scale
    pad = padding(quantization.experts, shape)
    if pad != (1, 1) and model.experts:
        inputs = model.moe_latent or model.hidden
        inner = model.moe_intermediate if shape.expert else -(-model.moe_intermediate // (shape.tensor * shape.data))
        expert = up(inputs, pad.inputs) * up(inner, pad.width) / (inputs * inner)
    return tile, expert


def _ends(found: Digest, model: ModelInfo, shape: Shape, stage: int, shares: Shares) -> float:
    first, last = ends(model, shape, stage)
    outside = found.outside
    head = has_head(model, shape)
    total = 0.0

    def take(where: str) -> float:
        sums = outside.get(where)
        return 0.0 if sums is None else _sized(sums, shares.by, shape, None, 1.0, 1.0)

    if first:
        total += take(names.FIRST) + take(names.EMBEDDING)
    towers = take(names.TOWER)
    if shape.engine_args.get("mm-encoder-tp-mode") == "data" or (model.wrapper or "").startswith("gemma4"):
        whole = outside.get(names.TOWER)
        towers = 0.0 if whole is None else _sized(whole, dict.fromkeys(shares.by, 1.0), shape, None, 1.0, 1.0)
    total += towers
    if last:
        total += take(names.LAST)
        if head and not model.tied:
            # A checkpoint without a head of its own uses the embedding's values, in a table of their own.
            total += take(names.HEAD) if found.stored_head else take(names.EMBEDDING)
        elif head and not first:
            total += take(names.EMBEDDING)
    return total
