# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Readers of ``quantization_config``, one for each method that vLLM knows."""

from __future__ import annotations

from typing import Any, Mapping

from .quantization import ALGORITHMS, FP8, FP8_CHANNEL, INT8_CHANNEL, MXFP4, MXFP8, NVFP4, Quantization, Scheme


def _text(section: Mapping[str, Any], key: str) -> str:
    value = section.get(key)
    return value if isinstance(value, str) else ""


def _size(section: Mapping[str, Any], key: str, default: int) -> int:
    value = section.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= 2**20 else default


def read_quantization(family: str, config: Mapping[str, Any], outer: Mapping[str, Any]) -> Quantization | None:
    """The quantisation that config.json states, None where there is none."""
    for place in (outer, config):
        section = place.get("quantization_config") or place.get("compression_config")
        if isinstance(section, Mapping):
            return for_family(_read(section), family, section, config)
    return None


def _read(section: Mapping[str, Any]) -> Quantization:
    method = (_text(section, "quant_method") or ("modelopt" if section.get("quant_algo") else "unknown")).lower()
    reader = _READERS.get(method.replace("_", "-"))
    if reader is None:
        out = Quantization(method, None, None)
        out.known = False
        return out
    out = reader(method, section)
    for key in ("ignore", "modules_to_not_convert", "exclude_modules", "ignored_layers", "exclude"):
        out.ignore(section.get(key))
    return out


def _fp8(method: str, section: Mapping[str, Any]) -> Quantization:
    block = section.get("weight_block_size")
    scheme = FP8
    if isinstance(block, (list, tuple)) and len(block) == 2 and all(isinstance(n, int) and n > 0 for n in block):
        scheme = Scheme("fp8_block", 8, int(block[1]), 4, int(block[0]))
    elif method == "fbgemm_fp8":
        scheme = FP8_CHANNEL
    out = Quantization(method, scheme, scheme)
    return out


def for_family(found: Quantization, family: str, section: Mapping[str, Any], config: Mapping[str, Any]) -> Quantization:
    """DeepSeek V4 says ``fp8`` and means all but the experts: those are MXFP4 unless the config says otherwise."""
    if family not in ("deepseek_v4", "deepseek_ref") or found.method not in ("fp8", "deepseek_v4_fp8"):
        return found
    default = found.default._replace(scale=1) if found.default is not None else None
    experts = ALGORITHMS.get(_text(section, "moe_quant_algo").upper())
    if experts is None:
        experts = default if _text(config, "expert_dtype") == "fp8" else MXFP4
    return Quantization(found.method, default, experts)  # what it says to ignore is ignored


def _modelopt(method: str, section: Mapping[str, Any]) -> Quantization:
    name = _text(section, "quant_algo").upper()
    inner = section.get("quantization")
    if not name and isinstance(inner, Mapping):
        name, section = _text(inner, "quant_algo").upper(), inner
    scheme = ALGORITHMS.get(name)
    out = Quantization(method, scheme, scheme)
    out.ignore(section.get("exclude_modules") if section is inner else None)
    if name == "MIXED_PRECISION":
        out.listed(section.get("quantized_layers"))
    elif scheme is None:
        out.known = False
    return out


def _weights_scheme(weights: Mapping[str, Any], form: str) -> Scheme | None:
    bits, kind = _size(weights, "num_bits", 0), _text(weights, "type")
    group, strategy = _size(weights, "group_size", -1), _text(weights, "strategy")
    if kind == "float" and bits == 4:
        return MXFP4 if form.startswith("mxfp4") or group == 32 else NVFP4
    if kind == "float" and bits == 8:
        block = weights.get("block_structure")
        if strategy == "block" and isinstance(block, (list, tuple)) and len(block) == 2:
            return Scheme("fp8_block", 8, _size({"n": block[1]}, "n", 128), 4, _size({"n": block[0]}, "n", 128))
        if form.startswith("mxfp8") or (strategy == "group" and group == 32):
            return MXFP8
        return FP8 if strategy == "tensor" else FP8_CHANNEL
    if kind == "int" and bits in (2, 3, 4, 8):
        if form.startswith("int-quantized") or (bits == 8 and group <= 0 and form != "pack-quantized"):
            return INT8_CHANNEL
        packed = 0 if weights.get("symmetric", True) else bits
        order = 4 if _text(weights, "actorder") == "group" else 0
        return Scheme("int%d" % bits, bits, group if group > 0 else 0, 2, 0, packed, order)
    return None


