# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Batch: tokens and requests of one step, after vLLM's own defaults by size of the card, and CUDA graphs."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import PlanError
from ..request import Gpu
from ..settings import Settings
from .task import Task

GIB = 2**30
LEAN_TOKENS = 2048
LEAN_SEQS = 32


class Batch(NamedTuple):
    tokens: int
    seqs: int
    eager: bool


def batch_defaults(gpu: Gpu, version: tuple[int, ...]) -> tuple[int, int]:
    """vLLM's ``max-num-batched-tokens`` and ``max-num-seqs`` for an API server on ``gpu``."""
    size = gpu.usable_bytes
    if version >= (0, 28) and size >= 160 * GIB:
        return 16384, 1024
    small = "a100" in gpu.name.lower() and version >= (0, 9)
    small = small or (gpu.capability == (12, 1) and version >= (0, 33))
    if size >= 70 * GIB and not small:
        return 8192, 1024
    return 2048, 256


def decide_batch(
    settings: Settings, task: Task, gpu: Gpu, replicas: int, chunked: bool, lean: bool, least: int = 0
) -> Batch:
    """``lean``: as small a batch as serves, because a larger one leaves too little for the cache; ``least``: tokens
    that a block of the cache has, where the release wants a batch to hold one."""
    tokens, seqs = batch_defaults(gpu, task.version)
    why = "vLLM's default on a %s." % gpu.name
    if task.user.get("performance-mode") == "throughput" and task.version >= (0, 17):
        tokens, seqs, why = 2 * tokens, 2 * seqs, "Twice vLLM's default, for performance-mode: throughput."
    length = task.asked_length or task.model.max_model_len
    default_seqs = seqs
    if task.concurrency:
        seqs = -(-task.concurrency // replicas)
        reason = "workload.concurrency." if replicas == 1 else "workload.concurrency over %d replicas." % replicas
        seqs = settings.decide("max-num-seqs", seqs, reason, "user")
    elif lean and seqs > LEAN_SEQS:
        reason = "A larger batch would leave too little memory for the context that was asked for."
        seqs = settings.decide("max-num-seqs", LEAN_SEQS, reason)
    else:
        seqs = settings.decide("max-num-seqs", min(seqs, tokens), why, "default")
    if not chunked and length is not None:
        tokens = max(tokens, length)
        why = "Without chunked prefill a batch must hold the longest prompt."
    elif lean and tokens > LEAN_TOKENS:
        reason = "Smaller steps leave memory for the context that was asked for."
        tokens = settings.decide("max-num-batched-tokens", LEAN_TOKENS, reason)
    if length is not None and task.version >= (0, 11, 2) and seqs * length < tokens:
        tokens, why = seqs * length, "No more than max-num-seqs prompts of max-model-len tokens."
    if tokens < least:
        reason = "A block of %d tokens, as large as the state of a recurrent layer, must fit one batch." % least
        tokens = settings.decide("max-num-batched-tokens", -(-least // 256) * 256, reason)
    tokens = settings.decide("max-num-batched-tokens", max(1, tokens), why, "default")
    if "max-num-seqs" not in settings.values and tokens < default_seqs:
        seqs = min(seqs, tokens)
    eager = settings.decide("enforce-eager", False, "CUDA graphs make decoding faster.", "default")
    return Batch(max(1, tokens), seqs, bool(eager))


def blocks_in_one_batch(task: Task, prefix_caching: bool) -> bool:
    """Whether the release wants a batch to hold a block of the cache: where states are kept at the ends of blocks."""
    return task.model.hybrid and prefix_caching and (0, 15) <= task.version < (0, 27)


def check_block(task: Task, block: int) -> None:
    """Raises PlanError ``plan.batch_too_small`` where the user's batch is smaller than a ``block`` of tokens."""
    asked = task.user.get("max-num-batched-tokens")
    if asked is not None:
        raise PlanError(
            "plan.batch_too_small",
            "max-num-batched-tokens is %d, and a block of the cache has %d tokens, which vLLM %s wants in one batch."
            % (asked, block, task.text),
            ("Set max-num-batched-tokens to %d or more, or leave it out." % block, "Set enable-prefix-caching: false."),
        )
