# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The argument ``quantization`` against the checkpoint and the release, as vLLM compares them before it loads."""

from __future__ import annotations

from typing import Any, Mapping

from ..arguments.catalogue import catalogue, dotted, first_with, gone_since, history
from ..errors import PlanError
from ..model.info import ModelInfo
from ..request import Model

_AWQ = frozenset(("awq", "awq_marlin", "auto_awq", "cpu_awq"))
_GPTQ = frozenset(("gptq", "gptq_marlin", "gptq_marlin_24", "auto_gptq", "cpu_gptq", "gptq_bitblas", "bitblas"))
_MODELOPT = frozenset(("modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "nvfp4", "petit_nvfp4"))
# Arguments for which a checkpoint must hold what belongs to them: without it vLLM finds no "config file for" them
# (model_executor/model_loader/weight_utils.py, get_quant_config), or cannot make one of nothing.
_OF_CHECKPOINTS = _AWQ | _GPTQ | _MODELOPT | {"marlin", "compressed-tensors", "fbgemm_fp8", "quark"}
# Method of the checkpoint: the arguments besides its own name with which vLLM goes on (config/model.py,
# _verify_quantization: what an override_quantization_method accepts). Any other argument is a ValueError there.
# Methods whose overrides do not look at the argument at all (ModelOpt, MXFP4, auto-round) are not listed.
_ALIASES: dict[str, frozenset[str]] = {
    "awq": _AWQ | {"marlin", "ipex", "moe_wna16", "humming"},
    "gptq": _GPTQ | {"marlin", "ipex", "moe_wna16", "humming"},
    "fp8": frozenset(("deepseek_v4_fp8", "humming")),
    "fbgemm_fp8": frozenset(("humming",)),
    "compressed-tensors": frozenset(("humming",)),
    "bitsandbytes": frozenset(("humming",)),
    "quark": frozenset(("humming",)),
}
_AWQ_FOUR_ONLY = (0, 12)
_AUTO_GPTQ, _AUTO_AWQ = (0, 22), (0, 24)  # one method for all cards and types
_MARLIN_TURING = (0, 14)
_PLAIN_TYPES = frozenset(("F64", "F32", "F16", "BF16", "BOOL", "I64"))


def check_format(model: ModelInfo, stored: Model, user: Mapping[str, Any], version: tuple[int, ...]) -> None:
    """Raises PlanError ``plan.unsupported_quantization`` where ``version`` would not load such a checkpoint."""
    asked = user.get("quantization")
    asked = asked.lower() if isinstance(asked, str) else None
    method = _method(model.quantization)
    if method is not None:
        _check_release(method, version)
        _check_bits(model, method, version)
    if asked is None:
        return
    if method is None:
        if asked in _OF_CHECKPOINTS and not _packed(stored):
            raise _refused(
                "quantization: %s is of checkpoints that are quantised, and this model's config names none." % asked,
                "Leave quantization out.",
                "Look whether the model's id or path is that of another one; where a file beside config.json says it, "
                "let model_info read the tensors.",
            )
        return
    aliases = _ALIASES.get(method)
    if aliases is None or asked == method or asked in aliases:
        return
    raise _refused(
        "quantization: %s does not go with the checkpoint, whose config says %s; vLLM %s refuses the two."
        % (asked, method, dotted(version)),
        "Leave quantization out; vLLM reads it from the checkpoint.",
    )


def _method(name: str | None) -> str | None:
    return name.replace("compressed_tensors", "compressed-tensors") if name else None


def _packed(stored: Model) -> bool:
    """Whether the tensors show that the weights are quantised although the config does not say so."""
    return any(kind not in _PLAIN_TYPES for _name, kind, _shape in stored.tensors or ())


def _check_release(method: str, version: tuple[int, ...]) -> None:
    """vLLM: ``Unknown quantization method`` where its table has not what the checkpoint says."""
    choices = catalogue(version).choices.get("quantization", ())
    if method in choices or not history("values", "quantization=" + method):
        return
    if method == "auto-round" and version >= (0, 15):
        return  # `inc` took it over
    key = "quantization=" + method
    later, gone = first_with("values", key, version), gone_since("values", key, version)
    if later is not None:
        raise _refused(
            "The checkpoint is quantised with %s, which vLLM %s does not know." % (method, dotted(version)),
            "vLLM %s is the first that does." % dotted(later),
        )
    raise _refused(
        "The checkpoint is quantised with %s, which vLLM %s no longer loads: %s dropped it."
        % (method, dotted(version), dotted(gone or version)),
        "Choose another checkpoint, or an older vllm_version.",
    )


def _check_bits(model: ModelInfo, method: str, version: tuple[int, ...]) -> None:
    """The widths that the kernels know: the TYPE_MAP of awq.py, awq_marlin.py, auto_awq.py and auto_gptq.py."""
    section = quantization_section(model)
    bits = section.get("bits", section.get("w_bit"))
    if isinstance(bits, bool) or not isinstance(bits, int):
        return
    symmetric = section.get("sym")
    if method == "awq":
        widths: tuple[int, ...] = (4, 8) if version < _AWQ_FOUR_ONLY else (4,)
    elif method == "gptq":
        widths = (4, 8) if version >= _AUTO_GPTQ else (2, 3, 4, 8)
        if symmetric is False and version >= _AUTO_GPTQ:
            raise _refused(
                "The checkpoint is GPTQ without symmetry (sym: false), which vLLM %s does not load." % dotted(version),
                "Choose a checkpoint with sym: true.",
            )
    else:
        return
    if bits not in widths:
        raise _refused(
            "The checkpoint is %s of %d bits, and vLLM %s knows %s."
            % (method.upper(), bits, dotted(version), " and ".join(str(width) for width in widths)),
            "Choose another checkpoint.",
        )


def half_only(model: ModelInfo, asked: str | None, capability: tuple[int, int], version: tuple[int, ...]) -> bool:
    """Whether AWQ or GPTQ falls to its own kernels, which compute in float16 alone (awq.py, gptq.py), not to Marlin's.

    It does where they are asked for by name, on older cards, and for what Marlin's kernels do not know.
    """
    method = _method(model.quantization)
    if method not in ("awq", "gptq") or version >= (_AUTO_GPTQ if method == "gptq" else _AUTO_AWQ):
        return False
    if asked is not None and asked != method:
        return False
    section = quantization_section(model)
    keys = ("bits", "group_size", "zero_point") if method == "awq" else ("bits", "group_size", "sym", "desc_act")
    known = all(section.get(key) is not None for key in keys) and section["group_size"] in (-1, 32, 64, 128)
    if method == "gptq":
        known = known and section["sym"] is True and section["bits"] in (4, 8)
    return asked == method or not known or capability < ((7, 5) if version >= _MARLIN_TURING else (8, 0))


def quantization_section(model: ModelInfo) -> Mapping[str, Any]:
    """``quantization_config`` of the model, empty where it has none."""
    for place in (model.outer, model.config):
        section = place.get("quantization_config") or place.get("compression_config")
        if isinstance(section, Mapping):
            return section
    return {}


def _refused(message: str, *remedies: str) -> PlanError:
    return PlanError("plan.unsupported_quantization", message, remedies)
