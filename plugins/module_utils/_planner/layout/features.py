# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Features that change what an engine is: LoRA, speculation, pooling, several media, offloading. Planned or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from ..errors import PlanError, warning
from ..settings import Settings
from .task import Task

GIB = 2**30
# Architectures that answer with vectors or scores unless told otherwise; `Model` is the rest of the names that end so.
_GENERATE = ("ForCausalLM", "ForConditionalGeneration", "ChatModel", "LMHeadModel")
_POOL = ("ForTextEncoding", "EmbeddingModel", "Classification", "ClassificationModel", "ForRewardModeling", "Model")
_TASKS = ("embed", "embedding", "classify", "score", "reward")
# Speculation that needs no weights of its own.
_FREE_METHODS = ("ngram", "ngram_gpu", "suffix")


@dataclass(frozen=True)
class Features:
    """What the decisions made of the engine's arguments. ``offload`` is bytes of weights a GPU that stay in the host's
    memory, ``swap`` bytes of KV cache a GPU there."""

    pooling: bool
    speculative_tokens: int
    async_scheduling: bool
    prefix_caching: bool
    chunked_prefill: bool
    offload: int
    swap: int


def is_pooling(task: Task) -> bool:
    """Whether the engine embeds, ranks or classifies instead of generating."""
    if task.user.get("runner") in ("pooling", "generate"):
        return bool(task.user["runner"] == "pooling")
    if task.user.get("task") in _TASKS or task.user.get("convert") in ("embed", "classify", "reward"):
        return True
    if task.model.pooling:
        return True
    name = task.model.architecture
    return not name.endswith(_GENERATE) and name.endswith(_POOL)


def decide_features(settings: Settings, task: Task, pipeline: int) -> Features:
    """Decisions of their own accord; raises PlanError where vLLM would refuse, or where nobody knows the memory."""
    user = task.user
    pooling = is_pooling(task)
    speculative = _speculation(task, pooling)
    _check_lora(task)
    _check_spread(task)
    chunked = bool(settings.decide("enable-chunked-prefill", *_chunked(task, pooling), "default"))
    prefix = bool(settings.decide("enable-prefix-caching", *_prefix(task, pooling), "default"))
    overlapped = bool(user.get("async-scheduling", _overlapped(task, pooling, speculative, pipeline)))
    # With cpu-offload-params only some of the weights go, how many is not known: none are counted as gone.
    offload = 0 if user.get("cpu-offload-params") else user.get("cpu-offload-gb") or 0
    swap = user.get("kv-offloading-size") or 0
    return Features(
        pooling=pooling,
        speculative_tokens=speculative,
        async_scheduling=overlapped,
        prefix_caching=prefix,
        chunked_prefill=chunked,
        offload=int(max(0.0, offload) * GIB) if isinstance(offload, (int, float)) else 0,
        swap=int(max(0.0, swap) * GIB) if isinstance(swap, (int, float)) else 0,
    )


def _chunked(task: Task, pooling: bool) -> tuple[bool, str]:
    if task.model.encoder is not None or (pooling and task.model.pooling):
        return False, "An encoder reads a prompt in one piece."
    return True, "Long prompts are read in pieces, so that answers of others go on meanwhile."


def _prefix(task: Task, pooling: bool) -> tuple[bool, str]:
    if task.model.encoder is not None or (pooling and task.model.pooling):
        return False, "Encoders keep nothing that a later request could use."
    if task.model.hybrid and (pooling or task.version < (0, 26)):
        return False, "vLLM %s leaves it off for models with recurrent layers." % task.text
    if not any(layer.kind in ("full", "sliding", "chunked", "mla") for layer in task.model.layers):
        return False, "Without attention there are no prefixes to keep."
    return True, "Requests that begin alike, as turns of a chat do, are not computed again."


def _overlapped(task: Task, pooling: bool, speculative: int, pipeline: int) -> bool:
    """Whether the release prepares a batch while the last one runs, unless told otherwise."""
    if task.version < (0, 14) or pooling:
        return False
    if task.version < (0, 26) and (pipeline > 1 or speculative):
        return False
    return bool(task.user.get("distributed-executor-backend", "mp") in ("mp", "uni", "external_launcher"))


