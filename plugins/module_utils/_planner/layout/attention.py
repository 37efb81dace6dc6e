# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Which attention kernels the release takes on a card, and refusals where it has none."""

from __future__ import annotations

from ..errors import PlanError
from ..request import Gpu
from ..settings import Settings
from ..shape import Shape
from .kv_dtype import check_block_size
from .task import Task

# Kernels by name: the families of compute capability that they are for; None: 8.0 and newer.
_FAMILIES: dict[str, tuple[int, ...] | None] = {
    "FLASH_ATTN": None,
    "FLASHINFER": None,
    "FLASH_ATTN_MLA": (9,),
    "FLASHMLA": (9, 10),
    "CUTLASS_MLA": (10,),
    "FLASHINFER_MLA": (10,),
    "TOKENSPEED_MLA": (10,),
    "FLASHMLA_SPARSE": (9, 10),
}
_SINCE = (0, 19)  # the order of choice below is that of these releases
_FLASHINFER_HEADS = (64, 128, 256)


def decide_attention(settings: Settings, task: Task, gpu: Gpu, shape: Shape) -> None:
    """Record which kernels are taken. Raises PlanError ``plan.unsupported_attention`` where there are none."""
    check_block_size(task, gpu)
    asked = task.user.get("attention-backend")
    if gpu.capability is None:
        return
    if _sparse_latent(task) and gpu.capability[0] not in _sparse_families(task.version):
        wanted = " or ".join("%d" % family for family in _sparse_families(task.version))
        what = "In vLLM %s sparse latent attention has kernels" % task.text
        raise _refused(gpu, what, wanted, "Use a Hopper or data-centre Blackwell GPU.", "on")
    if isinstance(asked, str):
        _check(asked.upper(), gpu, shape)
        return
    chosen = _latent(gpu, shape) if task.model.is_mla else _plain(task, gpu, shape)
    if chosen is not None and task.version >= _SINCE:
        reason = "vLLM's first choice at compute capability %d.%d that takes the types." % gpu.capability
        settings.decide("attention-backend", chosen, reason, "default")


def _sparse_latent(task: Task) -> bool:
    """DeepSeek V3.2 and its like, and V4, whose layers keep a window or a compressed latent each."""
    if task.model.indexer is not None and task.model.is_mla:
        return True
    return any(cache.kind == "v4_window" for layer in task.model.distinct for cache in layer.extra)


def _sparse_families(version: tuple[int, ...]) -> tuple[int, ...]:
    """FlashMLA's are for 9 and 10 (mla/flashmla_sparse.py, models/deepseek_v4/sparse_mla.py), FlashInfer's for 12 came
    in 0.24 (mla/flashinfer_mla_sparse.py, models/deepseek_v4/nvidia/flashinfer_sparse.py)."""
    return (9, 10, 12) if version >= (0, 24) else (9, 10)


def _check(name: str, gpu: Gpu, shape: Shape) -> None:
    major = (gpu.capability or (0, 0))[0]
    if name not in _FAMILIES:
        return
    families = _FAMILIES[name]
    if families is None and major < 8:
        raise _refused(gpu, "attention-backend %s runs" % name, "8.0", "Leave attention-backend out.")
    if families is not None and major not in families:
        wanted = " or ".join("%d" % family for family in families)
        raise _refused(gpu, "attention-backend %s runs" % name, wanted, "Leave attention-backend out.", "on")
    if name == "FLASH_ATTN" and (shape.width == 4 or (shape.kv_dtype.startswith("fp8") and major not in (9, 10))):
        raise PlanError(
            "plan.unsupported_attention",
            "attention-backend FLASH_ATTN computes in 16 bits, and keeps fp8 on compute capability 9 and 10 only.",
            ("Leave attention-backend out.",),
        )


def _refused(gpu: Gpu, what: str, needed: str, remedy: str, how: str = "from") -> PlanError:
    tail = " on" if how == "from" else ""
    return PlanError(
        "plan.unsupported_attention",
        "%s %s compute capability %s%s, and GPU %d (%s) has %d.%d."
        % (what, how, needed, tail, gpu.index, gpu.name, *(gpu.capability or (0, 0))),
        (remedy,),
    )


def _plain(task: Task, gpu: Gpu, shape: Shape) -> str | None:
    """Attention with heads: FlashAttention, on data-centre Blackwell FlashInfer, else Triton's."""
    major = (gpu.capability or (0, 0))[0]
    heads = {layer.head_size for layer in task.model.layers if layer.kind in ("full", "sliding", "chunked")}
    if not heads or task.model.pooling or task.model.encoder is not None:
        return None
    fp8 = shape.kv_dtype.startswith("fp8")
    flash = major >= 8 and shape.width == 2 and all(head % 8 == 0 and head <= 256 for head in heads)
    flash = flash and (not fp8 or major in (9, 10))
    sinks = task.model.family == "gpt_oss"
    flash = flash and (not sinks or major >= 9)
    infer = major >= 8 and shape.width == 2 and all(head in _FLASHINFER_HEADS for head in heads)
    infer = infer and (not sinks or major == 10)
    order = (infer and "FLASHINFER", flash and "FLASH_ATTN") if major == 10 else (
        flash and "FLASH_ATTN", infer and "FLASHINFER")  # fmt: skip
    return next((name for name in order if name), "TRITON_ATTN")


def _latent(gpu: Gpu, shape: Shape) -> str | None:
    major = (gpu.capability or (0, 0))[0]
    if major == 10:
        return "FLASHINFER_MLA"
    if major == 9:
        return "FLASHMLA" if shape.kv_dtype.startswith("fp8") else "FLASH_ATTN_MLA"
    return "TRITON_MLA"
