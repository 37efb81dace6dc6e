# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published readings and refusals as requests of the planner, with what was observed. Sizes are GiB unless said."""

from __future__ import annotations

import copy
import csv
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.bench.plan_row_facts import CARDS, LEFT_OUT, MODELS, SAME_CARD, SHOWN, VERSIONS

DATA = Path(__file__).parent / "data"
CONFIGS = Path(__file__).parents[1] / "unit" / "planner" / "data" / "models"
GIB = 2**30
FIGURES = {
    "weights_gib": "weights",
    "activation_peak_gib": "activation",
    "non_torch_gib": "non_torch",
    "kv_available_gib": "pool",
    "kv_tokens": "tokens",
    "graph_gib": "graphs",
}


@dataclass
class Row:
    """One reading. ``left_out`` says why it cannot be compared; ``assumed`` what the source did not say."""

    number: int
    name: str
    version: str = ""
    ours: bool = False  # of the set that the best peer was fitted to: H100, 0.19.0
    request: dict[str, Any] = field(default_factory=dict)
    observed: dict[str, float] = field(default_factory=dict)
    left_out: str = ""
    assumed: str = ""
    error: str = ""
    code: str = ""
    arithmetic: bool = False  # a refusal whose card is not known: the cache is the log's own


@cache
def _cases() -> dict[str, dict[str, Any]]:
    configs = {}
    for line in (DATA / "plan_cases.jsonl").read_text().splitlines():
        model = json.loads(line)["request"]["deployments"][0]["model"]
        configs.setdefault(model["id"], model["config"])
    return configs


@cache
def _more() -> dict[str, dict[str, Any]]:
    return json.loads((DATA / "configs.json").read_text())


def config(name: str) -> dict[str, Any] | None:
    """config.json of a model by its id, whole; None where nobody knows it."""
    file = CONFIGS / (name.replace("/", "--") + ".json")
    if name in _cases():
        return copy.deepcopy(_cases()[name])
    if file.exists():
        return json.loads(file.read_text())
    entry = _more().get(name)
    if entry is None:
        return None
    if "like" not in entry:
        return copy.deepcopy(entry)
    base = config(entry["like"])
    assert base is not None, entry["like"]
    for path, value in entry["set"].items():
        target, keys = base, path.split(".")
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value
    return base


def gpu(name: str, size: str, notes: str = "") -> dict[str, Any] | None:
    """The card of a reading as the probe would describe it. A size below the card's nominal one is what CUDA saw."""
    card = CARDS.get(SAME_CARD.get(name, name))
    if card is None:
        return None
    shown, total, capability = card
    out: dict[str, Any] = {"index": 0, "name": shown, "compute_capability": capability}
    stated = float(size) if size else None
    if stated is not None and (stated % 1 and abs(stated - total / 1024) > 0.02):
        out["memory_usable_bytes"] = int(stated * GIB)
    else:
        out["memory_total_bytes"] = total * 2**20
    if any(word in name + notes for word in ("WSL", "Windows", "WDDM")):
        out["memory_reserved_bytes"] = 0  # Windows shows the whole card
    return out


def _engine_args(entry: dict[str, str]) -> dict[str, Any]:
    args: dict[str, Any] = {}
    for column, name, kind in (
        ("max_model_len", "max-model-len", int),
        ("max_num_seqs", "max-num-seqs", int),
        ("max_num_batched_tokens", "max-num-batched-tokens", int),
        ("gpu_memory_utilization", "gpu-memory-utilization", float),
        ("tp", "tensor-parallel-size", int),
        ("pp", "pipeline-parallel-size", int),
    ):
        if entry.get(column):
            args[name] = kind(entry[column])
    if entry.get("enforce_eager") == "true":
        args["enforce-eager"] = True
    if entry.get("ep") and int(entry["ep"]) > 1:
        args["enable-expert-parallel"] = True
    if (entry.get("kv_cache_dtype") or "auto") != "auto":
        args["kv-cache-dtype"] = entry["kv_cache_dtype"]
    if entry.get("dtype") in ("float32", "float16"):
        args["dtype"] = entry["dtype"]
    if "online" in (entry.get("quantization") or "") and "plugin" not in entry["quantization"]:
        args["quantization"] = "fp8"
    return args


