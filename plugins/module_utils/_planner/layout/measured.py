# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Figures of the last start in place of predicted ones, where they are of the same engine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, Sequence

from ..memory.accounting import Parts
from ..request import Gpu, Measured
from ..shape import Shape
from .task import Task


def fingerprint(task: Task, shape: Shape, gpus: Sequence[Gpu], weights: Any) -> str:
    """Digest of all that an engine's memory depends on, but not of its context, its share or measured figures."""
    own = asdict(Shape(**{**shape.__dict__, "gpu": None, "engine_args": {}}))
    own["engine_args"] = {key: value for key, value in shape.engine_args.items() if key in _WEIGHTY}
    cards = [[gpu.name, gpu.usable_bytes, gpu.capability] for gpu in gpus]
    text = json.dumps([_described(task), list(weights), own, cards], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _described(task: Task) -> dict[str, Any]:
    """The model's config without the lists of what is quantised how, which may have thousands of entries."""
    config = dict(task.deployment.model.config)
    for key in ("quantization_config", "compression_config"):
        section = config.get(key)
        if isinstance(section, dict):
            config[key] = {name: value for name, value in section.items() if not isinstance(value, (dict, list))}
    return config


# Arguments that change the memory of an engine and are not part of its shape.
_WEIGHTY = frozenset((
    "all2all-backend", "attention-backend", "attention-config", "compilation-config", "cpu-offload-gb",
    "cpu-offload-params",
    "cudagraph-capture-sizes", "disable-hybrid-kv-cache-manager", "enable-eplb", "enable-dbo",
    "enable-lora", "enable-sleep-mode", "eplb-config", "fully-sharded-loras", "hf-overrides", "language-model-only",
    "limit-mm-per-prompt", "load-format", "lora-dtype", "max-cpu-loras", "max-cudagraph-capture-size", "max-lora-rank",
    "max-loras", "mm-encoder-only", "mm-encoder-tp-mode", "mm-ipc-gpu-memory-gb", "mm-processor-kwargs", "moe-backend",
    "offload-group-size", "optimization-level", "runner", "convert", "task", "skip-mm-profiling", "speculative-config",
    "mamba-cache-dtype", "mamba-ssm-cache-dtype", "kv-sharing-fast-prefill", "enable-prompt-embeds", "model-impl",
))  # fmt: skip


def last_start(task: Task, digest: str) -> Measured | None:
    """What the same engine took at its last start: the last entry that is of it."""
    for entry in reversed(task.request.measured):
        if entry.deployment != task.name:
            continue
        if entry.fingerprint == digest or (entry.fingerprint is None and entry.vllm_version == task.text):
            return entry
    return None


def corrected(parts: Parts, measured: Measured) -> Parts:
    """``parts`` with the measured figures where there are any."""
    return Parts(
        parts.weights if measured.weights_bytes is None else measured.weights_bytes,
        parts.activation if measured.activation_peak_bytes is None else measured.activation_peak_bytes,
        parts.non_torch if measured.non_torch_bytes is None else measured.non_torch_bytes,
        parts.graphs if measured.cuda_graph_bytes is None else measured.cuda_graph_bytes,
    )
