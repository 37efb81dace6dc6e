# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Engine arguments that the user must not set, and what to do where a release has dropped one.

Since when an argument is gone stands in the tables (``catalogue.history``), not here.
"""

from __future__ import annotations

# Argument -> why it is not the user's, and what to do instead.
RESERVED = {
    "model": ("The model's folder follows from the deployment", "Use model.id or model.path"),
    "served-model-name": ("The name that clients use is a key of the deployment", "Use served_name"),
    "host": ("Where engines listen is decided for the whole host", "Use vllm_bind_address"),
    "port": ("The port is a key of the deployment", "Use port"),
    "uds": ("Clients reach the engine by address and port", "Leave it out"),
    "api-key": ("A key in the configuration could be read by anyone who sees it", "Use vllm_api_keys"),
    "hf-token": ("Engines never talk to a hub", "Use gpufleet_hub_tokens"),
    "config": ("The configuration file is what the plan writes", "Put its keys into engine_args"),
    "revision": ("The model's commit is a key of the deployment", "Use model.revision"),
    "code-revision": ("Engines never talk to a hub", "Use model.revision"),
    "tokenizer-revision": ("Engines never talk to a hub", "Use model.revision"),
    "download-dir": ("Models are fetched before the engine starts", "Leave it out"),
    "ssl-keyfile": ("The engine is not the public door; encryption belongs to what stands in front", "Leave it out"),
    "ssl-certfile": ("The engine is not the public door; encryption belongs to what stands in front", "Leave it out"),
    "ssl-ca-certs": ("The engine is not the public door; encryption belongs to what stands in front", "Leave it out"),
    "ssl-cert-reqs": ("The engine is not the public door; encryption belongs to what stands in front", "Leave it out"),
    "root-path": ("The engine is not the public door; paths belong to what stands in front", "Leave it out"),
    "device-ids": ("Which GPUs a deployment gets is planned", "Use gpus.uuids or gpus.indices"),
    "headless": ("The service must answer requests", "Leave it out"),
    "grpc": ("The service must answer HTTP requests", "Leave it out"),
}

# Argument -> what to do in releases that do not have it (any more); {other: value} stands for YAML.
REMEDIES = {
    "calculate-kv-scales": "Leave it out; scales come from the checkpoint",
    "compilation-config": "Leave it out",
    "cuda-graph-sizes": "Use cudagraph-capture-sizes",
    "device": "Use vllm_device, or `device` of the deployment",
    "disable-async-output-proc": "Leave it out",
    "disable-frontend-multiprocessing": "Leave it out",
    "disable-log-requests": "Leave it out; requests are logged only with enable-log-requests",
    "disable-log-stats-interval": "Leave it out",
    "disable-mm-preprocessor-cache": "Use mm-processor-cache-gb: 0",
    "enable-bf16x3-router-gemm": "Leave it out",
    "enable-kv-cache": "Leave it out; it never existed, and every release has a KV cache",
    "enable-lora-bias": "Leave it out",
    "enable-multimodal-encoder-data-parallel": "Use mm-encoder-tp-mode: data",
    "enable-prompt-adapter": "Leave it out; there are no prompt adapters any more",
    "enable-reasoning": "Set reasoning-parser alone",
    "eplb-log-balancedness": "Use eplb-config: {log_balancedness: true}",
    "eplb-step-interval": "Use eplb-config: {step_interval: ...}",
    "eplb-window-size": "Use eplb-config: {window_size: ...}",
    "guided-decoding-backend": "Use structured-outputs-config: {backend: ...}",
    "guided-decoding-disable-additional-properties": (
        "Use structured-outputs-config: {disable_additional_properties: true}"
    ),
    "guided-decoding-disable-any-whitespace": "Use structured-outputs-config: {disable_any_whitespace: true}",
    "guided-decoding-disable-fallback": "Leave it out",
    "logits-processor-pattern": "Use logits-processors",
    "lora-extra-vocab-size": "Leave it out; adapters that add words to the vocabulary are not supported any more",
    "max-long-partial-prefills": "Leave it out; use max-num-batched-tokens",
    "max-num-partial-prefills": "Leave it out; use max-num-batched-tokens",
    "max-seq-len-to-capture": "Use max-cudagraph-capture-size",
    "multi-step-stream-outputs": "Leave it out",
    "num-lookahead-slots": "Leave it out",
    "num-redundant-experts": "Use eplb-config: {num_redundant_experts: ...}",
    "num-scheduler-steps": "Leave it out; use async-scheduling where it is wanted",
    "override-attention-dtype": "Leave it out",
    "override-neuron-config": "Leave it out",
    "override-pooler-config": "Use pooler-config",
    "preemption-mode": "Leave it out; preempted requests are computed again",
    "rope-scaling": "Use hf-overrides: {rope_scaling: ...}",
    "rope-theta": "Use hf-overrides: {rope_theta: ...}",
    "scheduler-delay-factor": "Leave it out",
    "swap-space": "Leave it out; preempted requests are computed again",
    "task": "Use runner and convert",
    "use-v2-block-manager": "Leave it out; there is only one block manager",
    "worker-use-ray": "Use distributed-executor-backend: ray",
}

# Names that no release from 0.8.5 on has, although people pass them.
NEVER = ("enable-kv-cache", "use-v2-block-manager", "worker-use-ray", "disable-log-stats-interval")

# Values that a release refuses although its parser takes them: (argument, value) -> (first release, remedy).
REFUSED_VALUES = {
    ("quantization", "bitsandbytes"): ((0, 28), "Use fp8_per_tensor or a checkpoint that is quantised already"),
    ("quantization", "gguf"): ((0, 24), "Use a safetensors checkpoint"),
}