def _request(entry: dict[str, str], version: str, card: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    args = _engine_args(entry)
    count = args.get("tensor-parallel-size", 1) * args.get("pipeline-parallel-size", 1)
    model = {"id": entry["model"] or "unnamed", "config": document}
    if entry.get("weights_gib") and args.get("pipeline-parallel-size", 1) == 1:
        model["weights_bytes"] = int(float(entry["weights_gib"]) * count * GIB)
    return {
        "vllm_version": version,
        "gpus": [dict(card, index=index) for index in range(count)],
        "deployments": [{"name": "row", "model": model, "gpus": {"count": count}, "engine_args": args}],
    }


def observations() -> list[Row]:
    """Every reading of memory_observations.csv, those that cannot be compared with the reason."""
    rows = []
    with (DATA / "memory_observations.csv").open() as file:
        for number, entry in enumerate(csv.DictReader(file)):
            row = Row(number, entry["model"] or "(not named)", ours="pull/205" in entry["source"])
            row.observed = {name: float(entry[key]) for key, name in FIGURES.items() if entry[key]}
            row.ours = row.ours and entry["vllm_version"] == "0.19.0"
            _fill(row, entry)
            rows.append(row)
    return rows


def refusals() -> list[Row]:
    """Every refusal of refusals.csv; ``error`` is its class and ``observed`` the figures that it named."""
    rows = []
    with (DATA / "refusals.csv").open() as file:
        for number, entry in enumerate(csv.DictReader(file)):
            row = Row(number, entry["model"] or "(not named)", error=entry["error_class"])
            for key in ("needed_gib", "available_gib", "estimated_max_len"):
                if entry[key]:
                    row.observed[key] = float(entry[key])
            _fill(row, dict(entry, tp=entry["tp"] or "1"), refused=True)
            rows.append(row)
    return rows


def _fill(row: Row, entry: dict[str, str], refused: bool = False) -> None:
    key = ("r%d" if refused else "%d") % row.number
    row.left_out = LEFT_OUT.get(key, "")
    version = VERSIONS.get(key) or entry["vllm_version"].split("/")[0]
    row.version = version or "0.19.0"
    if key in VERSIONS or not entry["vllm_version"]:
        row.assumed = "release %s" % row.version
    args: dict[str, Any] = {}
    total = None
    if key in SHOWN:
        more = dict(SHOWN[key])
        args, total = more.pop("args", {}), more.pop("total_mib", None)
        entry = {**entry, **more}
        row.assumed += " ".join((" " if row.assumed else "", *("%s %s" % pair for pair in SHOWN[key].items())))
    name = MODELS.get(key) or MODELS.get(entry["model"], entry["model"])
    document = config(name)
    card = gpu(entry["gpu"] or "any", entry["gpu_memory_gib"], entry.get("notes") or "")
    if row.left_out:
        return
    if document is None:
        row.left_out = "the model's configuration is not known"
    elif card is None:
        row.left_out = "the card is not named"
    else:
        if total is not None:
            card = {
                **{name: value for name, value in card.items() if "memory" not in name},
                "memory_total_bytes": total * 2**20,
            }
        row.request = _request(entry, row.version, card, document)
        row.request["deployments"][0]["engine_args"].update(args)
        if refused:
            _complete(row, entry, document)


def _complete(row: Row, entry: dict[str, str], document: dict[str, Any]) -> None:
    """What a refusal says beside the columns of a reading: what was free, how long, how much cache there was."""
    args = row.request["deployments"][0]["engine_args"]
    card = row.request["gpus"][0]
    if row.error == "free_memory":
        card["memory_usable_bytes"] = int(float(entry["gpu_memory_gib"]) * GIB)
        card["memory_free_bytes"] = int(row.observed["available_gib"] * GIB)
    elif row.error == "hybrid_limit":
        args["max-num-batched-tokens"] = 2048
    elif row.error == "bf16_unsupported":
        args["dtype"] = "bfloat16"
    elif row.error in ("kv_too_small", "no_kv_memory", "oom_start"):
        longest = document.get("max_position_embeddings") or document["text_config"]["max_position_embeddings"]
        args.setdefault("max-model-len", longest)  # what vLLM takes where nobody says
        if not entry["gpu"] and not entry["gpu_memory_gib"]:
            if row.error != "kv_too_small":
                row.left_out = "the card is not named"
            # Without a card the refusal is one of arithmetic: so much cache, so long a request.
            row.arithmetic = True
            args["kv-cache-memory-bytes"] = int(row.observed.get("available_gib", 0) * GIB)
    if "MIG" in card["name"]:
        card["mig"] = True
