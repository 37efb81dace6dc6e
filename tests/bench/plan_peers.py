# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other calculators on the same readings: those that the Python registry has are installed and asked; the rest say.

Each peer gets what it asks for, at its best: the memory that CUDA really saw, and the weights as they were read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

PACKAGES = ("llm-d-planner==0.3.3", "vllm-wizard")
#: figures that the others publish of themselves, not measured here
PUBLISHED = (
    ("llm-d-planner, its own study of 57 runs", "weights 0.89 %, KV 6.6 %, activation +195 %, concurrency 15 %"),
    ("gpustack", "file size as weights, 1.2 x weights as activation; off by 2 to 20 GB in its issues"),
    ("gguf-parser", "another engine; 0.9 against 13.8 GiB and 32 against 139 GB in its issues"),
    ("club-3090", "four models on one card, +-1.5 GB stated"),
    ("hf-mem", "weights exact; nothing of activation, libraries and graphs"),
)

# Runs in the peers' environment. Reads a list of readings, answers one object of GiB for each.
_ASK = r"""
import json, sys, types
def bundle(value):
    if isinstance(value, dict):
        return types.SimpleNamespace(**{k: bundle(v) if k == "text_config" else v for k, v in value.items()})
    return value
out = []
try:
    from planner import capacity_planner as cp
except Exception as error:
    cp = None
try:
    from vllm_wizard.models import metadata as vm
    from vllm_wizard.planning import memory as vw
    from vllm_wizard.schemas.inputs import DType, KVCacheDType
except Exception:
    vw = None
for row in json.load(sys.stdin):
    answer = {}
    try:
        config = bundle(row["config"])
        act = cp.estimate_vllm_activation_memory(config, row["tp"])
        other = cp.estimate_vllm_non_torch_memory(row["tp"], row["pp"]) + cp.estimate_vllm_cuda_graph_memory()
        one = {"activation": act, "non_torch": other}
        if row.get("weights") is not None:
            one["pool"] = row["usable"] * row["utilization"] - row["weights"] - act - other
        if row.get("kv_bytes") is not None:
            detail = cp.KVCacheDetail("m", config, row["length"], 1)
            width = detail.precision_in_bytes
            per_token = detail.per_token_memory_bytes / width * (1 if row["kv_dtype"].startswith("fp8") else 2)
            one["tokens"] = int(row["kv_bytes"] // (per_token * 16)) * 16
        answer["llm-d-planner"] = one
    except Exception as error:
        answer["llm-d-planner"] = {"refused": type(error).__name__}
    try:
        merged = dict(row["config"], **(row["config"].get("text_config") or {}))
        meta = vm._parse_config(merged, "m")
        overhead = vw.compute_overhead(int(row["usable"] * 2**30), row["tp"]) / 2**30
        one = {"activation": 0.0, "non_torch": overhead}
        if row.get("weights") is not None:
            one["pool"] = row["usable"] * row["utilization"] - row["weights"] - overhead
        one["weights"] = vm.estimate_params_from_config(meta) * 2 / 2**30
        if row.get("kv_bytes") is not None:
            kind = KVCacheDType("fp8") if row["kv_dtype"].startswith("fp8") else KVCacheDType.AUTO
            per_token = vw.compute_kv_cache_memory(meta, 1000, 1, kind) / 1000
            one["tokens"] = int(row["kv_bytes"] // per_token)
        answer["vllm-wizard"] = one
    except Exception as error:
        answer["vllm-wizard"] = {"refused": type(error).__name__}
    out.append(answer)
json.dump(out, sys.stdout)
"""


def environment(folder: Path) -> Path:
    """The peers' own environment below ``folder``, made where it is missing; the path of its Python."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        subprocess.run([python, "-m", "pip", "install", "-qqq", *PACKAGES], check=True, stdout=sys.stderr)
        (folder / "ready").write_text("")
    return python


def ask(python: Path, questions: list[dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Each peer's figures in GiB for each question: {peer: {activation, non_torch, pool, tokens} or {refused}}."""
    done = subprocess.run([python, "-c", _ASK], input=json.dumps(questions), capture_output=True, text=True, check=True)
    answers: list[dict[str, dict[str, Any]]] = json.loads(done.stdout)
    return answers
