# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Arguments of `vllm serve` by release, as name:kind.

Made from vLLM's own sources by tests/tools/engine_catalogue.py; not to be edited.
"""

from __future__ import annotations

TEXT = """
0.8.5
+ additional-config:json allow-credentials:switch allowed-headers:json allowed-local-media-path:str
+ allowed-methods:json allowed-origins:json api-key:str block-size:int calculate-kv-scales:flag chat-template:str
+ chat-template-content-format:str code-revision:str collect-detailed-traces:str compilation-config:json
+ config-format:str cpu-offload-gb:float data-parallel-size:int device:str disable-async-output-proc:switch
+ disable-cascade-attn:switch disable-chunked-mm-input:flag disable-custom-all-reduce:flag disable-fastapi-docs:switch
+ disable-frontend-multiprocessing:switch disable-log-requests:switch disable-log-stats:switch
+ disable-mm-preprocessor-cache:switch disable-sliding-window:switch disable-uvicorn-access-log:switch
+ distributed-executor-backend:str download-dir:str dtype:str enable-auto-tool-choice:switch
+ enable-chunked-prefill:flag enable-expert-parallel:flag enable-lora:flag enable-lora-bias:flag
+ enable-prefix-caching:flag enable-prompt-adapter:flag enable-prompt-tokens-details:switch enable-reasoning:switch
+ enable-request-id-headers:switch enable-server-load-tracking:switch enable-sleep-mode:switch
+ enable-ssl-refresh:switch enforce-eager:switch fully-sharded-loras:flag generation-config:str
+ gpu-memory-utilization:float guided-decoding-backend:str hf-config-path:str hf-overrides:json hf-token:flag_or_str
+ host:str ignore-patterns:list_str kv-cache-dtype:str kv-transfer-config:json limit-mm-per-prompt:json
+ load-format:str logits-processor-pattern:str long-lora-scaling-factors:list_float long-prefill-token-threshold:int
+ lora-dtype:str lora-extra-vocab-size:int lora-modules:list_str max-cpu-loras:int max-log-len:int max-logprobs:int
+ max-long-partial-prefills:int max-lora-rank:int max-loras:int max-model-len:size max-num-batched-tokens:int
+ max-num-partial-prefills:int max-num-seqs:int max-parallel-loading-workers:int max-prompt-adapter-token:int
+ max-prompt-adapters:int max-seq-len-to-capture:int middleware:list_str mm-processor-kwargs:json model:str
+ model-impl:str model-loader-extra-config:json multi-step-stream-outputs:flag num-gpu-blocks-override:int
+ num-lookahead-slots:int num-scheduler-steps:int otlp-traces-endpoint:str override-generation-config:json
+ override-neuron-config:json override-pooler-config:json pipeline-parallel-size:int port:int preemption-mode:str
+ prefix-caching-hash-algo:str prompt-adapters:list_str qlora-adapter-name-or-path:str quantization:str
+ ray-workers-use-nsight:flag reasoning-parser:str response-role:str return-tokens-as-token-ids:switch revision:str
+ root-path:str rope-scaling:json rope-theta:float scheduler-cls:str scheduler-delay-factor:float
+ scheduling-policy:str seed:int served-model-name:list_str show-hidden-metrics-for-version:str
+ skip-tokenizer-init:switch speculative-config:json ssl-ca-certs:str ssl-cert-reqs:int ssl-certfile:str
+ ssl-keyfile:str swap-space:float task:str tensor-parallel-size:int tokenizer:str tokenizer-mode:str
+ tokenizer-pool-extra-config:json tokenizer-pool-size:int tokenizer-pool-type:str tokenizer-revision:str
+ tool-call-parser:str tool-parser-plugin:str trust-remote-code:switch use-tqdm-on-load:flag
+ use-v2-block-manager:switch uvicorn-log-level:str worker-cls:str worker-extension-cls:str
0.9.0
+ additional-config:json_or_str collect-detailed-traces:list_str cuda-graph-sizes:list_int data-parallel-address:str
+ data-parallel-rpc-port:int data-parallel-size-local:int disable-cascade-attn:flag disable-mm-preprocessor-cache:flag
+ disable-sliding-window:flag enable-prompt-embeds:flag enable-reasoning:flag enable-sleep-mode:flag
+ enforce-eager:flag guided-decoding-disable-additional-properties:flag guided-decoding-disable-any-whitespace:flag
+ guided-decoding-disable-fallback:flag hf-overrides:json_or_str kv-events-config:json
+ override-pooler-config:json_or_str pt-load-map-location:json_or_str skip-tokenizer-init:flag trust-remote-code:flag
0.9.1
+ data-parallel-backend:str disable-hybrid-kv-cache-manager:flag enable-multimodal-encoder-data-parallel:flag
+ log-config-file:str max-num-batched-tokens:size model-loader-extra-config:json_or_str
0.9.2
+ data-parallel-rank:int enable-eplb:flag enable-force-include-usage:switch eplb-log-balancedness:flag
+ eplb-step-interval:int eplb-window-size:int expand-tools-even-if-tool-choice-none:switch media-io-kwargs:json
+ num-redundant-experts:int override-attention-dtype:str
0.10.0
+ allow-credentials:flag api-server-count:int async-scheduling:flag config:str data-parallel-hybrid-lb:flag
+ data-parallel-start-rank:int default-mm-loras:json disable-fastapi-docs:flag disable-frontend-multiprocessing:flag
+ disable-uvicorn-access-log:flag enable-auto-tool-choice:flag enable-force-include-usage:flag
+ enable-prompt-adapter:switch enable-prompt-tokens-details:flag enable-request-id-headers:flag
+ enable-server-load-tracking:flag enable-ssl-refresh:flag enable-tokenizer-info-endpoint:flag headless:switch
+ interleave-mm-strings:flag logprobs-mode:str return-tokens-as-token-ids:flag
- device enable-reasoning expand-tools-even-if-tool-choice-none long-lora-scaling-factors max-prompt-adapter-token
- max-prompt-adapters prompt-adapters qlora-adapter-name-or-path tokenizer-pool-extra-config tokenizer-pool-size
- tokenizer-pool-type use-v2-block-manager
0.10.1
+ api-key:list_str convert:str disable-log-requests:flag disable-mm-preprocessor-cache:switch enable-log-outputs:flag
+ enable-log-requests:flag exclude-tools-when-tool-choice-none:flag kv-sharing-fast-prefill:flag
+ logits-processors:list_str mamba-cache-dtype:str mamba-ssm-cache-dtype:str mm-processor-cache-gb:int runner:str
+ skip-mm-profiling:flag tool-server:str uds:str
- multi-step-stream-outputs num-scheduler-steps
0.10.1.1
+ h11-max-header-count:int h11-max-incomplete-event-size:int
0.10.2
+ decode-context-parallel-size:int enable-multimodal-encoder-data-parallel:switch eplb-config:json
+ io-processor-plugin:str kv-cache-memory-bytes:size log-error-stack:flag mm-encoder-tp-mode:str
+ mm-processor-cache-gb:float safetensors-load-strategy:str
- enable-prompt-adapter override-neuron-config
0.11.0
+ allowed-media-domains:list_str dbo-decode-token-threshold:int dbo-prefill-token-threshold:int enable-dbo:flag
+ expert-placement-strategy:str guided-decoding-disable-additional-properties:json
+ guided-decoding-disable-any-whitespace:json guided-decoding-disable-fallback:json mm-processor-cache-type:str
+ mm-shm-cache-max-object-size-mb:int override-pooler-config:json pooler-config:json structured-outputs-config:json
+ trust-request-chat-template:flag video-pruning-rate:float
- disable-async-output-proc max-seq-len-to-capture preemption-mode scheduler-delay-factor
0.11.1
+ aggregate-engine-logging:switch all2all-backend:str cudagraph-capture-sizes:list_int data-parallel-external-lb:flag
+ dcp-kv-cache-interleave-size:int disable-nccl-for-dp-synchronization:flag ec-transfer-config:json
+ enable-mm-embeds:flag kv-offloading-backend:str kv-offloading-size:float mamba-block-size:int master-addr:str
+ master-port:int max-cudagraph-capture-size:int mm-encoder-attn-backend:str nnodes:int node-rank:int
+ reasoning-parser-plugin:str stream-interval:int tokens-only:flag
- enable-lora-bias rope-scaling rope-theta
0.12.0
+ cp-kv-cache-interleave-size:int kv-cache-metrics:flag kv-cache-metrics-sample:float optimization-level:str
+ prefill-context-parallel-size:int
- eplb-log-balancedness eplb-step-interval eplb-window-size guided-decoding-backend
- guided-decoding-disable-additional-properties guided-decoding-disable-any-whitespace
- guided-decoding-disable-fallback lora-extra-vocab-size num-lookahead-slots num-redundant-experts
- override-pooler-config
0.13.0
+ attention-backend:str attention-config:json cudagraph-metrics:flag enable-layerwise-nvtx-tracing:flag
+ profiler-config:json
- cuda-graph-sizes disable-mm-preprocessor-cache enable-multimodal-encoder-data-parallel task
0.14.0
+ allow-deprecated-quantization:flag default-chat-template-kwargs:json enable-log-deltas:flag
+ enable-logging-iteration-details:flag enable-mfu-metrics:flag enable-offline-docs:flag
+ enable-return-routed-experts:flag enable-tower-connector-lora:flag max-model-len:size_or_auto ubatch-size:int
0.15.0
+ mamba-cache-mode:str mm-encoder-only:flag ssl-ciphers:str
0.16.0
+ disable-access-log-for-endpoints:str enable-flashinfer-autotune:flag kernel-config:json specialize-active-lora:flag
+ weight-transfer-config:json
0.17.0
+ cpu-offload-params:list_str enable-elastic-ep:flag fail-on-environ-validation:flag language-model-only:flag
+ moe-backend:str offload-backend:str offload-group-size:int offload-num-in-group:int offload-params:list_str
+ offload-prefetch-step:int performance-mode:str use-gpu-for-pooling-score:flag
- disable-log-requests logits-processor-pattern
0.18.0
+ dcp-comm-backend:str distributed-timeout-seconds:int enable-ep-weight-filter:flag gdn-prefill-backend:str
+ shutdown-timeout:int
- swap-space use-gpu-for-pooling-score
0.19.0
+ kv-cache-dtype-skip-layers:list_str lora-target-modules:list_str mm-tensor-ipc:str reasoning-config:json
+ renderer-num-workers:int scheduler-reserve-full-isl:flag
- disable-frontend-multiprocessing
0.20.0
+ enable-flash-late-interaction:flag enable-mamba-cache-stochastic-rounding:flag grpc:switch ir-op-priority:json
+ mamba-backend:str mamba-cache-philox-rounds:int numa-bind:flag numa-bind-cpus:list_str numa-bind-nodes:list_int
0.21.0
+ fingerprint-mode:str fingerprint-value:str mm-encoder-attn-dtype:str mm-encoder-fp8-scale-path:str
+ mm-encoder-fp8-scale-save-margin:float mm-encoder-fp8-scale-save-path:str safetensors-prefetch-block-size:size
+ safetensors-prefetch-num-threads:int
0.22.0
+ cpu-distributed-timeout-seconds:int data-parallel-multi-port-external-lb:switch data-parallel-supervisor-port:int
+ dp-supervisor-probe-failure-threshold:int dp-supervisor-probe-interval-s:float dp-supervisor-probe-timeout-s:float
+ enable-cumem-allocator:flag enable-mixed-moe-lora-format:flag linear-backend:str quantization-config:json
+ spec-method:str spec-model:str spec-tokens:int use-fp64-gumbel:flag
0.24.0
+ device-ids:commas diffusion-config:json jit-monitor-verbose:flag prefill-schedule-interval:int watermark:float
0.25.0
+ enable-per-request-metrics:flag jit-monitor-mode:str mm-ipc-gpu-memory-gb:float model-class-overrides:json
0.26.0
+ enable-bf16x3-router-gemm:flag enable-moe-shared-loras:flag max-num-scheduled-tokens:size prefix-match-unit:int
0.27.0
+ cohere-format:str cohere-is-reasoning-model:flag enable-fault-tolerance:flag fault-tolerance-config:json
+ kda-prefill-backend:str mamba-ssu-algorithm:str mm-hasher-algorithm:str replayssm-buffer-len:int use-replayssm:flag
+ video-pruning-method:str
- max-long-partial-prefills max-num-partial-prefills
0.28.0
+ ec-manager-config:json mm-device-do-normalize:flag mm-processor-device:str return-sampling-mask:flag
- calculate-kv-scales override-attention-dtype
0.29.0
+ dcp-q-replicate:flag enable-batch-sharded-sampling:flag enable-trace-replay:flag max-num-queued-reqs:int
+ max-num-queued-tokens:size per-request-spec-decode-metrics:str prefix-cache-retention-interval:int
+ sse-keep-alive-interval:int
0.30.0
+ dp-sync-interval:int elastic-ep-max-dp-size:int enable-mamba-fine-grained-prefix-cache:flag
+ enable-nccl-comm-suspend:flag enable-scale-out:flag engram-config:json kda-decode-backend:str
+ sparse-indexer-topk-backend:str watermark-config:json
- enable-bf16x3-router-gemm
0.31.0
+ anthropic-disabled-thinking-effort:str aux-output-config:json enable-mamba-shared-prefix-checkpoint:flag
+ log-level:str logging-config:json long-prefill-token-threshold-adaptive:flag max-lora-cls-labels:int
+ max-num-active-seqs:int sleep-preserve-parameter-names:list_str swa-bounded-replay:flag tool-strict-level:str
+ trust-request-mm-kwargs:flag
- enable-mamba-fine-grained-prefix-cache
0.32.0
+ custom-histogram-buckets:json enable-hc-sp:flag enable-shm-tensor-arena:flag grpc-port:int
+ sleep-mode-offload-cudagraph:flag
0.33.0
+ monokernel:flag reasoning-effort-map:json sleep-mode-backend:str watchdog-config:json
"""
