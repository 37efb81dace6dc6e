# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Which model types are understood and how their layers are built; what is refused, and why."""

from __future__ import annotations

from ..errors import PlanError

# Attention with K and V in every layer, full or in a window, and one feed-forward net a layer.
DENSE = frozenset((
    "llama", "mistral", "ministral", "ministral3", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "phi",
    "granite", "olmo", "olmo2", "olmo3", "smollm3", "exaone", "exaone4", "glm4", "glm", "internlm2", "internlm3",
    "seed_oss", "starcoder2", "mimo", "nemotron", "cohere", "cohere2", "hunyuan_v1_dense", "ernie4_5", "apertus",
    "arcee", "gpt2", "gptj", "gpt_j", "gpt_neox", "gpt_bigcode", "bloom", "falcon", "opt", "stablelm", "orion",
    "minicpm", "baichuan", "solar", "telechat2", "teleflm", "chatglm", "persimmon", "iquestcoder", "hyperclovax",
    "jais2", "aquila", "step1", "cwm", "nanbeige", "vaultgemma", "qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text",
    "gemma4_text", "gemma3n_text", "plamo3", "mistral3_text", "glm4v_text", "qwen2_5_omni_text", "qwen3_asr_text",
    "idefics3_text", "smolvlm_text", "glm_ocr_text",
))  # fmt: skip
# The same with routed experts in some or all layers.
MOE = frozenset((
    "mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss", "minimax_m2", "olmoe", "granitemoe", "granitemoeshared", "glm4_moe",
    "ernie4_5_moe", "phimoe", "dbrx", "qwen3_vl_moe_text", "llama4_text", "llama4", "mimo_v2_flash", "mimo_v2",
    "step3p5", "step3p7", "minimax_m3", "minimax_m3_text", "hunyuan_v1_moe", "bailing_moe", "bailing_moe_v2",
    "exaone_moe", "cohere2_moe", "afmoe", "laguna", "glm4v_moe_text", "qwen3_omni_moe_text", "flex_olmo", "hy_v3",
    "dots1", "deepseek",
))  # fmt: skip
# One compressed latent in place of K and V.
MLA = frozenset((
    "deepseek_v2", "deepseek_v3", "kimi_k2", "deepseek_v32", "glm_moe_dsa", "glm4_moe_lite", "deepseek_v4",
    "deepseek_ref", "longcat_flash", "pangu_ultra_moe", "kimi_linear", "axk1", "minicpm3", "deepseek_vl_v2",
))  # fmt: skip
# Recurrent layers, alone or among attention.
RECURRENT = frozenset((
    "qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "nemotron_h", "bamba", "jamba",
    "mamba", "mamba2", "falcon_mamba", "falcon_h1", "granitemoehybrid", "zamba2", "lfm2", "lfm2_moe", "kimi_linear",
    "olmo_hybrid",
))  # fmt: skip
# Each layer has a shape of its own.
HETEROGENEOUS = frozenset(("nemotron-nas", "deci"))
# No decoder: nothing is remembered between tokens.
ENCODERS = frozenset((
    "bert", "roberta", "xlm-roberta", "xlm_roberta", "modernbert", "nomic_bert", "new", "gte", "distilbert",
    "jina_embeddings_v3", "clip", "siglip", "siglip2",
))  # fmt: skip
ENCODER_DECODER = frozenset(("whisper",))

KNOWN = DENSE | MOE | MLA | RECURRENT | HETEROGENEOUS | ENCODERS | ENCODER_DECODER

# Where a wrapper keeps its language model, in the order in which vLLM looks.
TEXT_SECTIONS = ("text_config", "llm_config", "language_config", "thinker_config")

_REFUSED = {
    "t5": "vLLM runs no encoder-decoder models but speech and document ones",
    "bart": "vLLM runs no encoder-decoder models but speech and document ones",
    "mllama": "vLLM dropped it after 0.10.2",
    "minimax": "vLLM dropped it after 0.23.0",
    "minimax_text_01": "vLLM dropped it after 0.23.0",
    "minimax_m1": "vLLM dropped it after 0.23.0",
    "plamo2": "vLLM dropped it after 0.26.0",
    "arctic": "vLLM dropped it after 0.28.0",
    "grok-1": "vLLM dropped it after 0.24.0",
    "rwkv": "vLLM does not run it",
    "deepseek_v41": "how its layers share their cache is not known for a release that can be read",
    "inkling": "its layers mix attention with convolutions in a way that is not known yet",
    "qwen4_exp": "its layers keep several caches of different ages that are not known yet",
}
# Published configs that no release up to 0.33 serves under the name that they give.
_UNSERVED = {
    "Step3p7FlashForCausalLM": "Step3p7ForConditionalGeneration",
    "MiniMaxM3ForCausalLM": "MiniMaxM3SparseForCausalLM",
}
_UNREAD = {"deepseek_ref": "deepseek_v4"}


def check_served(family: str, architecture: str) -> None:
    """Raise PlanError where vLLM has no class for the architecture or cannot read the config's type."""
    for name, kind, known in (
        (architecture, "architecture", _UNSERVED.get(architecture)),
        (family, "model_type", _UNREAD.get(family)),
    ):
        if known is not None:
            raise PlanError(
                "plan.unsupported_model",
                "No release of vLLM up to 0.33 serves models with the %s '%s'." % (kind, name),
                ("Use a checkpoint whose config says '%s'." % known,),
            )


def refuse(family: str) -> PlanError:
    """The error for a model type that cannot be planned, with the reason."""
    reason = _REFUSED.get(family, "its layers are not known")
    return PlanError(
        "plan.unsupported_model",
        "Models of type '%s' cannot be planned: %s." % (family[:80], reason),
        ("Choose a model of a known type: %s." % ", ".join(sorted(KNOWN)),),
    )
