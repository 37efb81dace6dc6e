# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""What else a host would hold beside its plan: another instance of what runs there, or a model that people know."""

from __future__ import annotations

from math import floor
from typing import Any, Mapping, Sequence

from ..errors import InvalidRequest
from ..plan import plan
from .table import replicas

# Dense models of one family, smallest first: layers, hidden size, heads, KV heads, width of the feed-forward net, tied.
_QWEN3 = {
    "Qwen/Qwen3-0.6B": (28, 1024, 16, 8, 3072, True),
    "Qwen/Qwen3-1.7B": (28, 2048, 16, 8, 6144, True),
    "Qwen/Qwen3-4B": (36, 2560, 32, 8, 9728, True),
    "Qwen/Qwen3-8B": (36, 4096, 32, 8, 12288, False),
    "Qwen/Qwen3-14B": (40, 5120, 40, 8, 17408, False),
    "Qwen/Qwen3-32B": (64, 5120, 64, 8, 25600, False),
}
NAME = "one-more"
LEAST_SHARE = 0.05


def besides(request: Mapping[str, Any], answer: Mapping[str, Any], left: Sequence[float] = ()) -> list[dict[str, Any]]:
    """What can be added to ``request`` while all that ``answer`` planned stays as it is.

    ``left`` are the parts of cards that engines leave, from 0 to 1: whatever is added may share one of these. An entry
    has ``model``, ``another`` (the deployment that it would be a second instance of, or None), ``gpu_indices``,
    ``share`` of each (None: the whole card), ``context`` in tokens and ``users``, requests of that length at once.
    Empty where the plan has errors or no GPU.
    """
    if answer["errors"] or not request.get("gpus"):
        return []
    before = {instance["name"]: _fixed(instance) for instance in answer["instances"]}
    most = max([part for part in left if part < 1], default=0.0)
    # Each engine takes something of its own beside what it was planned to.
    shares = [floor((most - less) * 100) / 100 for less in (0.0, 0.02, 0.04) if most - less >= LEAST_SHARE]
    out = []
    tried: list[Any] = []
    for entry in request["deployments"]:
        if entry["model"] in tried or entry.get("device") == "cpu":
            continue
        tried.append(entry["model"])
        found = _first(request, before, _copy(entry), [entry["gpus"]["count"]] if _counted(entry) else [], shares)
        if found is not None:
            out.append({"model": entry["model"].get("id"), "another": entry["name"], **found})
    for model_id, sizes in reversed(list(_QWEN3.items())):
        more = {"name": NAME, "model": {"id": model_id, "config": _config(sizes)}}
        found = _first(request, before, more, [], shares)
        if found is not None:
            out.append({"model": model_id, "another": None, **found})
            break  # whatever is smaller fits as well
    return out


def _counted(entry: Mapping[str, Any]) -> bool:
    return bool((entry.get("gpus") or {}).get("count"))


def _copy(entry: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in entry.items() if name not in ("placement", "gpus")}
    return {**kept, "name": NAME}


def _first(
    request: Mapping[str, Any],
    before: Mapping[str, Any],
    more: dict[str, Any],
    counts: list[int],
    shares: Sequence[float],
) -> dict[str, Any] | None:
    """``more`` on cards of its own, else on a part of one."""
    wishes: list[dict[str, Any]] = [{"count": count} for count in counts] or [{}]
    if not counts or counts == [1]:
        wishes += [{"count": 1, "share": share} for share in shares]
    for wish in wishes:
        found = _added(request, before, {**more, "gpus": wish})
        if found is not None:
            return {**found, "share": wish.get("share")}
    return None


def _config(sizes: tuple[int, int, int, int, int, bool]) -> dict[str, Any]:
    layers, hidden, heads, kv_heads, width, tied = sizes
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": 128, "intermediate_size": width,
        "vocab_size": 151936, "tie_word_embeddings": tied, "max_position_embeddings": 40960, "torch_dtype": "bfloat16",
    }  # fmt: skip


def _fixed(instance: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a neighbour must leave as it is."""
    return tuple(instance["gpu_indices"]), sorted(instance["settings"].items(), key=lambda item: item[0])


def _added(request: Mapping[str, Any], before: Mapping[str, Any], deployment: dict[str, Any]) -> dict[str, Any] | None:
    try:
        answer = plan({**request, "deployments": [*request["deployments"], deployment]})
    except InvalidRequest:
        return None
    if answer["errors"]:
        return None
    after = {instance["name"]: instance for instance in answer["instances"]}
    found = after.pop(NAME)
    if {name: _fixed(instance) for name, instance in after.items()} != dict(before):
        return None
    decided = {entry["setting"]: entry["value"] for entry in found["decisions"]}
    return {
        "gpu_indices": found["gpu_indices"],
        "context": decided.get("max-model-len"),
        "users": max(1, int(replicas(found) * found["kv"]["max_concurrency"])),
    }
