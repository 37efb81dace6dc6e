# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The type that the engine computes in, and what quantised weights demand of the card."""

from __future__ import annotations

from typing import Sequence

from ..errors import PlanError
from ..request import Gpu
from ..settings import Settings
from .features import is_pooling
from .formats import half_only
from .quantized import Quantized
from .task import Task

_WIDTHS = {"float32": 4, "float": 4}
# What get_supported_act_dtypes of vLLM's model_executor/layers/quantization says: methods that compute in float32 too,
# with the first release of that, and those that compute in bfloat16 only.
_FLOAT32 = {"compressed-tensors": (0, 10, 1), "bitsandbytes": (0,), "gguf": (0,), "torchao": (0,)}
_BFLOAT16_ONLY = ("mxfp4", "fp_quant", "modelopt_mxfp8")
_NO_FLOAT16 = ("gemma2", "gemma3", "gemma3_text", "glm4")  # vLLM refuses: their sums leave its range
# Method: (first release, oldest compute capability x 10), newest release first.
_MINIMUM: dict[str, tuple[tuple[tuple[int, ...], int], ...]] = {
    "fp8": (((0, 14), 75), ((0,), 80)),
    "awq": (((0,), 75),),
    "awq_marlin": (((0, 14), 75), ((0,), 80)),
    "gptq": (((0,), 60),),
    "gptq_marlin": (((0, 22), 60), ((0, 14), 75), ((0,), 80)),
    "auto-round": (((0,), 60),),
    "compressed-tensors": (((0,), 70),),
    "moe_wna16": (((0,), 70),),
    "mxfp4": (((0,), 80),),
    "mxfp8": (((0, 20), 75), ((0,), 100)),
    "fp_quant": (((0,), 100),),
    "experts_int8": (((0,), 80),),
    "fbgemm_fp8": (((0,), 80),),
    "bitsandbytes": (((0,), 70),),
    "modelopt-fp8": (((0, 27), 80), ((0,), 89)),
    "modelopt-nvfp4": (((0, 14), 75), ((0, 9), 80), ((0,), 100)),
    "modelopt-mixed": (((0, 24), 75), ((0,), 89)),
    "ct-fp8": (((0, 16), 75), ((0,), 80)),
    "ct-nvfp4": (((0, 16), 75), ((0,), 80)),
    "ct-w4a8-fp8": (((0,), 90),),
    "ct-int8": (((0,), 75),),
    "ct-wna16": (((0, 12), 75), ((0,), 80)),
}
# Engine argument: what it makes of a plain checkpoint.
_ONLINE = {
    "fp8": "fp8", "fp8_per_tensor": "fp8", "fp8_per_block": "fp8", "fp8_per_channel": "fp8", "mxfp8": "mxfp8",
    "mxfp4": "mxfp4", "nvfp4_per_token": "modelopt-nvfp4", "int8_per_channel_weight_only": "ct-int8",
    "experts_int8": "experts_int8", "bitsandbytes": "bitsandbytes",
}  # fmt: skip


def decide_dtype(settings: Settings, task: Task, gpus: Sequence[Gpu]) -> int:
    """Decide ``dtype`` and return the bytes of one element. Raises PlanError ``plan.unsupported_dtype``."""
    asked = settings.user.get("dtype", "auto")
    oldest = min(gpus, key=lambda gpu: gpu.capability or (8, 0))
    capability = oldest.capability or (8, 0)
    fragile = task.model.family in _NO_FLOAT16 or task.model.wrapper in _NO_FLOAT16
    if asked == "auto":
        chosen = task.model.dtype
        if (
            is_pooling(task)
            and str(task.model.config.get("torch_dtype") or task.model.config.get("dtype")) == "float32"
        ):
            chosen = "float16"  # what vLLM makes of float32 where nothing is generated
        if chosen == "bfloat16" and capability < (8, 0):
            chosen = "float32" if fragile else "float16"
            reason = "GPU %d has compute capability %d.%d and no bfloat16." % (oldest.index, *capability)
            chosen = settings.decide("dtype", chosen, reason)
        elif chosen == "float16" and fragile:
            chosen = settings.decide("dtype", "bfloat16", "Models of type %s need its range." % task.model.family)
        else:
            settings.decide("dtype", "auto", "The type of the checkpoint (%s)." % chosen, "default")
            if "dtype" in settings.values:
                settings.values["dtype"] = chosen
    else:
        chosen = settings.take("dtype")
    if chosen == "bfloat16" and half_only(task.model, asked_format(task), capability, task.version):
        reason = "vLLM %s has only kernels for float16 for such weights." % task.text
        if asked != "auto":
            raise PlanError("plan.unsupported_dtype", reason, ("Leave dtype out.", "Set dtype: float16."))
        settings.decisions[:] = [entry for entry in settings.decisions if entry["setting"] != "dtype"]
        settings.decisions.append({"setting": "dtype", "value": "float16", "source": "computed", "reason": reason})
        chosen = settings.values["dtype"] = "float16"
    _check_dtype(task, str(chosen), oldest, fragile)
    _check_kernels(task, str(chosen))
    return _WIDTHS.get(str(chosen), 2)


