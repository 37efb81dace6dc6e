# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""size(model): on which cards a model runs, how many tokens and users each holds, and the smallest that does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from .. import values
from ..errors import InvalidRequest, PlanError
from ..model.info import read_model
from ..plan import answer as plan_answer
from ..request import Gpu, Request, parse_request
from .cards import CARDS, Card

SCHEMA = 1
COUNTS = (1, 2, 4, 8)
NAME = "model"
# What these say is true of the model or the question on every card: it is told once.
_NO_ROOM = ("plan.does_not_fit", "plan.free_memory", "plan.not_enough_gpus")
_CHOSEN = ("card", "count", "tokens", "context", "users", "weights_bytes", "bandwidth_bytes", "token_bytes")
_MODEL_KEYS = ("id", "config", "weights_bytes", "tensors")


def size(
    raw: Any,
    vllm_version: str,
    context: int | None = None,
    users: int | None = None,
    engine_args: Mapping[str, Any] | None = None,
    cards: Sequence[Card] = CARDS,
) -> dict[str, Any]:
    """Plan the model ``raw`` (config.json, or what model_info found) alone on every card and count of cards.

    ``context`` in tokens is what each request is to have, by default what the card holds of the model's own;
    ``users`` are requests at once. Raises InvalidRequest. A row has ``tokens`` (of the KV cache), ``context``, and
    ``users`` (requests of that length at once), or the ``error`` that says why not; rows go by card, then by count.
    """
    deployment: dict[str, Any] = {
        "name": NAME,
        "model": _model(raw),
        "workload": {"max_model_len": context, "concurrency": users},
        "engine_args": _arguments(engine_args or {}),
    }
    base = parse_request({"vllm_version": vllm_version, "gpus": [], "deployments": [deployment]})
    rows = [_row(base, card, count, users) for card in cards for count in COUNTS if count <= card.most]
    fitting = [row for row in rows if row["fits"]]
    named = deployment["model"]
    errors = [] if fitting or not rows else _common(rows)
    return {
        "schema": SCHEMA,
        "model": named.get("id") or _architecture(named["config"]),
        "routed_experts": _routed(base),
        "vllm_version": vllm_version,
        "context": context,
        "users": users,
        "rows": rows,
        "smallest": _smallest_for_one(base, rows, cards),
        "smallest_for_users": _smallest([row for row in fitting if row["enough"]]) if users else None,
        "errors": errors,
    }


def _model(raw: Any) -> dict[str, Any]:
    """The request's ``model`` from config.json, from model_info's ``model`` or from its whole answer."""
    data = values.mapping(raw, "model", (), None)
    if isinstance(data.get("model"), Mapping) and "config" in data["model"]:
        data = values.mapping(data["model"], "model", (), None)
    if "config" not in data:
        return {"config": data}
    model = {key: data[key] for key in _MODEL_KEYS if data.get(key) is not None}
    if not isinstance(model.get("config"), Mapping):
        raise InvalidRequest("model.config must be an object, not %s" % values.kind(model.get("config")))
    if "tensors" in model:
        model.pop("weights_bytes", None)  # the headers say more
    return model


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, and the model's own type in the cache unless told otherwise: what does the card hold as it is?"""
    own = {} if any(key.replace("_", "-") == "kv-cache-dtype" for key in given) else {"kv-cache-dtype": "auto"}
    return {**own, **given}


def _architecture(config: Mapping[str, Any]) -> str | None:
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None


def _routed(base: Request) -> bool:
    """Whether a token reads only the experts that it is sent to."""
    try:
        return bool(read_model(base.deployments[0].model.config).experts)
    except PlanError:
        return False  # each row says why


def _row(base: Request, card: Card, count: int, users: int | None) -> dict[str, Any]:
    gpus = tuple(
        Gpu(
            index=index,
            name=card.name,
            usable_bytes=card.usable_bytes,
            free_bytes=card.usable_bytes,
            capability=card.capability,
        )
        for index in range(count)
    )
    wish = replace(base.deployments[0].gpus, count=count)
    request = replace(base, gpus=gpus, deployments=(replace(base.deployments[0], gpus=wish),))
    answer = plan_answer(request)
    row: dict[str, Any] = {
        "card": card.key,
        "kind": card.kind,
        "count": count,
        "memory_bytes": card.usable_bytes,
        "memory_measured": card.measured,
        "bandwidth_bytes": card.bandwidth,
        "fits": bool(answer["instances"]),
        "enough": False,
    }
    if not answer["instances"]:
        error = answer["errors"][0]
        row["error"] = {key: error[key] for key in ("code", "message", "remedies")}
        return row
    instance = answer["instances"][0]
    decided = {entry["setting"]: entry["value"] for entry in instance["decisions"]}
    copies = int(decided.get("data-parallel-size") or 1)
    at_once = int(copies * instance["kv"]["max_concurrency"])
    row.update(
        tokens=copies * instance["kv"]["tokens"],
        context=decided.get("max-model-len"),
        # A request that is alone runs even where the cache holds a hair less than two of its length.
        users=max(1, at_once if users else min(at_once, copies * int(decided.get("max-num-seqs", at_once)))),
        parallel={key: decided.get(key + "-parallel-size", 1) for key in ("tensor", "pipeline", "data")},
        weights_bytes=instance["memory"]["weights_bytes"],
        token_bytes=instance["kv"]["bytes_per_token"],
        kv_dtype=decided.get("kv-cache-dtype", "auto"),
        warnings=list(instance["warnings"]),
    )
    row["enough"] = row["users"] >= (users or 1)
    return row


def _smallest_for_one(base: Request, rows: Sequence[Mapping[str, Any]], cards: Sequence[Card]) -> dict[str, Any] | None:
    """The least that holds one request at a time: an engine that is to batch many needs more beside its cache."""
    known = {card.key: card for card in cards}
    alone = replace(base, deployments=(replace(base.deployments[0], concurrency=1),))
    for row in sorted(rows, key=lambda row: (row["memory_bytes"] * row["count"], row["count"])):
        if row["fits"] or row["error"]["code"] in _NO_ROOM:
            found = _row(alone, known[row["card"]], row["count"], 1)
            if found["fits"]:
                return _smallest([found])
    return None


def _smallest(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Least memory in all, then fewest cards; the first of those."""
    if not rows:
        return None
    best = min(rows, key=lambda row: (row["memory_bytes"] * row["count"], row["count"]))
    return {key: best[key] for key in _CHOSEN}


def _common(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Errors that have nothing to do with the card: as they came; else the one of the largest card."""
    found = [row["error"] for row in rows]
    general = [error for error in found if error["code"] not in _NO_ROOM]
    if len(general) == len(found) and len({error["message"] for error in general}) == 1:
        return [dict(general[0])]
    largest = max(rows, key=lambda row: (row["error"]["code"] in _NO_ROOM, row["memory_bytes"] * row["count"]))
    return [dict(largest["error"])]
