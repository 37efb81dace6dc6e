"""What engines print of their memory, in the words of several releases, and the comparison with the plan.

Figures: published start logs (tests/bench/data names their sources); the words are those of the releases' sources.
"""

from __future__ import annotations

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine_memory import GIB, compare, measured, warnings

# 0.8.5: two lines for the cache, an estimate of nothing
V0_8 = """
INFO 05-02 10:11:12 [gpu_model_runner.py:1347] Model loading took 4.1402 GiB and 3.120345 seconds
INFO 05-02 10:11:40 [kv_cache_utils.py:634] GPU KV cache size: 17,440 tokens
INFO 05-02 10:11:40 [kv_cache_utils.py:637] Maximum concurrency for 10,000 tokens per request: 1.74x
INFO 05-02 10:12:01 [gpu_model_runner.py:1686] Graph capturing finished in 21 secs, took 0.58 GiB
"""
# 0.8.5 with its older engine
V0_ENGINE = """
INFO 05-02 10:11:12 [model_runner.py:1140] Model loading took 14.9889 GiB and 3.120345 seconds
INFO 05-02 10:11:40 [worker.py:287] Memory profiling takes 1.66 seconds
INFO 05-02 10:11:40 [worker.py:287] the current vLLM instance can use total_gpu_memory (23.53GiB) x \
gpu_memory_utilization (0.90) = 21.18GiB
INFO 05-02 10:11:40 [worker.py:287] model weights take 14.99GiB; non_torch_memory takes 0.07GiB; PyTorch activation \
peak memory takes 1.18GiB; the rest of the memory reserved for KV Cache is 4.94GiB.
INFO 05-02 10:11:41 [executor_base.py:112] # cuda blocks: 2529, # CPU blocks: 2048
"""
# 0.19: the summary tells weights, peak and libraries apart
V0_19 = """
(Worker_TP0 pid=71) INFO 03-01 10:11:12 [gpu_model_runner.py:4820] Model loading took 7.51 GiB memory and 3.1 seconds
(Worker_TP1 pid=72) INFO 03-01 10:11:12 [gpu_model_runner.py:4820] Model loading took 7.52 GiB memory and 3.1 seconds
(Worker_TP0 pid=71) INFO 03-01 10:11:40 [gpu_worker.py:441] Available KV cache memory: 60.12 GiB
(Worker_TP1 pid=72) INFO 03-01 10:11:40 [gpu_worker.py:441] Available KV cache memory: 60.1 GiB
(EngineCore_DP0 pid=60) INFO 03-01 10:11:40 [kv_cache_utils.py:1314] GPU KV cache size: 984,672 tokens
(EngineCore_DP0 pid=60) INFO 03-01 10:11:40 [kv_cache_utils.py:1320] Maximum concurrency for 131,072 tokens \
per request: 7.51x
(Worker_TP0 pid=71) INFO 03-01 10:12:01 [gpu_model_runner.py:5361] Graph capturing finished in 21 secs, took 0.84 GiB
(Worker_TP0 pid=71) INFO 03-01 10:12:01 [gpu_worker.py:560] Free memory on device (78.6/79.1 GiB) on startup. Desired \
GPU memory utilization is (0.9, 71.2 GiB). Actual usage is 7.51 GiB for weight, 1.48 GiB for peak activation, \
2.07 GiB for non-torch memory, and 0.84 GiB for CUDAGraph memory.
"""
# 0.32: one line for the cache; weights and libraries are one figure, the peak holds the estimate of the graphs
V0_32 = """
(EngineCore pid=60) INFO 11-01 10:11:12 [model_runner.py:425] Model loading took 14.99 GiB memory and 3.1 seconds
(EngineCore pid=60) INFO 11-01 10:11:40 [gpu_worker.py:760] Available KV cache memory: 56.21 GiB
(EngineCore pid=60) INFO 11-01 10:11:40 [kv_cache_utils.py:2327] GPU KV cache size: 460,496 tokens, Maximum \
concurrency for 131,072 tokens per request: 3.51x
(EngineCore pid=60) INFO 11-01 10:12:01 [model_runner.py:1128] Graph capturing finished in 9 secs, took 0.41 GiB
(EngineCore pid=60) INFO 11-01 10:12:01 [gpu_worker.py:971] CUDA graph pool memory: 0.41 GiB (actual), 0.83 GiB \
(estimated), difference: 0.42 GiB (102.4%).
(EngineCore pid=60) INFO 11-01 10:12:01 [gpu_worker.py:1024] Free memory on device (78.84/79.25 GiB) on startup. \
Desired GPU memory utilization is (0.92, 72.91 GiB). Actual usage is 15.24 GiB for consumed memory (weights + \
non-torch), 1.95 GiB for peak activation, and 0.41 GiB for CUDAGraph memory. Replace gpu_memory_utilization config \
with `--kv-cache-memory=59000000000` (54.95 GiB) to fit into requested memory.
"""