def _check_dtype(task: Task, dtype: str, oldest: Gpu, fragile: bool) -> None:
    if dtype == "bfloat16" and oldest.capability is not None and oldest.capability < (8, 0):
        raise PlanError(
            "plan.unsupported_dtype",
            "GPU %d (%s) has compute capability %d.%d, and bfloat16 needs 8.0."
            % (oldest.index, oldest.name, *oldest.capability),
            ("Set dtype: %s, or leave it out." % ("float32" if fragile else "float16"),),
        )
    if dtype in ("float16", "half") and fragile:
        raise PlanError(
            "plan.unsupported_dtype",
            "Models of type %s leave the range of float16, and vLLM refuses it." % task.model.family,
            ("Leave dtype out.",),
        )


def asked_format(task: Task) -> str | None:
    asked = task.user.get("quantization")
    return asked.lower() if isinstance(asked, str) else None


def _check_kernels(task: Task, dtype: str) -> None:
    """vLLM's ``... is not supported for quantization method`` (config/vllm.py): what the method computes in."""
    method = task.model.quantization or task.user.get("quantization")
    if not isinstance(method, str):
        return
    method = method.lower().replace("_tensors", "-tensors")
    known = method in _ONLINE or method in _MINIMUM or method in _FLOAT32 or method.startswith("modelopt")
    wide = dtype in _WIDTHS and known and task.version < _FLOAT32.get(method, (9999,))
    narrow = dtype in ("float16", "half") and method in _BFLOAT16_ONLY
    if wide or narrow:
        raise PlanError(
            "plan.unsupported_dtype",
            "Weights quantised with %s are not computed in %s by vLLM %s." % (method, dtype, task.text),
            ("Leave dtype out, or set dtype: bfloat16.",),
        )


def check_quantization(task: Task, quantized: Quantized | None, gpus: Sequence[Gpu]) -> None:
    """Refuse what the engine would refuse for the release or for the oldest card."""
    asked = task.user.get("quantization")
    if asked == "fp8" and task.model.quantization is None and task.version >= (0, 31):
        raise PlanError(
            "plan.unsupported_quantization",
            "quantization: fp8 on a checkpoint that is not quantised is refused by vLLM from 0.31 on.",
            ("Set quantization: fp8_per_tensor.",),
        )
    kind = quantized.kind if quantized is not None else _ONLINE.get(str(asked))
    if asked in ("awq_marlin", "gptq_marlin"):  # by name; left alone, an older card gets other kernels
        kind = str(asked)
    minima = _MINIMUM.get(kind or "")
    if minima is None:
        return
    needed = next(oldest for first, oldest in minima if task.version >= first)
    for gpu in gpus:
        if gpu.capability is not None and gpu.capability[0] * 10 + gpu.capability[1] < needed:
            raise PlanError(
                "plan.unsupported_quantization",
                "Weights of kind %s need compute capability %d.%d in vLLM %s, and GPU %d (%s) has %d.%d."
                % (kind, needed // 10, needed % 10, task.text, gpu.index, gpu.name, *gpu.capability),
                ("Choose a checkpoint that is quantised otherwise, such as AWQ.", "Use a newer GPU."),
            )