def _speculation(task: Task, pooling: bool) -> int:
    """Tokens guessed ahead; 0 without speculative decoding. Raises PlanError ``plan.unsupported_speculation``."""
    config = task.user.get("speculative-config")
    if not isinstance(config, Mapping) or not config:
        return 0
    method = str(config.get("method") or ("draft_model" if config.get("model") else "unknown"))
    count = config.get("num_speculative_tokens", 0)
    if pooling:
        raise _no_speculation("An engine that pools generates nothing that could be guessed ahead.", "Leave it out.")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 1024:
        raise _no_speculation("num_speculative_tokens must be an integer from 1 to 1024.", "Correct it.")
    if method in _FREE_METHODS:
        return count or (32 if method == "suffix" else 5)
    if (method == "mtp" or method.endswith("_mtp")) and not config.get("model"):
        if task.model.mtp_layers and count:
            return count
        raise _no_speculation("The model's config has no layers that guess ahead.", "Use method: ngram.")
    raise _no_speculation(
        "Method %s loads a second model, whose weights and cache this planner does not know." % method,
        "Use method: ngram, or mtp where the model brings layers for it.",
    )


def _no_speculation(reason: str, remedy: str) -> PlanError:
    return PlanError("plan.unsupported_speculation", "speculative-config cannot be planned: %s" % reason, (remedy,))


def _check_lora(task: Task) -> None:
    count, held = task.user.get("max-loras", 1), task.user.get("max-cpu-loras")
    if task.user.get("enable-lora") and isinstance(count, int) and isinstance(held, int) and held < count:
        raise PlanError(
            "plan.unsupported_lora",
            "max-cpu-loras is %d, less than max-loras of %d." % (held, count),
            ("Raise max-cpu-loras or leave it out.",),
        )


def _check_spread(task: Task) -> None:
    """Arguments that spread an engine over more than what one host has, or in ways that are not computed here."""
    for name in ("decode-context-parallel-size", "prefill-context-parallel-size", "nnodes"):
        if task.user.get(name, 1) not in (1, None):
            raise PlanError(
                "plan.unsupported_parallelism",
                "%s: %s cannot be planned." % (name, task.user[name]),
                ("Use tensor, pipeline, data or expert parallelism on one host.",),
            )
    if task.user.get("enable-expert-parallel") and not task.model.experts:
        raise PlanError(
            "plan.unsupported_parallelism",
            "enable-expert-parallel is set, and the model has no experts.",
            ("Leave it out.",),
        )


def feature_warnings(task: Task, features: Features) -> list[str]:
    out = []
    if features.offload:
        text = "cpu-offload-gb moves weights over the bus for every token; expect a small part of the speed."
        out.append(warning("plan.cpu_offload", text))
    if (features.offload or features.swap) and task.request.host.memory_bytes is None:
        text = (
            "whether the host's memory holds what is moved there was not checked: the request has no host.memory_bytes."
        )
        out.append(warning("plan.host_memory_unknown", text))
    if task.user.get("enable-lora"):
        text = (
            "The memory of LoRA adapters is an estimate: max-loras times the largest adapter that max-lora-rank allows."
        )
        out.append(warning("plan.lora_estimate", text))
    return out


def host_bytes(features: Features, weights: int, ranks: int) -> int:
    """Host memory that offloading takes, in bytes."""
    return ranks * (min(features.offload, weights) + features.swap)


def check_host_memory(task: Task, needed: int, left: int | None) -> None:
    """Raises PlanError ``host.memory`` where the host lacks what offloading moves there."""
    if needed and left is not None and needed > left:
        raise PlanError(
            "host.memory",
            "Deployment '%s' moves %.2f GiB into the host's memory, of which %.2f GiB are left."
            % (task.name, needed / GIB, left / GIB),
            ("Lower cpu-offload-gb or kv-offloading-size.", "Give the host more memory."),
            needed,
            left,
        )
