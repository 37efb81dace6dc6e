# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Engine arguments that the user must not set, and those that later releases renamed or dropped."""

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

# Argument -> (first release known to lack it or None, what to do instead).
REMOVED = {
    "enable-reasoning": ((0, 10, 2), "Set reasoning-parser alone"),
    "swap-space": ((0, 18), "Leave it out; preempted requests are computed again"),
    "disable-log-requests": ((0, 17, 1), "Leave it out; requests are logged only with enable-log-requests"),
    "device": (None, "Use vllm_device, or `device` of the deployment"),
    "task": (None, "Use runner and convert"),
    "guided-decoding-backend": (None, "Use structured-outputs-config: {backend: ...}"),
    "num-scheduler-steps": (None, "Leave it out; use async-scheduling where it is wanted"),
    "use-v2-block-manager": (None, "Leave it out; there is only one block manager"),
    "rope-scaling": (None, "Use hf-overrides: {rope_scaling: ...}"),
    "rope-theta": (None, "Use hf-overrides: {rope_theta: ...}"),
    "max-seq-len-to-capture": (None, "Use max-cudagraph-capture-size"),
    "enable-kv-cache": ((0, 0), "Leave it out; it never existed, and every release has a KV cache"),
    "worker-use-ray": (None, "Use distributed-executor-backend: ray"),
    "disable-log-stats-interval": (None, "Leave it out"),
}

# Values that a release refuses although its parser takes them: (argument, value) -> (first release, remedy).
REFUSED_VALUES = {
    ("quantization", "bitsandbytes"): ((0, 28), "Use fp8_per_tensor or a checkpoint that is quantised already"),
    ("quantization", "gguf"): ((0, 24), "Use a safetensors checkpoint"),
}
