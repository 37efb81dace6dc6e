# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Environment variables of an engine, checked against the release."""

from __future__ import annotations

import difflib
from typing import Mapping

from ..errors import PlanError, warning
from .catalogue import dotted, first_with, gone_since, state

# Variable -> why a unit must not have it, and what to do instead.
_REFUSED = {
    "VLLM_USE_MODELSCOPE": (
        "Engines never talk to a hub, and with it vLLM asks ModelScope even for a model in a folder",
        "Use model.source: modelscope",
    ),
    "VLLM_API_KEY": ("A key in the inventory's env could be read by anyone who sees the unit", "Use vllm_api_keys"),
    "HF_TOKEN": ("Engines never talk to a hub", "Use gpufleet_hub_tokens"),
    "HUGGING_FACE_HUB_TOKEN": ("Engines never talk to a hub", "Use gpufleet_hub_tokens"),
    "CUDA_VISIBLE_DEVICES": ("Which GPUs a deployment gets is planned", "Use gpus.uuids or gpus.indices"),
    "NVIDIA_VISIBLE_DEVICES": ("Which GPUs a deployment gets is planned", "Use gpus.uuids or gpus.indices"),
}
# Variable -> what to do in releases that do not read it (any more).
_REMEDIES = {
    "VLLM_ATTENTION_BACKEND": "Use attention-backend of engine_args",
    "VLLM_FLASH_ATTN_VERSION": "Use attention-config: {flash_attn_version: ...} of engine_args",
    "VLLM_USE_V1": "Leave it out; there is only one engine",
    "VLLM_TORCH_PROFILER_DIR": "Use profiler-config of engine_args",
    "VLLM_ALL2ALL_BACKEND": "Use all2all-backend of engine_args",
}


def lint_env(env: Mapping[str, str], version: tuple[int, ...]) -> list[str]:
    """Remarks on variables that ``version`` does not read; raises PlanError ``plan.refused_environment``.

    Only names that begin with VLLM_ are checked against the release: others belong to CUDA, NCCL or torch.
    """
    known = state("environment", version)
    remarks = []
    for name in env:
        if name in _REFUSED:
            reason, remedy = _REFUSED[name]
            raise PlanError("plan.refused_environment", "env has %s. %s." % (name, reason), (remedy + ".",))
        if name.startswith("VLLM_") and name not in known:
            text = "env: %s, which vLLM %s does not read. %s" % (name, dotted(version), _why(name, version, known))
            remarks.append(warning("plan.unknown_environment", text))
    return remarks


def _why(name: str, version: tuple[int, ...], known: Mapping[str, str]) -> str:
    remedy = _REMEDIES.get(name)
    gone = gone_since("environment", name, version)
    if gone is not None:
        return "%s dropped it. %s." % (dotted(gone), remedy or "Leave it out")
    later = first_with("environment", name, version)
    if later is not None:
        return "%s is the first that does." % dotted(later)
    near = difflib.get_close_matches(name, known, 1, 0.8)
    return "Did you mean %s?" % near[0] if near else (remedy or "Remove it") + "."
