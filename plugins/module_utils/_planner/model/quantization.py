# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What a quantised checkpoint says of itself: the format of each linear layer, and which stay as they are."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Any, Callable, Mapping, NamedTuple

_LAYER = re.compile(r"\blayers[.\\]+(\d+)(?!\d)")
_MAX_PATTERNS = 200_000
Matcher = Callable[[str], bool]


class Scheme(NamedTuple):
    """How one linear layer is stored.

    ``bits`` of a weight; one scale of ``scale`` bytes for each ``group`` inputs of an output (0: one for each output,
    -1: one for the whole layer) or, where ``rows`` is set, for each tile of rows x group; ``zeros``: bits of a zero
    point for each scale; ``order``: bytes for each input (the order of GPTQ's groups).
    """

    name: str
    bits: float
    group: int = -1
    scale: int = 4
    rows: int = 0
    zeros: int = 0
    order: int = 0


FP8 = Scheme("fp8", 8)
FP8_CHANNEL = Scheme("fp8_channel", 8, 0)
INT8_CHANNEL = Scheme("int8_channel", 8, 0)
NVFP4 = Scheme("nvfp4", 4, 16, 1)
MXFP4 = Scheme("mxfp4", 4, 32, 1)
MXFP8 = Scheme("mxfp8", 8, 32, 1)
_ALGORITHMS = {
    "FP8": FP8, "FP8_PER_CHANNEL_PER_TOKEN": FP8_CHANNEL, "FP8_PB_WO": Scheme("fp8_block", 8, 128, 4, 128),
    "NVFP4": NVFP4, "NVFP4_AWQ": NVFP4, "W4A16_NVFP4": NVFP4, "W4A8_NVFP4_FP8": NVFP4, "MXFP8": MXFP8, "MXFP4": MXFP4,
    "W4A8_AWQ": Scheme("int4", 4, 128, 2), "W4A16_AWQ": Scheme("int4", 4, 128, 2), "INT8": INT8_CHANNEL,
    "W8A8_SQ_PER_CHANNEL": INT8_CHANNEL,
}  # fmt: skip


class Quantization:
    """Formats by module. ``known`` is False where the method is none whose bytes are known.

    ``experts`` (of the routed ones) and ``default`` (of any other linear layer) hold unless a pattern says otherwise;
    ``head`` is whether the output head is quantised like a linear layer. ``kv_scales``: the checkpoint brings them.
    """

    def __init__(self, method: str, default: Scheme | None, experts: Scheme | None) -> None:
        self.method = method
        self.default = default
        self.experts = experts
        self.known = True
        self.head = False
        self.substring = False  # a plain pattern matches anywhere in a name
        self.towers = False  # the towers are quantised too
        self._exact: set[str] = set()
        self._common: list[str] = []
        self._everywhere: list[Matcher] = []
        self._by_layer: dict[int, list[str]] = {}
        self._named: list[tuple[Scheme, set[str], list[Matcher]]] = []
        self._listed: Mapping[str, Any] = {}
        self._listed_prefix: str | None = None
        self._compiled: dict[tuple[str, ...], list[Matcher]] = {}

    def ignore(self, entries: Any) -> None:
        """Take a list of names, wildcards and ``re:`` patterns whose modules stay as they are."""
        if not isinstance(entries, (list, tuple)):
            return
        for entry in entries[:_MAX_PATTERNS]:
            if not isinstance(entry, str) or not entry:
                continue
            found = _LAYER.search(entry)
            if found:
                self._by_layer.setdefault(int(found.group(1)), []).append(
                    entry[: found.start(1)] + "N" + entry[found.end(1) :]
                )
            elif entry.startswith("re:") or "*" in entry:
                self._everywhere.append(_pattern(entry))
            elif self.substring:
                self._common.append(entry)
            else:
                self._exact.add(_bare(entry))

    def listed(self, entries: Any) -> None:
        """Take ``quantized_layers``: a module that it names has that algorithm, any other stays as it is."""
        if not isinstance(entries, Mapping):
            return
        self._listed = entries
        self.default = self.experts = None
        for name in entries:
            found = re.search(r"\blayers\.\d+\.", name)
            if found:
                self._listed_prefix = name[: found.start()]
                break

    def named(self, scheme: Scheme, targets: Any) -> None:
        """Take one group of compressed-tensors: its format, and the names, patterns or classes it is for."""
        names: set[str] = set()
        patterns: list[Matcher] = []
        for entry in targets[:_MAX_PATTERNS] if isinstance(targets, (list, tuple)) else ("Linear",):
            if not isinstance(entry, str):
                continue
            if entry in ("Linear", "LinearBase", "RoutedExperts", "FusedMoE"):
                if entry == "Linear":
                    self.default = scheme
                self.experts = scheme
            elif entry.startswith("re:") or "*" in entry:
                patterns.append(_pattern(entry))
            else:
                names.add(_bare(entry))
        if names or patterns:
            self._named.append((scheme, names, patterns))

    def signature(self, index: int) -> tuple[str, ...]:
        """Equal for layers whose modules are treated alike as far as the ignored ones go."""
        return tuple(self._by_layer.get(index, ()))

    @property
    def uniform(self) -> bool:
        """Whether the signature alone decides about a layer of a given make."""
        return not self._listed and not any(names for _scheme, names, _patterns in self._named)

    def scheme(self, index: int, names: tuple[str, ...], experts: bool = False) -> Scheme | None:
        """The format of a module of layer ``index`` (-1: outside the layers), None: as it is.

        ``names`` are what checkpoints call it below its layer, without the parts that a fused layer is made of.
        """
        if self._listed:
            return self._from_list(index, names)
        paths = ["layers.%d.%s" % (index, name) for name in names] if index >= 0 else list(names)
        if self._ignored(index, names, paths):
            return None
        for scheme, exact, patterns in self._named:
            for path in paths:
                if path in exact or any(test(path) for test in patterns):
                    return scheme
        return self.experts if experts else self.default

    def listed_head(self) -> Scheme | None:
        """The format of the output head where the checkpoint names it among what it quantised."""
        for name in ("lm_head", "language_model.lm_head", "model.lm_head"):
            entry = self._listed.get(name)
            if isinstance(entry, Mapping):
                return _ALGORITHMS.get(str(entry.get("quant_algo")).upper())
        for scheme, exact, _patterns in self._named:
            if "lm_head" in exact:
                return scheme
        return None

    def _from_list(self, index: int, names: tuple[str, ...]) -> Scheme | None:
        for name in names:
            path = "%slayers.%d.%s" % (self._listed_prefix or "", index, name) if index >= 0 else name
            for suffix in ("", ".0.gate_proj", ".0.up_proj", ".0.w1", ".0.down_proj"):
                entry = self._listed.get(path + suffix)
                if isinstance(entry, Mapping):
                    return _ALGORITHMS.get(str(entry.get("quant_algo")).upper())
        return None

    def _ignored(self, index: int, names: tuple[str, ...], paths: list[str]) -> bool:
        for path in paths:
            if path in self._exact or any(part in path for part in self._common):
                return True
            if self._everywhere and any(test(path) for test in self._everywhere):
                return True
        own = self._by_layer.get(index)
        if not own:
            return False
        key = tuple(own)
        if key not in self._compiled:
            # A listed part of a module (an expert, a projection) stands for the module, as vLLM fuses them.
            self._compiled[key] = [_pattern(entry) for entry in own]
        for name in names:
            path = "layers.N." + name
            if any(test(path) for test in self._compiled[key]):
                return True
        return False


