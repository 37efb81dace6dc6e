# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Sampling: the peak while a full batch is sampled, and what the sampler keeps. Bytes of one rank."""

from __future__ import annotations

from typing import Mapping

from ..model.info import ModelInfo
from ..shape import Shape
from .cards import MIB, multiprocessors
from .runner import second_runner

# Sorting the vocabulary (releases before 0.17, and batches under 8 rows): logits in 4 bytes, their sorted copy and its
# 8-byte indices, the softmax and its running sum, masks and scatter. FIT to 0.10-0.15 on an H100 and a 48 GB Ada card
# (38.02, 38.04, 38.0 bytes a logit); all else in this file is read from the sources.
_SORTED_BYTES = 36


def logits_bytes(model: ModelInfo, shape: Shape) -> int:
    """Bytes per logit at the peak of sampling, times the logits."""
    rows, width = shape.seqs, shape.width
    if second_runner(model, shape):
        # A dummy batch asks for no penalties, no top-k and no top-p, so only the logits themselves exist; with several
        # ranks each one's share, all of them gathered and these put in order; with a soft cap one more copy.
        copies = width * (2 + 1 / shape.tensor) if shape.tensor > 1 else float(width)
        copies += width if model.config.get("final_logit_softcapping") else 0
        return int(rows * model.vocab * copies)
    if shape.version < (0, 17) or rows < 8:
        return rows * model.vocab * (width + _SORTED_BYTES)
    # Logits as computed, in 4 bytes, their probabilities and the random numbers that these are divided by; and the
    # Triton kernel's table, one row of the vocabulary for each multiprocessor.
    programs = min(multiprocessors(shape.gpu), rows)
    peak = rows * model.vocab * (width + 12) + programs * model.vocab * 4
    if shape.speculative_tokens:
        peak += 2 * rows * model.vocab * width  # the rejection sampler is tried with one guess for each row
    return peak


def blas_bytes(shape: Shape) -> int:
    """PyTorch's cuBLAS workspace, allocated with the first matrix product: 32 MiB on Hopper and newer, else 8 MiB."""
    capability = shape.gpu.capability if shape.gpu is not None else None
    return 32 * MIB if capability is not None and capability[0] in (9, 10) else 8 * MIB + 128 * 1024


def state_bytes(model: ModelInfo, shape: Shape) -> int:
    """Counts of output tokens and a mask of prompt tokens, for each request and token: the second runner keeps them."""
    if not second_runner(model, shape) or model.pooling:
        return 0
    held = shape.seqs * (model.vocab * 4 + -(-model.vocab // 32) * 4)
    speculation = shape.engine_args.get("speculative-config")
    if isinstance(speculation, Mapping) and speculation.get("draft_sample_method") == "probabilistic":
        held += shape.seqs * shape.speculative_tokens * model.vocab * 4  # the guesses' logits of the step before
    return held
