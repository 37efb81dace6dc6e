# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Values that arguments take by release, as argument=value.

Made from vLLM's own sources by tests/tools/engine_catalogue.py; not to be edited.
"""

from __future__ import annotations

TEXT = """
0.8.5
+ attention-backend=BLOCK_SPARSE_FLASH_ATTN attention-backend=FLASHINFER attention-backend=FLASHMLA
+ attention-backend=FLASH_ATTN attention-backend=FLASH_ATTN_VLLM_V1 attention-backend=HPU_ATTN attention-backend=IPEX
+ attention-backend=NO_ATTENTION attention-backend=PALLAS attention-backend=PALLAS_VLLM_V1
+ attention-backend=ROCM_AITER_MLA attention-backend=ROCM_FLASH attention-backend=TORCH_SDPA
+ attention-backend=TRITON_ATTN_VLLM_V1 attention-backend=TRITON_MLA attention-backend=XFORMERS block-size=1
+ block-size=128 block-size=16 block-size=32 block-size=64 block-size=8 chat-template-content-format=auto
+ chat-template-content-format=openai chat-template-content-format=string config-format=auto config-format=hf
+ config-format=mistral device=auto device=cpu device=cuda device=hpu device=neuron device=tpu device=xpu
+ distributed-executor-backend=None distributed-executor-backend=external_launcher distributed-executor-backend=mp
+ distributed-executor-backend=ray distributed-executor-backend=uni dtype=auto dtype=bfloat16 dtype=float
+ dtype=float16 dtype=float32 dtype=half guided-decoding-backend=auto guided-decoding-backend=guidance
+ guided-decoding-backend=lm-format-enforcer guided-decoding-backend=outlines guided-decoding-backend=xgrammar
+ kv-cache-dtype=auto kv-cache-dtype=fp8 kv-cache-dtype=fp8_e4m3 kv-cache-dtype=fp8_e5m2 load-format=auto
+ load-format=bitsandbytes load-format=dummy load-format=fastsafetensors load-format=gguf load-format=mistral
+ load-format=npcache load-format=pt load-format=runai_streamer load-format=runai_streamer_sharded
+ load-format=safetensors load-format=sharded_state load-format=tensorizer lora-dtype=auto lora-dtype=bfloat16
+ lora-dtype=float16 model-impl=auto model-impl=transformers model-impl=vllm preemption-mode=None
+ preemption-mode=recompute preemption-mode=swap prefix-caching-hash-algo=builtin prefix-caching-hash-algo=sha256
+ quantization=aqlm quantization=awq quantization=awq_marlin quantization=bitblas quantization=bitsandbytes
+ quantization=compressed-tensors quantization=deepspeedfp quantization=experts_int8 quantization=fbgemm_fp8
+ quantization=fp8 quantization=gguf quantization=gptq quantization=gptq_bitblas quantization=gptq_marlin
+ quantization=gptq_marlin_24 quantization=hqq quantization=ipex quantization=marlin quantization=modelopt
+ quantization=moe_wna16 quantization=neuron_quant quantization=nvfp4 quantization=ptpc_fp8 quantization=qqq
+ quantization=quark quantization=torchao quantization=tpu_int8 reasoning-parser=deepseek_r1 reasoning-parser=granite
+ scheduling-policy=fcfs scheduling-policy=priority task=auto task=classify task=embed task=embedding task=generate
+ task=reward task=score task=transcription tokenizer-mode=auto tokenizer-mode=custom tokenizer-mode=mistral
+ tokenizer-mode=slow tool-call-parser=granite tool-call-parser=granite-20b-fc tool-call-parser=hermes
+ tool-call-parser=internlm tool-call-parser=jamba tool-call-parser=llama3_json tool-call-parser=llama4_json
+ tool-call-parser=mistral tool-call-parser=phi4_mini_json tool-call-parser=pythonic uvicorn-log-level=critical
+ uvicorn-log-level=debug uvicorn-log-level=error uvicorn-log-level=info uvicorn-log-level=trace
+ uvicorn-log-level=warning
0.9.0
+ attention-backend=DUAL_CHUNK_FLASH_ATTN attention-backend=ROCM_AITER_MLA_VLLM_V1 collect-detailed-traces=None
+ collect-detailed-traces=all collect-detailed-traces=all,model collect-detailed-traces=all,worker
+ collect-detailed-traces=model collect-detailed-traces=model,all collect-detailed-traces=model,worker
+ collect-detailed-traces=worker collect-detailed-traces=worker,all collect-detailed-traces=worker,model
+ quantization=auto-round quantization=modelopt_fp4 reasoning-parser=qwen3 task=draft tool-call-parser=deepseek_v3
+ tool-call-parser=llama4_pythonic
- quantization=nvfp4
0.9.1
+ attention-backend=CUTLASS_MLA_VLLM_V1 attention-backend=FLASHINFER_VLLM_V1 attention-backend=FLASHMLA_VLLM_V1
+ attention-backend=FLEX_ATTENTION attention-backend=TRITON_MLA_VLLM_V1
0.9.2
+ device=None quantization=rtn tool-call-parser=minimax tool-call-parser=xlam
0.10.0
+ attention-backend=DIFFERENTIAL_FLASH_ATTN kv-cache-dtype=fp8_inc logprobs-mode=processed_logits
+ logprobs-mode=processed_logprobs logprobs-mode=raw_logits logprobs-mode=raw_logprobs
+ prefix-caching-hash-algo=sha256_cbor_64bit quantization=inc reasoning-parser=glm4_moe reasoning-parser=hunyuan_a13b
+ reasoning-parser=mistral tool-call-parser=glm4_moe tool-call-parser=hunyuan_a13b tool-call-parser=kimi_k2
+ tool-call-parser=qwen3_coder
- attention-backend=BLOCK_SPARSE_FLASH_ATTN attention-backend=HPU_ATTN device=None device=auto device=cpu device=cuda
- device=hpu device=neuron device=tpu device=xpu
0.10.1
+ attention-backend=CUTLASS_MLA attention-backend=ROCM_AITER_FA attention-backend=TREE_ATTN
+ attention-backend=XFORMERS_VLLM_V1 convert=auto convert=classify convert=embed convert=none convert=reward
+ mamba-cache-dtype=auto mamba-cache-dtype=float32 mamba-ssm-cache-dtype=auto mamba-ssm-cache-dtype=float32
+ quantization=mxfp4 reasoning-parser=GptOss reasoning-parser=glm45 reasoning-parser=step3 runner=auto runner=draft
+ runner=generate runner=pooling task=None tool-call-parser=glm45 tool-call-parser=step3
- attention-backend=CUTLASS_MLA_VLLM_V1 guided-decoding-backend=lm-format-enforcer quantization=aqlm
- reasoning-parser=glm4_moe tool-call-parser=glm4_moe
0.10.2
+ attention-backend=FLASHINFER_MLA attention-backend=FLASH_ATTN_MLA attention-backend=TORCH_SDPA_VLLM_V1
+ guided-decoding-backend=lm-format-enforcer mm-encoder-tp-mode=data mm-encoder-tp-mode=weights model-impl=terratorch
+ prefix-caching-hash-algo=sha256_cbor quantization=petit_nvfp4 reasoning-parser=openai_gptoss
+ tool-call-parser=deepseek_v31 tool-call-parser=openai tool-call-parser=seed_oss
- config-format=auto config-format=hf config-format=mistral distributed-executor-backend=None
- distributed-executor-backend=external_launcher distributed-executor-backend=mp distributed-executor-backend=ray
- distributed-executor-backend=uni prefix-caching-hash-algo=builtin prefix-caching-hash-algo=sha256_cbor_64bit
- quantization=marlin quantization=neuron_quant quantization=qqq reasoning-parser=GptOss
0.11.0
+ attention-backend=ROCM_ATTN attention-backend=TRITON_ATTN expert-placement-strategy=linear
+ expert-placement-strategy=round_robin kv-cache-dtype=bfloat16 mm-processor-cache-type=lru
+ mm-processor-cache-type=shm reasoning-parser=seed_oss tool-call-parser=longcat tool-call-parser=qwen3_xml
- attention-backend=FLASHINFER_VLLM_V1 attention-backend=FLASHMLA_VLLM_V1 attention-backend=FLASH_ATTN_VLLM_V1
- attention-backend=PALLAS_VLLM_V1 attention-backend=ROCM_AITER_MLA_VLLM_V1 attention-backend=TORCH_SDPA_VLLM_V1
- attention-backend=TRITON_ATTN_VLLM_V1 attention-backend=TRITON_MLA_VLLM_V1 attention-backend=XFORMERS_VLLM_V1
- guided-decoding-backend=auto guided-decoding-backend=guidance guided-decoding-backend=lm-format-enforcer
- guided-decoding-backend=outlines guided-decoding-backend=xgrammar model-impl=auto model-impl=terratorch
- model-impl=transformers model-impl=vllm preemption-mode=None preemption-mode=recompute preemption-mode=swap
0.11.1
+ all2all-backend=None all2all-backend=allgather_reducescatter all2all-backend=deepep_high_throughput
+ all2all-backend=deepep_low_latency all2all-backend=flashinfer_all2allv all2all-backend=naive all2all-backend=pplx
+ attention-backend=CPU_ATTN attention-backend=CUSTOM attention-backend=FLASHMLA_SPARSE
+ attention-backend=ROCM_AITER_UNIFIED_ATTN block-size=256 kv-cache-dtype=fp8_ds_mla kv-offloading-backend=None
+ kv-offloading-backend=lmcache kv-offloading-backend=native lora-extra-vocab-size=256 lora-extra-vocab-size=512
+ max-lora-rank=1 max-lora-rank=128 max-lora-rank=16 max-lora-rank=256 max-lora-rank=32 max-lora-rank=320
+ max-lora-rank=512 max-lora-rank=64 max-lora-rank=8 quantization=fp_quant reasoning-parser=deepseek_v3
+ reasoning-parser=ernie45 reasoning-parser=kimi_k2 reasoning-parser=minimax_m2
+ reasoning-parser=minimax_m2_append_think reasoning-parser=olmo3 tool-call-parser=ernie45 tool-call-parser=minimax_m2
+ tool-call-parser=olmo3
- attention-backend=DIFFERENTIAL_FLASH_ATTN attention-backend=DUAL_CHUNK_FLASH_ATTN attention-backend=ROCM_FLASH
0.12.0
+ attention-backend=ROCM_AITER_MLA_SPARSE attention-backend=ROCM_AITER_TRITON_MLA load-format=hf quantization=cpu_awq
+ quantization=cpu_gptq
- attention-backend=XFORMERS lora-extra-vocab-size=256 lora-extra-vocab-size=512 tokenizer-mode=auto
- tokenizer-mode=custom tokenizer-mode=mistral tokenizer-mode=slow
0.13.0
+ mamba-cache-dtype=float16 mamba-ssm-cache-dtype=float16 prefix-caching-hash-algo=xxhash
+ prefix-caching-hash-algo=xxhash_cbor reasoning-parser=holo2 tool-call-parser=deepseek_v32 tool-call-parser=gigachat3
- task=None task=auto task=classify task=draft task=embed task=embedding task=generate task=reward task=score
- task=transcription
0.14.0
+ attention-backend=FLASH_ATTN_DIFFKV convert=mm_encoder_only tool-call-parser=functiongemma tool-call-parser=glm47
- all2all-backend=None attention-backend=PALLAS kv-offloading-backend=None quantization=cpu_gptq quantization=tpu_int8
0.15.0
+ all2all-backend=mori mamba-cache-mode=align mamba-cache-mode=all mamba-cache-mode=none
- quantization=auto-round quantization=deepspeedfp quantization=hqq quantization=rtn
0.15.1
+ reasoning-parser=step3p5 tool-call-parser=step3p5
0.16.0
+ quantization=modelopt_mxfp8
- attention-backend=IPEX convert=mm_encoder_only convert=reward quantization=bitblas quantization=gptq_bitblas
- quantization=gptq_marlin_24 quantization=ipex
0.17.0
+ attention-backend=FLASHINFER_MLA_SPARSE moe-backend=aiter moe-backend=auto moe-backend=cutlass moe-backend=deep_gemm
+ moe-backend=flashinfer_cutedsl moe-backend=flashinfer_cutlass moe-backend=flashinfer_trtllm moe-backend=marlin
+ moe-backend=triton offload-backend=auto offload-backend=prefetch offload-backend=uva performance-mode=balanced
+ performance-mode=interactivity performance-mode=throughput quantization=modelopt_mixed
0.17.1
+ reasoning-parser=nemotron_v3
0.18.0
+ all2all-backend=flashinfer_nvlink_one_sided all2all-backend=flashinfer_nvlink_two_sided all2all-backend=nixl_ep
+ attention-backend=XPU_MLA_SPARSE dcp-comm-backend=a2a dcp-comm-backend=ag_rs gdn-prefill-backend=flashinfer
+ gdn-prefill-backend=triton kv-cache-dtype=float16 load-format=instanttensor tool-call-parser=granite4
- block-size=1 block-size=128 block-size=16 block-size=256 block-size=32 block-size=64 block-size=8
0.19.0
+ mm-tensor-ipc=direct_rpc mm-tensor-ipc=torch_shm quantization=mxfp8 reasoning-parser=gemma4 tool-call-parser=gemma4
- quantization=ptpc_fp8
0.20.0
+ attention-backend=TURBOQUANT kv-cache-dtype=fp8_per_token_head kv-cache-dtype=int8_per_token_head
+ kv-cache-dtype=nvfp4 kv-cache-dtype=turboquant_3bit_nc kv-cache-dtype=turboquant_4bit_nc
+ kv-cache-dtype=turboquant_k3v4_nc kv-cache-dtype=turboquant_k8v4 moe-backend=deep_gemm_mega_moe
+ moe-backend=emulation quantization=deepseek_v4_fp8 quantization=fp8_per_block quantization=fp8_per_tensor
+ quantization=gpt_oss_mxfp4 quantization=humming quantization=int8_per_channel_weight_only quantization=online
+ reasoning-parser=deepseek_v4 reasoning-parser=hy_v3 reasoning-parser=mimo tool-call-parser=deepseek_v4
+ tool-call-parser=hy_v3 tool-call-parser=mimo
- quantization=petit_nvfp4
0.21.0
+ attention-backend=TOKENSPEED_MLA fingerprint-mode=custom fingerprint-mode=full fingerprint-mode=hash
+ fingerprint-mode=none mm-encoder-attn-dtype=None mm-encoder-attn-dtype=fp8 moe-backend=humming
+ moe-backend=triton_unfused reasoning-parser=cohere_command3 reasoning-parser=cohere_command4
+ reasoning-parser=poolside_v1 tool-call-parser=cohere_command3 tool-call-parser=cohere_command4 tool-call-parser=lfm2
+ tool-call-parser=poolside_v1
- attention-backend=TREE_ATTN
0.22.0
+ gdn-prefill-backend=cutedsl linear-backend=aiter linear-backend=auto linear-backend=conch linear-backend=cutlass
+ linear-backend=deep_gemm linear-backend=emulation linear-backend=exllama linear-backend=fbgemm
+ linear-backend=flashinfer_cudnn linear-backend=flashinfer_cutlass linear-backend=flashinfer_trtllm
+ linear-backend=machete linear-backend=marlin linear-backend=torch linear-backend=triton load-format=modelexpress
+ mamba-cache-dtype=bfloat16 mamba-ssm-cache-dtype=bfloat16 moe-backend=flashinfer_b12x quantization=auto_gptq
+ spec-method=None spec-method=custom_class spec-method=deepseek_mtp spec-method=dflash spec-method=draft_model
+ spec-method=eagle spec-method=eagle3 spec-method=ernie_mtp spec-method=exaone4_5_mtp spec-method=exaone_moe_mtp
+ spec-method=extract_hidden_states spec-method=gemma4_mtp spec-method=glm4_moe_lite_mtp spec-method=glm4_moe_mtp
+ spec-method=glm_ocr_mtp spec-method=hy_v3_mtp spec-method=longcat_flash_mtp spec-method=medusa spec-method=mimo_mtp
+ spec-method=mimo_v2_mtp spec-method=mlp_speculator spec-method=mtp spec-method=nemotron_h_mtp spec-method=ngram
+ spec-method=ngram_gpu spec-method=pangu_ultra_moe_mtp spec-method=qwen3_5_mtp spec-method=qwen3_next_mtp
+ spec-method=step3p5_mtp spec-method=suffix tool-call-parser=apertus
0.23.0
+ all2all-backend=mori_high_throughput all2all-backend=mori_low_latency attention-backend=FLASHINFER_MLA_SPARSE_DSV4
+ attention-backend=FLASHMLA_SPARSE_DSV4 attention-backend=ROCM_FLASHMLA_SPARSE_DSV4 tool-call-parser=minicpm5
- all2all-backend=mori quantization=cpu_awq
0.24.0
+ all2all-backend=deepep_v2 attention-backend=FLASHINFER_MLA_SPARSE_SM120 attention-backend=MINIMAX_M3_SPARSE
+ attention-backend=TRITON_ATTN_DIFFKV linear-backend=flashinfer_b12x linear-backend=flashinfer_cutedsl
+ moe-backend=flydsl quantization=auto_awq quantization=fp8_per_channel reasoning-parser=glm47
+ reasoning-parser=minimax_m3 safetensors-load-strategy=None safetensors-load-strategy=eager
+ safetensors-load-strategy=lazy safetensors-load-strategy=prefetch safetensors-load-strategy=torchao
+ spec-method=minimax_m3_mtp tool-call-parser=minimax_m3
- load-format=gguf quantization=gguf tool-call-parser=minimax
0.25.0
+ attention-backend=FLASH_ATTN_MLA_SPARSE attention-backend=HPC_ATTN jit-monitor-mode=error jit-monitor-mode=warn
+ kv-cache-dtype=int4_per_token_head linear-backend=humming linear-backend=xpu linear-backend=xpu_woq moe-backend=hpc
+ spec-method=bailing_hybrid_mtp spec-method=dspark
0.26.0
+ quantization=nvfp4_per_token reasoning-parser=inkling spec-method=inkling_mtp tool-call-parser=inkling
0.27.0
+ attention-backend=CUTLASS_MSA attention-backend=TRITON_MSA kda-prefill-backend=auto kda-prefill-backend=flashkda
+ kda-prefill-backend=triton mamba-ssu-algorithm=None mamba-ssu-algorithm=auto mamba-ssu-algorithm=horizontal
+ mamba-ssu-algorithm=simple mamba-ssu-algorithm=vertical mm-hasher-algorithm=blake3 mm-hasher-algorithm=sha256
+ mm-hasher-algorithm=sha512 moe-backend=batched_triton reasoning-parser=kimi_k3 spec-method=kimi_k3_mtp
+ tool-call-parser=kimi_k3 video-pruning-method=evs video-pruning-method=vidcom2
0.28.0
+ attention-backend=CPU_MLA kv-cache-dtype=nvfp4_4over6 linear-backend=b12x mm-processor-device=auto
+ mm-processor-device=cpu reasoning-parser=ling3 reasoning-parser=muse_glimmer spec-method=bailing_hybrid_v3_mtp
+ spec-method=dots3_note_mtp tool-call-parser=dots tool-call-parser=ling3 tool-call-parser=muse_glimmer
- load-format=bitsandbytes quantization=bitsandbytes
0.29.0
+ attention-backend=AMX_MLA dcp-comm-backend=None moe-backend=b12x moe-backend=flashinfer_moe_ep_mega_cutedsl
+ moe-backend=flashinfer_moe_ep_mega_deep_gemm per-request-spec-decode-metrics=detailed
+ per-request-spec-decode-metrics=none per-request-spec-decode-metrics=summary reasoning-parser=hy_v4
+ spec-method=hy_v4_mtp spec-method=qwen4_exp_mtp tool-call-parser=hy_v4
0.30.0
+ attention-backend=B12X attention-backend=FLASHINFER_MLA_SPARSE_DSV41 attention-backend=FLASHINFER_MLA_SPARSE_SM90
+ attention-backend=FLASHMLA_SPARSE_DSV41 attention-backend=TRITON_FLASHINFER attention-backend=TRITON_FLASH_ATTN
+ kda-decode-backend=auto kda-decode-backend=flashinfer kda-decode-backend=native kda-decode-backend=triton
+ kda-prefill-backend=flashinfer kda-prefill-backend=fused kv-cache-dtype=nvfp4_ds_mla load-format=ipc_cache
+ moe-backend=aiter_triton_mxfp4_bf16 moe-backend=rdna3 reasoning-parser=deepseek_v41 reasoning-parser=k2_horizon
+ sparse-indexer-topk-backend=auto sparse-indexer-topk-backend=cooperative sparse-indexer-topk-backend=deep_select
+ sparse-indexer-topk-backend=flashinfer sparse-indexer-topk-backend=per_row sparse-indexer-topk-backend=persistent
+ sparse-indexer-topk-backend=torch spec-method=glm5_next_mtp tool-call-parser=deepseek_v41
+ tool-call-parser=k2_horizon
0.31.0
+ all2all-backend=moonep anthropic-disabled-thinking-effort=auto anthropic-disabled-thinking-effort=high
+ anthropic-disabled-thinking-effort=low anthropic-disabled-thinking-effort=max
+ anthropic-disabled-thinking-effort=medium anthropic-disabled-thinking-effort=none
+ anthropic-disabled-thinking-effort=xhigh attention-backend=FLASHMLA_MEGA_ATTN_DSV41 log-level=CRITICAL
+ log-level=DEBUG log-level=ERROR log-level=INFO log-level=NOTSET log-level=WARNING
+ reasoning-parser=granite_thinking_parser tool-strict-level=auto tool-strict-level=function
+ tool-strict-level=parameter
- collect-detailed-traces=None collect-detailed-traces=all,model collect-detailed-traces=all,worker
- collect-detailed-traces=model,all collect-detailed-traces=model,worker collect-detailed-traces=worker,all
- collect-detailed-traces=worker,model dcp-comm-backend=None mamba-ssu-algorithm=None mm-encoder-attn-dtype=None
- safetensors-load-strategy=None spec-method=None
0.32.0
+ attention-backend=ROCM_SEGMENTED_ATTN attention-backend=ULTRAQUANT gdn-prefill-backend=aiter_flydsl
+ kv-cache-dtype=ultraquant_4bit moe-backend=aiter_mega_moe moe-backend=flashinfer_moe_ep_cutedsl reasoning-parser=hf
+ reasoning-parser=minicpmv reasoning-parser=plamo3 sparse-indexer-topk-backend=aiter tool-call-parser=hf
+ tool-call-parser=plamo3 tool-call-parser=qwen3_json
- mamba-cache-mode=all moe-backend=flashinfer_moe_ep_mega_cutedsl
0.33.0
+ attention-backend=FLASH_ATTN_MLA_SPARSE_FA4 attention-backend=ROCM_FLASHMLA_SPARSE_DSV41
+ attention-backend=ROCM_OCTAVE attention-backend=STEP5_DSA gdn-prefill-backend=sycl kv-cache-dtype=octave_k3v3
+ kv-cache-dtype=octave_k3v3_compact kv-cache-dtype=octave_k3v4 moe-backend=aiter_triton_mxfp4_mxfp4
+ reasoning-parser=beam reasoning-parser=muse reasoning-parser=musespark1x reasoning-parser=step5
+ spec-method=step5_mtp tool-call-parser=beam tool-call-parser=muse tool-call-parser=musespark1x
+ tool-call-parser=step5
- spec-method=medusa spec-method=mlp_speculator
"""
