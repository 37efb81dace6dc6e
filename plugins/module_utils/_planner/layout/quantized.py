# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What the quantisation of a checkpoint demands of the shapes of its shards: groups, tiles and blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ..model.info import ModelInfo


@dataclass(frozen=True)
class Quantized:
    """``kind`` names the kernels; ``group`` is the weights that share a scale along the input (0: all), ``block_n``
    and ``block_k`` the sides of an FP8 block (0: none); ``attention`` whether attention is quantised too."""

    kind: str
    group: int = 0
    block_n: int = 0
    block_k: int = 0
    attention: bool = True

    @property
    def four_bit(self) -> bool:
        return self.kind in ("awq", "gptq", "auto-round", "ct-wna16", "moe_wna16")


def read_quantized(model: ModelInfo) -> Quantized | None:
    """The facts of ``model``'s checkpoint, None where it is not quantised. Unreadable parts count as unknown."""
    outer = model.outer or model.config
    section = outer.get("quantization_config") or outer.get("compression_config")
    if not isinstance(section, Mapping):
        section = model.config.get("quantization_config")
    if not isinstance(section, Mapping):
        return None
    method = str(section.get("quant_method") or section.get("quant_algo") or "unknown").lower()
    attention = not _names_attention(section)
    if method == "compressed-tensors":
        return _compressed(section, attention)
    if method.startswith("modelopt") or method in ("nvfp4", "mixed_precision"):
        return _modelopt(section, method, attention)
    block = section.get("weight_block_size")
    sides = _pair(block)
    if method == "fp8" and sides is not None:
        return Quantized("fp8", 0, *sides, attention)
    group = section.get("group_size", section.get("q_group_size"))
    group = group if isinstance(group, int) and not isinstance(group, bool) and group > 0 else 0
    return Quantized({"awq_marlin": "awq", "gptq_marlin": "gptq"}.get(method, method), group, attention=attention)


def _pair(value: Any) -> tuple[int, int] | None:
    if (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(side, int) and side > 0 for side in value)
    ):
        return value[0], value[1]
    return None


def _names_attention(section: Mapping[str, Any]) -> bool:
    for key in ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers"):
        names = section.get(key)
        if isinstance(names, (list, tuple)) and any("attn" in str(name) for name in names):
            return True
    return False


def _compressed(section: Mapping[str, Any], attention: bool) -> Quantized:
    groups = section.get("config_groups")
    first: Any = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    first = first if isinstance(first, Mapping) else {}
    weights = first.get("weights")
    weights = weights if isinstance(weights, Mapping) else {}
    inputs = first.get("input_activations")
    bits, kind = weights.get("num_bits"), weights.get("type")
    group = weights.get("group_size")
    group = group if isinstance(group, int) and not isinstance(group, bool) and group > 0 else 0
    sides = _pair(weights.get("block_structure"))
    if kind == "float" and bits == 4:
        return Quantized("ct-nvfp4", attention=attention)
    if kind == "float":
        return Quantized("ct-fp8", 0, *(sides or (0, 0)), attention)
    if bits == 4 and isinstance(inputs, Mapping) and inputs.get("type") == "float":
        return Quantized("ct-w4a8-fp8", group, attention=attention)
    if bits == 8 and isinstance(inputs, Mapping):
        return Quantized("ct-int8", attention=attention)
    if bits in (4, 8):
        return Quantized("ct-wna16", group, attention=attention)
    return Quantized("compressed-tensors", attention=attention)


def _modelopt(section: Mapping[str, Any], method: str, attention: bool) -> Quantized:
    algorithm = str(section.get("quant_algo") or method).lower()
    if "nvfp4" in algorithm:
        return Quantized("modelopt-nvfp4", attention=attention)
    if "mixed" in algorithm:
        return Quantized("modelopt-mixed", attention=attention)
    if "mxfp8" in algorithm:
        return Quantized("mxfp8", attention=attention)
    return Quantized("modelopt-fp8" if "fp8" in algorithm else "modelopt", attention=attention)
