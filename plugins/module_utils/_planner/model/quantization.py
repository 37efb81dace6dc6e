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
ALGORITHMS = {
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
        for name in ("lm_head", "language_model.lm_head"):
            entry = self._listed.get(name)
            if isinstance(entry, Mapping):
                return ALGORITHMS.get(str(entry.get("quant_algo")).upper())
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
                    return ALGORITHMS.get(str(entry.get("quant_algo")).upper())
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
