# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner's memory parts say of one published reading, beside what was read."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from ansible_collections.gpufleet.vllm.plugins.module_utils._planner import releases
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.layout.batch import batch_defaults
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.accounting import gpu_memory, rank_parts
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory.weights import rank_bytes, stored
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.model.info import ModelInfo, read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import parse_request
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.shape import Shape

from tests.bench.plan_rows import GIB, Row


@dataclass
class Prediction:
    """Figures of one reading in GiB. ``pool`` and ``own_pool``: with the weights as read, and with our own."""

    row: Row
    model: ModelInfo
    shape: Shape
    usable: float
    utilization: float
    figures: dict[str, float]
    weights: float | None = None  # from the configuration alone
    pool: float | None = None
    own_pool: float | None = None
    observed_pool: float | None = None


def predict(row: Row) -> Prediction:
    """Raises PlanError or InvalidRequest where the planner refuses the model."""
    request = parse_request(row.request)
    deployment = request.deployments[0]
    args = dict(deployment.engine_args)
    version, _warning = releases.resolve(request.vllm_version)
    model = read_model(deployment.model.config)
    gpu = request.gpus[0]
    shape = _shape(args, version, model, gpu)
    utilization = float(args.get("gpu-memory-utilization", releases.default_utilization(version)))
    alone = deployment.model.__class__(config=deployment.model.config, id=deployment.model.id)
    weights = _or_none(lambda: rank_bytes(stored(alone, model, shape), model, shape))
    given = row.observed.get("weights")
    chosen = int(given * GIB) if given is not None else weights
    parts = rank_parts(chosen or 0, model, shape)
    memory = gpu_memory(gpu, utilization, parts, shape)
    figures = {
        "activation": memory.activation / GIB,
        "non_torch": memory.non_torch / GIB,
        "graphs": memory.graphs / GIB,
        "estimate": memory.reserved / GIB,
    }
    out = Prediction(row, model, shape, gpu.usable_bytes / GIB, utilization, figures)
    out.weights = weights / GIB if weights is not None else None
    if chosen is not None:
        out.pool = memory.kv_available / GIB
    if weights is not None:
        out.own_pool = gpu_memory(gpu, utilization, rank_parts(weights, model, shape), shape).kv_available / GIB
    out.observed_pool = _observed_pool(row, out)
    return out


def _shape(args: dict[str, Any], version: Any, model: ModelInfo, gpu: Any) -> Shape:
    tokens, seqs = batch_defaults(gpu, version)
    return Shape(
        version=version,
        tokens=args.get("max-num-batched-tokens", tokens),
        seqs=args.get("max-num-seqs", seqs),
        width=4 if args.get("dtype") == "float32" else 2,
        kv_dtype=args.get("kv-cache-dtype", "auto"),
        tensor=args.get("tensor-parallel-size", 1),
        pipeline=args.get("pipeline-parallel-size", 1),
        expert=bool(args.get("enable-expert-parallel")),
        eager=bool(args.get("enforce-eager")),
        async_scheduling=version >= (0, 14),
        quantization=args.get("quantization"),
        speculative_tokens=args.get("speculative-config", {}).get("num_speculative_tokens", 0),
        gpu=gpu,
        engine_args=args,
    )


def _or_none(compute: Any) -> Any:
    try:
        return compute()
    except Exception as error:  # the planner's own refusal; anything else is a mistake of ours
        if not hasattr(error, "code"):
            raise
        return None


def _observed_pool(row: Row, out: Prediction) -> float | None:
    """The pool that was read; where only its parts were, what vLLM's own accounting leaves of them."""
    seen = row.observed
    if "pool" in seen:
        return seen["pool"]
    if "tokens" in seen and not any(layer.state or layer.window for layer in out.model.layers):
        token = sum(
            max(1, layer.kv_heads // out.shape.tensor if layer.kind != "mla" else 1)
            * (layer.head_size + layer.head_size_v)
            for layer in out.model.layers
        )
        return seen["tokens"] * token * (1 if out.shape.kv_dtype.startswith("fp8") else out.shape.width) / GIB
    if "activation" in seen and "non_torch" in seen and out.shape.version < (0, 20):
        weights = seen.get("weights", out.weights)
        if weights is not None:
            budget = ceil(out.usable * GIB * out.utilization) / GIB
            return budget - weights - seen["activation"] - seen["non_torch"]
    return None