_COMPILED: dict[str, Matcher] = {}
_NEVER = re.compile(r"(?!)")


def _bare(name: str) -> str:
    """A module's name from its layer on, whatever the wrappers around are called."""
    found = name.find("layers.")
    if found > 0 and not name.startswith("layers."):
        head = name[:found]
        if head.rstrip(".").rsplit(".", 1)[-1] in ("model", "language_model", "decoder", "transformer", "backbone"):
            return name[found:]
    for prefix in ("model.language_model.", "language_model.model.", "language_model.", "model.", "backbone."):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _starting(start: str) -> Matcher:
    return lambda path: path.startswith(start)


def _naming(name: str) -> Matcher:
    below = name + "."
    return lambda path: path == name or path.startswith(below)


def _pattern(entry: str) -> Matcher:
    """A wildcard, a ``re:`` pattern or a name as a test of ``layers.<index>.<module>``."""
    found = _COMPILED.get(entry)
    if found is not None:
        return found
    made: Matcher
    if entry.startswith("re:"):
        text = entry[3:]
        made = _search(text if text.startswith((".*", "^")) else r"(?:.*\.)?" + text)
    else:
        bare = _bare(entry)
        if "*" not in bare:
            made = _naming(bare)
        elif bare.find("*") == len(bare) - 1 and "?" not in bare and "[" not in bare:
            made = _starting(bare[:-1])
        else:
            made = _search(translate(bare))
    if len(_COMPILED) < 20_000:
        _COMPILED[entry] = made
    return made


def _search(text: str) -> Matcher:
    try:
        match = re.compile(text).match
    except re.error:
        match = _NEVER.match
    return lambda path: match("model." + path) is not None


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
    experts = _ALGORITHMS.get(_text(section, "moe_quant_algo").upper())
    if experts is None:
        experts = default if _text(config, "expert_dtype") == "fp8" else MXFP4
    return Quantization(found.method, default, experts)  # what it says to ignore is ignored


def _modelopt(method: str, section: Mapping[str, Any]) -> Quantization:
    name = _text(section, "quant_algo").upper()
    inner = section.get("quantization")
    if not name and isinstance(inner, Mapping):
        name, section = _text(inner, "quant_algo").upper(), inner
    scheme = _ALGORITHMS.get(name)
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
