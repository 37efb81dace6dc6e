# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Engine arguments that change what config.json says, and those whose effect on the memory is not counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from ..arguments.config_file import nested
from ..errors import PlanError, warning
from ..kv.cache import KvLayout
from ..memory.accounting import Memory
from ..model.info import ModelInfo
from ..model.layers import Layer

_SECTIONS = ("text_config", "vision_config", "audio_config", "llm_config", "language_config", "thinker_config")
_BY_REQUEST, _BY_CONNECTOR = (0, 12), (0, 24)
GIB = 2**30
# Arguments that change what an engine holds, and how much is not computed here. A value that changes nothing is False.
_NOT_COUNTED = (
    "kv-transfer-config", "ec-transfer-config", "cudagraph-capture-sizes", "kernel-config", "attention-config",
    "eplb-config", "num-redundant-experts", "enable-eplb", "mamba-block-size", "mamba-cache-mode", "offload-group-size",
    "cpu-offload-params", "quantization-config", "worker-cls", "worker-extension-cls", "scheduler-cls",
    "additional-config", "kv-sharing-fast-prefill", "logits-processors",
)  # fmt: skip
# The same of variables in ``env``.
_NOT_COUNTED_ENV = (
    "VLLM_PP_LAYER_PARTITION", "VLLM_USE_V2_MODEL_RUNNER", "VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS",
    "VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE",
)  # fmt: skip
_COUNTED_OF_COMPILATION = frozenset(("max_cudagraph_capture_size",))


def effective_config(config: Mapping[str, Any], user: Mapping[str, Any]) -> Mapping[str, Any]:
    """config.json as vLLM sees it: with ``hf-overrides`` and the ``rope-scaling`` of older releases put over it.

    Sections of the config are merged, any other mapping replaces what stands there (config/model.py,
    ``_apply_dict_overrides``).
    """
    told = nested({name: value for name, value in user.items() if name.partition(".")[0] in ("hf-overrides",)})
    overrides = told.get("hf-overrides")
    out = _merged(config, overrides) if isinstance(overrides, Mapping) and overrides else config
    scaling = user.get("rope-scaling")
    if isinstance(scaling, Mapping) and scaling:
        out = {**out, "rope_scaling": scaling}
    return out


def _merged(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(config)
    for key, value in overrides.items():
        old = out.get(key)
        if key in _SECTIONS and isinstance(old, Mapping) and isinstance(value, Mapping):
            out[key] = _merged(old, value)
        else:
            out[key] = value
    return out


def without_windows(model: ModelInfo, user: Mapping[str, Any]) -> ModelInfo:
    """The model with ``disable-sliding-window``: every window is full attention, and no context is longer than one
    (config/model.py caps it in ``_get_and_verify_max_len`` and then sets the window to None)."""
    window = model.config.get("sliding_window")
    if user.get("disable-sliding-window") is not True or isinstance(window, bool) or not isinstance(window, int):
        return model
    made: dict[int, Layer] = {}
    for layer in model.layers:
        if id(layer) not in made:
            made[id(layer)] = replace(layer, kind="full", window=0) if layer.kind == "sliding" else layer
    limit = model.max_model_len
    if window > 0:
        limit = window if limit is None else min(limit, window)
    return replace(model, layers=tuple(made[id(layer)] for layer in model.layers), max_model_len=limit)


def uncounted_warnings(user: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """A warning ``plan.not_counted`` that names arguments and variables whose effect on the memory is left out."""
    told = nested(user)
    names = [name for name in _NOT_COUNTED if told.get(name) not in (None, False, 0, "", "auto")]
    compilation = told.get("compilation-config")
    if isinstance(compilation, Mapping) and set(compilation) - _COUNTED_OF_COMPILATION:
        names.append("compilation-config")
    names += [name for name in _NOT_COUNTED_ENV if env.get(name)]
    if not names:
        return []
    text = "what %s changes in the memory is not counted: leave room for it with gpu-memory-utilization."
    return [warning("plan.not_counted", text % ", ".join(sorted(names)))]


def hybrid_manager(user: Mapping[str, Any], version: tuple[int, ...]) -> bool:
    """Whether layers of different kinds keep caches of their own.

    ``kv-transfer-config`` switches that off (config/vllm.py), from 0.12 on unless the user asks for it; from 0.24 on
    the connector says which.
    """
    asked = user.get("disable-hybrid-kv-cache-manager")
    if asked:
        return False
    if not nested(user).get("kv-transfer-config") or version >= _BY_CONNECTOR:
        return True
    return asked is False and version >= _BY_REQUEST


def overriding_blocks(user: Mapping[str, Any], caches: Sequence[KvLayout], ranks: Sequence[Memory]) -> int | None:
    """Bytes of a cache of ``num-gpu-blocks-override`` blocks, which replaces what memory there is; None: not asked for.

    vLLM allocates that many whatever is free (v1/core/kv_cache_utils.py). Raises PlanError ``plan.does_not_fit``.
    """
    blocks = user.get("num-gpu-blocks-override")
    if not isinstance(blocks, int):
        return None
    size = blocks * max(cache.block_bytes for cache in caches)
    worst = min(ranks, key=lambda rank: rank.headroom + max(0, rank.kv_available))
    left = worst.headroom + max(0, worst.kv_available)
    if size > left:
        raise PlanError(
            "plan.does_not_fit",
            "num-gpu-blocks-override of %d blocks is a KV cache of %.2f GiB, and %.2f GiB of the card are left for it."
            % (blocks, size / GIB, max(0, left) / GIB),
            ("Leave num-gpu-blocks-override out.", "Use a GPU with more memory."),
            size,
            max(0, left),
        )
    return size
