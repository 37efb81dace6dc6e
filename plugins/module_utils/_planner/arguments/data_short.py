# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Other spellings and deprecated arguments by release, as spelling:name and name:deprecated.

Made from vLLM's own sources by tests/tools/engine_catalogue.py; not to be edited.
"""

from __future__ import annotations

TEXT = """
0.8.5
+ O:compilation-config dp:data-parallel-size pp:pipeline-parallel-size q:quantization tp:tensor-parallel-size
+ use-v2-block-manager:deprecated
0.9.0
+ dpa:data-parallel-address dpl:data-parallel-size-local dpp:data-parallel-rpc-port enable-reasoning:deprecated
0.9.1
+ dpb:data-parallel-backend
0.9.2
+ dpn:data-parallel-rank
0.10.0
+ asc:api-server-count dpr:data-parallel-start-rank enable-prompt-adapter:deprecated
- enable-reasoning use-v2-block-manager
0.10.1
+ disable-log-requests:deprecated task:deprecated
0.10.2
+ dcp:decode-context-parallel-size eplb-log-balancedness:deprecated eplb-step-interval:deprecated
+ eplb-window-size:deprecated num-redundant-experts:deprecated
- enable-prompt-adapter task
0.11.0
+ guided-decoding-backend:deprecated guided-decoding-disable-additional-properties:deprecated
+ guided-decoding-disable-any-whitespace:deprecated guided-decoding-disable-fallback:deprecated
0.11.1
+ dpe:data-parallel-external-lb dph:data-parallel-hybrid-lb n:nnodes r:node-rank
0.12.0
+ cc:compilation-config pcp:prefill-context-parallel-size
- O eplb-log-balancedness eplb-step-interval eplb-window-size guided-decoding-backend
- guided-decoding-disable-additional-properties guided-decoding-disable-any-whitespace
- guided-decoding-disable-fallback num-redundant-experts
0.13.0
+ ac:attention-config
0.14.0
+ ep:enable-expert-parallel
0.17.0
- disable-log-requests
0.19.0
+ sc:speculative-config
0.22.0
+ dpm:data-parallel-multi-port-external-lb
0.24.0
+ dc:diffusion-config
0.31.0
+ device-memory-utilization:gpu-memory-utilization
0.33.0
+ disable-auto-tool-choice:!enable-auto-tool-choice disable-batch-sharded-sampling:!enable-batch-sharded-sampling
+ disable-chunked-prefill:!enable-chunked-prefill disable-cumem-allocator:!enable-cumem-allocator
+ disable-dbo:!enable-dbo disable-elastic-ep:!enable-elastic-ep disable-ep-weight-filter:!enable-ep-weight-filter
+ disable-eplb:!enable-eplb disable-expert-parallel:!enable-expert-parallel
+ disable-fault-tolerance:!enable-fault-tolerance disable-flash-late-interaction:!enable-flash-late-interaction
+ disable-flashinfer-autotune:!enable-flashinfer-autotune disable-force-include-usage:!enable-force-include-usage
+ disable-hc-sp:!enable-hc-sp disable-layerwise-nvtx-tracing:!enable-layerwise-nvtx-tracing
+ disable-log-deltas:!enable-log-deltas disable-log-outputs:!enable-log-outputs
+ disable-log-requests:!enable-log-requests disable-logging-iteration-details:!enable-logging-iteration-details
+ disable-lora:!enable-lora disable-mamba-cache-stochastic-rounding:!enable-mamba-cache-stochastic-rounding
+ disable-mamba-shared-prefix-checkpoint:!enable-mamba-shared-prefix-checkpoint
+ disable-mfu-metrics:!enable-mfu-metrics disable-mixed-moe-lora-format:!enable-mixed-moe-lora-format
+ disable-mm-embeds:!enable-mm-embeds disable-moe-shared-loras:!enable-moe-shared-loras
+ disable-nccl-comm-suspend:!enable-nccl-comm-suspend disable-offline-docs:!enable-offline-docs
+ disable-per-request-metrics:!enable-per-request-metrics disable-prefix-caching:!enable-prefix-caching
+ disable-prompt-embeds:!enable-prompt-embeds disable-prompt-tokens-details:!enable-prompt-tokens-details
+ disable-request-id-headers:!enable-request-id-headers disable-return-routed-experts:!enable-return-routed-experts
+ disable-scale-out:!enable-scale-out disable-server-load-tracking:!enable-server-load-tracking
+ disable-shm-tensor-arena:!enable-shm-tensor-arena disable-sleep-mode:!enable-sleep-mode
+ disable-ssl-refresh:!enable-ssl-refresh disable-tokenizer-info-endpoint:!enable-tokenizer-info-endpoint
+ disable-tower-connector-lora:!enable-tower-connector-lora disable-trace-replay:!enable-trace-replay
+ enable-cascade-attn:!disable-cascade-attn enable-chunked-mm-input:!disable-chunked-mm-input
+ enable-custom-all-reduce:!disable-custom-all-reduce enable-fastapi-docs:!disable-fastapi-docs
+ enable-hybrid-kv-cache-manager:!disable-hybrid-kv-cache-manager
+ enable-nccl-for-dp-synchronization:!disable-nccl-for-dp-synchronization
+ enable-sliding-window:!disable-sliding-window enable-uvicorn-access-log:!disable-uvicorn-access-log
"""
