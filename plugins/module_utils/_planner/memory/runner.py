# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Which of vLLM's two model runners an engine gets. They profile differently, so their peaks differ."""

from __future__ import annotations

from ..model.info import ModelInfo
from ..shape import Shape

# Architectures that the release itself names for the second runner, before it became the rule with 0.29.
_NAMED = {
    (0, 22): ("Qwen3ForCausalLM",),
    (0, 23): ("LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM"),
    (0, 24): ("Qwen3ForCausalLM", "DeepseekV2ForCausalLM", "Qwen2MoeForCausalLM", "GraniteMoeForCausalLM",
              "LlamaForCausalLM", "MistralForCausalLM"),
    (0, 25): ("DeepseekV2ForCausalLM", "Qwen2MoeForCausalLM", "GraniteMoeForCausalLM"),
    (0, 28): ("DeepseekV2ForCausalLM", "DeepseekV4ForCausalLM", "Qwen2MoeForCausalLM", "GraniteMoeForCausalLM",
              "KimiK3ForConditionalGeneration"),
}  # fmt: skip


def second_runner(model: ModelInfo, shape: Shape) -> bool:
    """Whether ``shape.version`` runs ``model`` with the second runner, unless the environment says otherwise."""
    version = shape.version
    if version >= (0, 29):
        return not shape.engine_args.get("enable-dbo")
    if version < (0, 22) or model.pooling:
        return False
    known = max(release for release in _NAMED if release <= version)
    named = model.architecture in _NAMED[known]
    if version < (0, 24):
        return named and not model.experts and model.quantization is None and shape.quantization is None
    if version < (0, 25):
        return named
    return named or not (model.experts or any(layer.state for layer in model.layers))
