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
CPU_TOKENS = 2048
CPU_SEQS = 4
_CAPPED_SINCE = (0, 10, 1)  # the first release whose default max-num-seqs is no more than the tokens of a step
_WHOLE_SINCE = (0, 11, 1)  # before, models that generate read prompts in pieces whatever was said


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
    given = task.user.get("max-num-batched-tokens")
    size, reason, source = tokens, why, "default"
    if not chunked and length is not None:
        size, reason = max(tokens, length), "Without chunked prefill a batch must hold the longest prompt."
        # A context that is cut later must not make the same plan smaller when it is made again.
        source = "computed" if size > tokens and task.asked_length is None else source
    elif lean and tokens > LEAN_TOKENS:
        size, source = LEAN_TOKENS, "computed"
        reason = "Smaller steps leave memory for the context that was asked for."
    most = size if given is None else given
    seqs = _decide_seqs(settings, task, replicas, lean, most, (seqs, why))
    if given is None and seqs > size:
        size, source = seqs, "computed"
        reason = "A step must have a token for each of max-num-seqs requests."
    if source == "default" and length is not None and task.version >= (0, 11, 2) and seqs * length < size:
        size, reason = seqs * length, "No more than max-num-seqs prompts of max-model-len tokens."
    if size < least:
        size, source = -(-least // 256) * 256, "computed"
        reason = "A block of %d tokens, as large as the state of a recurrent layer, must fit one batch." % least
    size = max(1, settings.decide("max-num-batched-tokens", max(1, size), reason, source))
    if "max-num-seqs" not in settings.values:
        seqs = min(seqs, size)
    _check(task, seqs, size, chunked)
    eager = settings.decide("enforce-eager", False, "CUDA graphs make decoding faster.", "default")
    return Batch(size, seqs, bool(eager))


def _decide_seqs(settings: Settings, task: Task, replicas: int, lean: bool, most: int, default: tuple[int, str]) -> int:
    """Requests at once of a replica, at most ``most`` unless the user says so; ``default`` is vLLM's, with its why."""
    seqs, why = default
    if task.concurrency:
        wanted = -(-task.concurrency // replicas)
        if wanted > most:
            reason = "As many of workload.concurrency as a step has tokens for."
            return int(settings.decide("max-num-seqs", most, reason))
        reason = "workload.concurrency." if replicas == 1 else "workload.concurrency over %d replicas." % replicas
        return int(settings.decide("max-num-seqs", wanted, reason, "user"))
    if lean and seqs > LEAN_SEQS:
        reason = "A larger batch would leave too little memory for the context that was asked for."
        return int(settings.decide("max-num-seqs", min(LEAN_SEQS, most), reason))
    if seqs > most and task.version < _CAPPED_SINCE:
        return int(settings.decide("max-num-seqs", most, "No more than the tokens of a step, which vLLM wants said."))
    return int(settings.decide("max-num-seqs", min(seqs, most), why, "default"))


def decide_batch_on_cpu(settings: Settings, task: Task, length: int, chunked: bool) -> Batch:
    """The same for a CPU host and a context of ``length`` tokens; eager is decided elsewhere."""
    given = task.user.get("max-num-batched-tokens")
    size, reason, source = CPU_TOKENS, "vLLM's default on a CPU.", "default"
    if not chunked and length > size:
        size, reason, source = length, "Without chunked prefill a batch must hold the longest prompt.", "computed"
    most = size if given is None else given
    if task.concurrency and task.concurrency <= most:
        seqs = settings.decide("max-num-seqs", task.concurrency, "workload.concurrency.", "user")
    elif task.concurrency:
        reason_seqs = "As many of workload.concurrency as a step has tokens for."
        seqs = settings.decide("max-num-seqs", most, reason_seqs)
    else:
        reason_seqs = "A CPU answers few requests at once without slowing all of them."
        seqs = settings.decide("max-num-seqs", min(CPU_SEQS, most), reason_seqs)
    if seqs > size:
        size, reason, source = seqs, "A step must have a token for each of max-num-seqs requests.", "computed"
    size = max(1, settings.decide("max-num-batched-tokens", size, reason, source))
    _check(task, seqs, size, chunked)
    return Batch(size, seqs, True)


def _check(task: Task, seqs: int, tokens: int, chunked: bool) -> None:
    """Raises PlanError ``plan.bad_engine_argument`` for a batch that vLLM refuses as such."""
    if seqs > tokens:
        raise PlanError(
            "plan.bad_engine_argument",
            "max-num-seqs is %d and max-num-batched-tokens %d; vLLM wants a token for each request in a step."
            % (seqs, tokens),
            ("Set max-num-seqs to %d or less." % tokens, "Leave max-num-batched-tokens out."),
        )
    asked = task.asked_length
    if not chunked and asked is not None and asked > tokens:
        raise PlanError(
            "plan.bad_engine_argument",
            "max-num-batched-tokens is %d, and without chunked prefill a batch must hold a context of %d tokens."
            % (tokens, asked),
            ("Leave max-num-batched-tokens out.", "Leave enable-chunked-prefill out.", "Ask for a shorter context."),
        )


def in_pieces(task: Task, chunked: bool, pooling: bool) -> bool:
    """Whether the release reads long prompts in pieces; ``chunked`` is what was decided of enable-chunked-prefill."""
    return chunked or (task.version < _WHOLE_SINCE and not pooling and task.model.encoder is None)


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