def _compressed(method: str, section: Mapping[str, Any]) -> Quantization:
    out = Quantization(method, None, None)
    groups = section.get("config_groups")
    found = False
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if not isinstance(weights, Mapping):
            continue
        scheme = _weights_scheme(weights, _text(group, "format") or _text(section, "format"))
        if scheme is not None:
            out.named(scheme, group.get("targets"))
            found = True
    out.known = found
    return out


def _packed(method: str, section: Mapping[str, Any]) -> Quantization:
    bits = _size(section, "bits", _size(section, "w_bit", 4))
    group = _size(section, "group_size", _size(section, "q_group_size", 128))
    asymmetric = (
        section.get("sym") is False if "gptq" in method or "round" in method else section.get("zero_point", True)
    )
    order = 4 if section.get("desc_act") is True else 0
    scheme = Scheme("int%d" % bits, bits, max(group, 0), 2, 0, bits if asymmetric else 0, order)
    out = Quantization(method, scheme, scheme)
    out.head = section.get("lm_head") is True
    out.substring = True
    out.known = bits in (2, 3, 4, 8)
    inside = section.get("modules_in_block_to_quantize")
    if isinstance(inside, (list, tuple)) and inside:
        names = [name for row in inside for name in (row if isinstance(row, (list, tuple)) else (row,))]
        out.default = None
        out.named(scheme, ["*." + name for name in names if isinstance(name, str)])
    _exceptions(out, section)
    return out


def _exceptions(out: Quantization, section: Mapping[str, Any]) -> None:
    """Modules that GPTQ's ``dynamic`` (``-:``) or AutoRound's ``extra_config`` (16 bits) leave as they are."""
    dynamic = section.get("dynamic")
    for rule in dynamic if isinstance(dynamic, Mapping) else ():
        if isinstance(rule, str) and rule.startswith("-:"):
            out.ignore(["re:" + rule[2:]])
    extra = section.get("extra_config")
    for name, how in extra.items() if isinstance(extra, Mapping) else ():
        if isinstance(name, str) and isinstance(how, Mapping) and _size(how, "bits", 4) >= 16:
            out.ignore([name if not any(sign in name for sign in "^$\\") else "re:" + name])


def _mxfp4(method: str, section: Mapping[str, Any]) -> Quantization:
    return Quantization(method, None, MXFP4)


def _quark(method: str, section: Mapping[str, Any]) -> Quantization:
    whole = section.get("global_quant_config")
    weight = whole.get("weight") if isinstance(whole, Mapping) else None
    scheme = None
    if isinstance(weight, Mapping):
        kind = _text(weight, "dtype")
        if kind.startswith("fp8"):
            scheme = FP8 if _text(weight, "qscheme") == "per_tensor" else FP8_CHANNEL
        elif kind == "fp4":
            scheme = MXFP4
        elif kind == "int8":
            scheme = INT8_CHANNEL
    out = Quantization(method, scheme, scheme)
    out.known = scheme is not None
    return out


def _bitsandbytes(method: str, section: Mapping[str, Any]) -> Quantization:
    eight = section.get("load_in_8bit") is True or section.get("_load_in_8bit") is True
    scheme = INT8_CHANNEL if eight else Scheme("nf4", 4, 64, 1 if section.get("bnb_4bit_use_double_quant") else 4)
    out = Quantization(method, scheme, scheme)
    out.substring = True
    out.ignore(section.get("llm_int8_skip_modules"))
    return out


_READERS = {
    "fp8": _fp8, "fbgemm-fp8": _fp8, "deepseek-v4-fp8": _fp8, "modelopt": _modelopt, "modelopt-fp4": _modelopt,
    "modelopt-mixed": _modelopt, "compressed-tensors": _compressed, "gptq": _packed, "gptq-marlin": _packed,
    "auto-gptq": _packed, "awq": _packed, "awq-marlin": _packed, "auto-awq": _packed, "auto-round": _packed,
    "inc": _packed, "mxfp4": _mxfp4, "gpt-oss-mxfp4": _mxfp4, "quark": _quark, "bitsandbytes": _bitsandbytes,
}  # fmt: skip
