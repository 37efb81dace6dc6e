# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The type of the KV cache's elements, and what card, release and attention make of it."""

from __future__ import annotations

from ..errors import PlanError, warning
from ..kv import cache as kv_cache
from ..request import Gpu
from ..settings import Settings
from .formats import quantization_section
from .task import Task

_PLAIN = ("auto", "bfloat16", "float16", "half", "float32")
_NVFP4 = ("nvfp4", "nvfp4_4over6", "nvfp4_ds_mla")
_PACKED = ("fp8_ds_mla", "nvfp4_ds_mla")
_PER_HEAD = ("int8_per_token_head", "fp8_per_token_head", "int4_per_token_head")


def decide_kv_dtype(settings: Settings, task: Task, gpu: Gpu | None, narrow: bool) -> str:
    """``narrow``: one byte an element, because only that makes the workload fit. Raises PlanError."""
    if narrow:
        name = settings.decide(
            "kv-cache-dtype",
            "fp8",
            "The workload fits only with one byte an element; answers may lose a little accuracy.",
        )
    else:
        name = settings.decide("kv-cache-dtype", "auto", "The model's own type keeps its accuracy.", "default")
    if name not in kv_cache.KV_DTYPE_BYTES:
        raise PlanError(
            "plan.unsupported_kv_cache_dtype",
            "kv-cache-dtype %s cannot be planned yet." % name,
            ("Choose one of %s." % ", ".join(sorted(kv_cache.KV_DTYPE_BYTES)),),
        )
    refused = None if gpu is None or name in _PLAIN else _refusal(task, gpu, str(name))
    if refused is not None:
        raise PlanError("plan.unsupported_kv_cache_dtype", refused, ("Leave kv-cache-dtype out.",))
    return str(name)


def may_narrow(task: Task, gpu: Gpu) -> bool:
    """Whether the plan may take fp8 of its own accord: the user left it open and the card has kernels for it."""
    fixed = ("kv-cache-dtype", "kv-cache-memory-bytes", "num-gpu-blocks-override")
    if any(name in task.user for name in fixed) or task.model.multimodal:
        return False
    if task.version < (0, 11, 1) or gpu.capability is None or gpu.capability < (8, 0):
        return False
    return _refusal(task, gpu, "fp8") is None


def _refusal(task: Task, gpu: Gpu, name: str) -> str | None:
    """Why no attention kernel of the release keeps ``name`` on ``gpu``, None where one does."""
    if name == "fp8_e5m2" and _brings_scales(task):
        return (
            "kv-cache-dtype fp8_e5m2 is not for checkpoints in fp8: vLLM takes the scales of theirs, which are of e4m3."
        )
    if gpu.capability is None:
        return None
    major, shown = gpu.capability[0], "%d.%d" % gpu.capability
    if name in _NVFP4 and major != 10:
        return "kv-cache-dtype %s needs compute capability 10, and GPU %d has %s." % (name, gpu.index, shown)
    if name in _PACKED and task.model.indexer is None:
        return "kv-cache-dtype %s is of sparse latent attention, which the model has not." % name
    if name in _PER_HEAD and task.model.is_mla:
        return "kv-cache-dtype %s is of attention with heads, and the model keeps a latent." % name
    if name in _PACKED + _PER_HEAD:
        return None
    if task.model.is_mla:
        if name == "fp8_e5m2":
            return "No kernel for latent attention keeps fp8_e5m2."
        if major < 9 and task.version < (0, 20):
            return "Latent attention keeps fp8 only from compute capability 9.0 on, and GPU %d has %s." % (
                gpu.index, shown)  # fmt: skip
        return None
    if task.version < (0, 11, 1):
        # These releases look at their own FlashAttention alone: version 3 of it runs on Hopper.
        if major == 9 and name != "fp8_e5m2":
            return None
        if major == 10 and task.version >= (0, 10):
            return None
        return "vLLM %s keeps fp8 only on compute capability 9.0, and GPU %d has %s." % (task.text, gpu.index, shown)
    return None


def _brings_scales(task: Task) -> bool:
    """Whether vLLM looks for the cache's scales in the checkpoint, where it refuses fp8_e5m2.

    That is a get_quant_method for attention (attention/layer.py, later layers/attention/attention.py). Checkpoints of
    compressed-tensors without scales of the cache came free in 0.24, those of ModelOpt in 0.14.
    """
    method = task.model.quantization
    section = quantization_section(task.model)
    if method in ("compressed-tensors", "compressed_tensors"):
        return task.version < (0, 24) or section.get("kv_cache_scheme") is not None
    if method == "modelopt":
        return task.version < (0, 14)
    return method in ("fp8", "quark") or (method is None and task.user.get("quantization") == "fp8")


def kv_warnings(name: str, gpu: Gpu, narrow: bool) -> list[str]:
    if not narrow:
        return []
    text = "kv-cache-dtype fp8 was chosen because the workload does not fit without it."
    if gpu.capability is not None and gpu.capability < (8, 9):
        text += " GPU %d computes it by conversion." % gpu.index
    return [warning("plan.kv_cache_narrowed", text)]


def decide_block_size(settings: Settings) -> int | None:
    """The user's block size; None leaves it to release and attention backend."""
    return int(settings.take("block-size")) if settings.user.get("block-size") is not None else None


def check_block_size(task: Task, gpu: Gpu) -> None:
    """Raises PlanError ``plan.bad_engine_argument`` for a block that none of the release's kernels takes."""
    asked = task.user.get("block-size")
    if isinstance(asked, int) and asked % 16 and _wants_sixteen(task, gpu):
        raise PlanError(
            "plan.bad_engine_argument",
            "block-size is %d, and the attention kernels of vLLM %s take multiples of 16." % (asked, task.text),
            ("Set it to %d, or leave it out." % (asked // 16 * 16 + 16),),
        )


def _wants_sixteen(task: Task, gpu: Gpu) -> bool:
    """From 0.24 on each kernel for attention with heads does (get_supported_kernel_block_sizes, v1/attention/backends).

    Before 0.12 FlashAttention does (its get_kv_cache_shape). Between, FlexAttention took what the others refused.
    """
    if task.model.hybrid or not any(layer.kind in ("full", "sliding", "chunked") for layer in task.model.distinct):
        return False
    if task.version >= (0, 24):
        return True
    chosen = "attention-backend" in task.user or "VLLM_ATTENTION_BACKEND" in task.deployment.env
    families = gpu.capability is not None and gpu.capability[0] in (8, 9)
    return task.version < (0, 12) and families and not chosen


def block_warnings(task: Task, gpu: Gpu) -> list[str]:
    """An explicit block size is planned as it is, also where vLLM takes larger ones of its own accord."""
    asked = task.user.get("block-size")
    if asked is None or gpu.capability is None:
        return []
    model = task.model
    if any(cache.kind == "v4_window" for layer in model.distinct for cache in layer.extra):
        text = "block-size %s: the kernels for this model take blocks of 256 tokens and nothing else."
        return [warning("plan.block_size_raised", text % asked)] if asked != 256 else []
    if model.is_mla:
        least = {9: 64, 10: 32}.get(gpu.capability[0], 16)
        if asked % least == 0:
            return []
        text = "block-size %s is planned as it stands; on GPU %d vLLM may raise it to %d for its attention kernels."
        return [warning("plan.block_size_raised", text % (asked, gpu.index, least))]
    if model.hybrid or any(layer.kind == "sliding" for layer in model.distinct):
        text = "block-size %s is planned with kernels that take 32 tokens; vLLM may make other blocks on GPU %d."
        return [warning("plan.block_size_raised", text % (asked, gpu.index))]
    return []