def gib(value: float) -> int:
    return int(value * GIB)


@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        (
            V0_8,
            {
                "weights_bytes": gib(4.1402),
                "cuda_graph_bytes": gib(0.58),
                "kv_tokens": 17440,
                "max_concurrency": 1.74,
                "max_model_len": 10000,
            },
        ),
        (
            V0_ENGINE,
            {
                "weights_bytes": gib(14.99),
                "activation_peak_bytes": gib(1.18),
                "non_torch_bytes": gib(0.07),
                "kv_available_bytes": gib(4.94),
                "kv_tokens": 2529 * 16,
            },
        ),
        (
            V0_19,
            {
                "weights_bytes": gib(7.52),
                "activation_peak_bytes": gib(1.48),
                "non_torch_bytes": gib(2.07),
                "cuda_graph_bytes": gib(0.84),
                "kv_available_bytes": gib(60.1),
                "kv_tokens": 984672,
                "max_concurrency": 7.51,
                "max_model_len": 131072,
            },
        ),
        (
            V0_32,
            {
                "weights_bytes": gib(14.99),
                "activation_peak_bytes": gib(1.95 - 0.83),
                "non_torch_bytes": gib(15.24 - 14.99),
                "cuda_graph_bytes": gib(0.41),
                "kv_available_bytes": gib(56.21),
                "kv_tokens": 460496,
                "max_concurrency": 3.51,
                "max_model_len": 131072,
            },
        ),
        ("INFO nothing of memory\n", {}),
    ],
    ids=["0.8.5", "0.8.5 older engine", "0.19 two ranks", "0.32", "nothing"],
)
def test_the_log_of_a_start_is_read(log: str, wanted: dict[str, float]) -> None:
    found = measured(log.splitlines())
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=2), name


def test_predicted_and_measured_stand_side_by_side_and_five_percent_is_told() -> None:
    predicted = {
        "weights_bytes": 100 * GIB,
        "kv_available_bytes": 10 * GIB,
        "cuda_graph_bytes": gib(0.2),
        "kv_tokens": 1000,
        "activation_peak_bytes": None,
    }
    rows = compare(
        predicted,
        {"weights_bytes": 104 * GIB, "kv_available_bytes": gib(9.4), "cuda_graph_bytes": gib(0.4), "kv_tokens": 940},
    )
    told = {row["figure"]: (row["deviation"], row["warn"]) for row in rows}
    # four percent are within what is promised, twice the graphs are too little to matter on such a card
    assert told == {
        "weights_bytes": (0.04, False),
        "cuda_graph_bytes": (1.0, False),
        "kv_available_bytes": (-0.06, True),
        "kv_tokens": (-0.06, True),
    }
    sentences = warnings("chat", rows)
    assert sentences == [
        "[plan.deviation] instance 'chat': kv_available_bytes was planned as 10.00 GiB and is 9.40 GiB (-6.0 %).",
        "[plan.deviation] instance 'chat': kv_tokens was planned as 1000 tokens and is 940 tokens (-6.0 %).",
    ]


def test_nothing_is_compared_that_one_side_does_not_know() -> None:
    assert compare({"weights_bytes": None}, {"weights_bytes": 5}) == []
    assert compare({"weights_bytes": 5}, {}) == []
