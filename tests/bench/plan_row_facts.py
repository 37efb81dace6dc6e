# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources of the readings leave out: cards by name, models by nickname, releases, and rows left out."""

from __future__ import annotations

from typing import Any

#: name in the readings -> name that the driver shows, MiB that it shows, compute capability
CARDS: dict[str, tuple[str, int, str]] = {
    "H100-80GB": ("NVIDIA H100 80GB HBM3", 81559, "9.0"),
    "H200": ("NVIDIA H200", 143771, "9.0"),
    "H20": ("NVIDIA H20", 97871, "9.0"),
    "B200": ("NVIDIA B200", 188733, "10.0"),
    "GH200 96GB": ("NVIDIA GH200 480GB", 97871, "9.0"),
    "A100 80GB": ("NVIDIA A100-SXM4-80GB", 81920, "8.0"),
    "A100 40GB": ("NVIDIA A100-SXM4-40GB", 40960, "8.0"),
    "A10": ("NVIDIA A10", 23028, "8.6"),
    "A10G": ("NVIDIA A10G", 23028, "8.6"),
    "L4": ("NVIDIA L4", 23034, "8.9"),
    "L40S": ("NVIDIA L40S", 46068, "8.9"),
    "T4": ("Tesla T4", 15360, "7.5"),
    "V100": ("Tesla V100-SXM2-32GB", 32768, "7.0"),
    "Quadro RTX 6000": ("Quadro RTX 6000", 23040, "7.5"),
    "RTX PRO 6000": ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "12.0"),
    "48 GB Ada": ("NVIDIA RTX 6000 Ada Generation", 49140, "8.9"),
    "RTX 5090": ("NVIDIA GeForce RTX 5090", 32607, "12.0"),
    "RTX 5080": ("NVIDIA GeForce RTX 5080", 16303, "12.0"),
    "RTX 5070 Ti": ("NVIDIA GeForce RTX 5070 Ti", 16303, "12.0"),
    "RTX 5060 Ti": ("NVIDIA GeForce RTX 5060 Ti", 16311, "12.0"),
    "RTX 4090": ("NVIDIA GeForce RTX 4090", 24564, "8.9"),
    "RTX 4080": ("NVIDIA GeForce RTX 4080", 16376, "8.9"),
    "RTX 4070": ("NVIDIA GeForce RTX 4070", 12282, "8.9"),
    "RTX 3090": ("NVIDIA GeForce RTX 3090", 24576, "8.6"),
    "RTX 3080 20GB": ("NVIDIA GeForce RTX 3080", 20480, "8.6"),
    "RTX 3060": ("NVIDIA GeForce RTX 3060", 12288, "8.6"),
    "RTX 3060 Ti": ("NVIDIA GeForce RTX 3060 Ti", 8192, "8.6"),
    "RTX 3050 Ti Laptop": ("NVIDIA GeForce RTX 3050 Ti Laptop GPU", 4096, "8.6"),
    "GB10": ("NVIDIA GB10", 122570, "12.1"),
    "A100 MIG 1g.5gb": ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4864, "8.0"),
    "any": ("NVIDIA A100-SXM4-80GB", 81920, "8.0"),
}
#: other spellings of the same card, and cards that only a size names
SAME_CARD = {
    "H100": "H100-80GB",
    "80 GB class": "H100-80GB",
    "A100-80GB": "A100 80GB",
    "A100-SXM4-40GB": "A100 40GB",
    "48 GB Ada (47.37 GiB)": "48 GB Ada",
    "48 GB Ada (SM89)": "48 GB Ada",
    "RTX PRO 6000 Blackwell": "RTX PRO 6000",
    "RTX PRO 6000 (95.6 GB)": "RTX PRO 6000",
    "GB10 (DGX Spark)": "GB10",
    "DGX Spark GB10": "GB10",
    "RTX 3090/4090 (Windows, 24.0 GiB)": "RTX 3090",
    "24 GB card (unnamed)": "RTX 4090",
    "24 GB card under WSL (23.99 GiB)": "RTX 4090",
    "16 GB Blackwell (unnamed)": "RTX 5070 Ti",
    "16 GB card": "RTX 5070 Ti",
    "16 GB card (unnamed)": "RTX 5070 Ti",
    "12 GB Ampere card": "RTX 3060",
    "sm_75 4 GiB (unnamed)": "RTX 3050 Ti Laptop",
    "B200 class (184.31 GiB)": "B200",
    "A800-80GB": "A100 80GB",
}
#: nickname (or number of the row) -> id of a configuration
MODELS = {
    "Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-Next-80B-A3B": "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "Qwen2-VL-2B-Instruct-AWQ": "Qwen/Qwen2-VL-2B-Instruct-AWQ",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
    "unknown (15.27 GiB, Qwen3-8B size)": "Qwen/Qwen3-8B",
    "unknown (57344 B/token = Qwen2.5-7B class)": "Qwen/Qwen2.5-7B-Instruct",
    "unknown 0.93 GiB": "Qwen/Qwen2.5-0.5B",
    "Qwen2.5-0.5B": "Qwen/Qwen2.5-0.5B",
    "Qwen2.5-0.5B-Instruct": "Qwen/Qwen2.5-0.5B",
    "Qwen3-4B AWQ class (147456 B/token)": "Qwen/Qwen3-4B-AWQ",
    "Qwen3-VL-2B-Instruct": "Qwen/Qwen3-VL-2B-Instruct",
    "Qwen3-VL-4B": "Qwen/Qwen3-VL-4B-Instruct",
    "MedGemma 4B": "google/medgemma-4b-it",
    "Qwen3.8-27B-FP8": "Qwen/Qwen3.6-27B-FP8",
    "Qwen/Qwen3.8-27B-FP8": "Qwen/Qwen3.6-27B-FP8",
    "Qwen3.8-27B (int4 class)": "Qwen/Qwen3.6-27B-AWQ",
    "QuantTrio/Qwen3.6-27B-AWQ": "Qwen/Qwen3.6-27B-AWQ",
    "Qwen3.6-27B (int4) TP4": "Qwen/Qwen3.6-27B-AWQ",
    "Qwen3.6-35B-A3B (autoround int4)": "Qwen/Qwen3.5-35B-A3B-GPTQ-Int4",
    "DeepSeek-V4-Flash-0731": "deepseek-ai/DeepSeek-V4-Flash",
    "DeepSeek-V4-Flash": "deepseek-ai/DeepSeek-V4-Flash",
    "DeepSeek-V4-Flash NVFP4": "nvidia/DeepSeek-V4-Flash-NVFP4",
    "84": "Qwen/Qwen3-8B",
    "83": "Qwen/Qwen3-8B-NVFP4",
    "DeepSeek-R1-0528-Qwen3-8B": "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
    "DeepSeek-R1-Distill-Qwen-7B": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    "Qwen3-4B": "Qwen/Qwen3-4B",
    "gpt-oss-20b": "openai/gpt-oss-20b",
    "gemma-3-1b": "google/gemma-3-1b-it",
    "LLaMA 33B": "huggyllama/llama-30b",
    "Qwen2-57B-A14B-Instruct": "Qwen/Qwen2-57B-A14B-Instruct",
    "Qwen2.5-VL-72B-Instruct-AWQ": "Qwen/Qwen2.5-VL-72B-Instruct-AWQ",
    "orpheus-3b-0.1-pretrained": "canopylabs/orpheus-3b-0.1-pretrained",
    "Qwen2.5-7B": "Qwen/Qwen2.5-7B-Instruct",
    "Qwen3-30B-A3B NVFP4": "Qwen/Qwen3-30B-A3B-NVFP4",
    "RedHatAI/Qwen3.8-27B-INT4": "Qwen/Qwen3.6-27B-AWQ",
    "MiniMax-M2.7-AWQ": "MiniMaxAI/MiniMax-M2.7-AWQ",
    "Qwen3-VL-4B-AWQ-8bit": "Qwen/Qwen3-VL-4B-AWQ-8bit",
    "8B fp16 (Granite-class, 15.25 GiB)": "ibm-granite/granite-3.1-8b-instruct",
    "FP8 MoE, moe_intermediate_size 2560": "Qwen/Qwen2-57B-A14B-FP8",
    "Qwen3.5-122B-class GPTQ-Int4": "Qwen/Qwen3.5-122B-A10B-GPTQ-Int4",
    # any model serves where the refusal does not depend on it; 12 heads where that is all that is said
    **dict.fromkeys(("r27", "r28", "r29", "r30", "r31", "r32", "r33", "r52"), "Qwen/Qwen2.5-0.5B"),
    "r46": "Qwen/Qwen2.5-1.5B",
}
#: row ("r" before those of refusals) -> release, where the source names none or more than one: read from what the log
#: prints (the split of its figures, what it counts) or the nearest that the collection knows; else 0.19.0
VERSIONS = {
    "1": "0.8.5.post1", "2": "0.8.5.post1", "46": "0.15.0", "47": "0.10.2", "53": "0.27.0", "54": "0.27.1",
    "63": "0.27.1", "68": "0.27.1", "70": "0.29.0", "81": "0.19.1", "84": "0.11.0", "91": "0.11.0", "92": "0.11.0",
    "103": "0.21.0", "104": "0.21.0", "105": "0.21.0", "108": "0.28.0",
    "123": "0.17.1", "124": "0.17.1", "127": "0.19.1", "59": "0.10.2",
    "119": "0.20.2", "r0": "0.11.0", "r13": "0.22.0",
    "r5": "0.20.0", "r15": "0.11.0", "r16": "0.11.2", "r21": "0.10.2", "r38": "0.26.0",
}  # fmt: skip
#: row -> why it cannot be compared
LEFT_OUT = {
    "71": "eight ranks of data parallelism, refused: its needed bytes and estimated length are a golden value instead",
    "72": "two unlike cards with a hand-made division of the layers",
    "73": "the older engine (V0), which supported releases before 0.11 still have and whose memory is not counted here",
    "74": "as the line above",
    "75": "a development build of 0.7, before the oldest supported release",
    "77": "a development build; the length is not stated",
    "88": "three ranks of data parallelism, of which the line states neither weights nor lanes",
    "94": "the images were limited by a setting that the source does not state: the pool shrinks with the length",
    "95": "as the line above", "96": "as the line above", "97": "as the line above", "98": "as the line above",
    "99": "as the line above",
    "100": "the card is not named",
    **dict.fromkeys(("59", "103", "104", "105", "127", "129", "130"), "the utilisation is not stated"),
    "122": "the card is not named",
    "124": "a build whose warm-up leaked memory, as its source says",
    "126": "the card is not named",
    "82": "neither the utilisation nor the card is certain",
    "53": "the log leaves out most arguments, and what it shows of them is not the default",
    "r35": "the model's size is not recorded", "r10": "the model's size is not recorded",
    "r36": "neither model nor utilisation is recorded",
    "r24": "a private vision model", "r25": "a private vision model",
    "r11": "the model is not named", "r14": "neither model nor card is named", "r43": "the model is not named",
    "r12": "one card in each of two hosts",
    "r44": "a release before the oldest that is planned", "r47": "a release before the oldest that is planned",
    "r8": "adapters whose rank is not stated", "r20": "adapters whose rank is not stated",
}  # fmt: skip
#: row -> what else its source says, or its figures show: columns of the reading, "total_mib" for the size that the
#: driver names, "args" for engine arguments
SHOWN: dict[str, dict[str, Any]] = {
    # figures: the peak is that of 8192 tokens, the offline class's, to 0.02 GiB
    "68": {"max_num_batched_tokens": "8192"},
    "85": {"max_num_batched_tokens": "8192"},
    # figures: two readings at 0.85 and 0.90 of the card differ by 0.05 x 12.0 GiB
    "91": {"notes": "WSL"},
    "92": {"notes": "WSL"},
    "r0": {"notes": "WSL"},
    # the command has a draft
    "60": {"args": {"speculative-config": {"method": "qwen3_next_mtp", "num_speculative_tokens": 2}}},
    # the image's launcher for batches: no images, 64 requests, graphs up to 64
    "63": {
        "max_num_seqs": "64",
        "max_num_batched_tokens": "2048",
        "args": {
            "language-model-only": True,
            "compilation-config": {"max_cudagraph_capture_size": 64},
            "speculative-config": {"method": "mtp", "num_speculative_tokens": 1},
        },
    },
    # vllm bench latency: the offline class's batch
    "109": {"max_num_batched_tokens": "8192"},
    "110": {
        "max_num_batched_tokens": "8192",
        "args": {"speculative-config": {"method": "mtp", "num_speculative_tokens": 1}},
    },
    # the evidence file beside the page: nvidia-smi names 39936 MiB on each of the eight cards
    "117": {"total_mib": 39936},
    # the page: vLLM 0.20.2 on WSL2
    "119": {"notes": "WSL"},
    # the command
    "128": {"args": {"mm-encoder-tp-mode": "data"}},
    # the title has the release, its code the class LLM (whose batch is that of offline use) and its arguments
    "r13": {"max_num_batched_tokens": "16384", "args": {"enable-expert-parallel": True, "block-size": 256}},
    # the application's configuration and source: eager, 4 requests, class LLM
    "r16": {"max_num_seqs": "4", "max_num_batched_tokens": "8192", "args": {"enforce-eager": True}},
    # the page: four images and no video, sleep mode (the allocator's log)
    "131": {"args": {"limit-mm-per-prompt": {"image": 4, "video": 0}, "enable-sleep-mode": True}},
}
#: rows whose quantised configuration is a guess: their weights are not compared
GUESSED = frozenset((63,))
