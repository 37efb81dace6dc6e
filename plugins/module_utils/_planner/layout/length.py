# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The context of an engine: what was asked for, or the longest that fits."""

from __future__ import annotations

from ..errors import PlanError, warning
from .engine import Engine
from .task import Task

GIB = 2**30
USEFUL = 4096  # tokens; a context that nobody asked for is not cut below this while more GPUs are left
_CEILING = 2**20


def check_length(length: int, limit: int | None, extended: bool = False) -> None:
    """Raises PlanError ``plan.context_too_long``; ``extended``: hf-overrides may have changed the model's own limit."""
    if limit is not None and length > limit and not extended:
        raise PlanError(
            "plan.context_too_long",
            "A context of %d tokens was asked for, and the model's config allows %d." % (length, limit),
            ("Set workload.max_model_len to %d or less." % limit,),
        )


def check_asked(task: Task) -> None:
    if task.asked_length is not None:
        extended = bool(task.user.get("hf-overrides")) or bool(task.user.get("rope-scaling"))
        check_length(task.asked_length, task.model.max_model_len, extended)


def fitness(engine: Engine) -> int:
    """0: the whole workload fits; 1: one request does; 2: not even that."""
    task = engine.task
    asked = task.asked_length
    if asked is None:
        fits = engine.longest(task.model.max_model_len or _CEILING)
        return 2 if fits < 1 else 0 if fits >= min(task.model.max_model_len or _CEILING, USEFUL) else 1
    if engine.longest(asked) < asked:
        return 2
    if not task.concurrency or not task.open:
        return 0
    _cache, pool = engine.pool(asked)
    return 0 if pool.max_concurrency * engine.parallel.data >= task.concurrency else 1


def wanted_bytes(engine: Engine, whole: bool) -> int:
    """KV bytes of a GPU for the workload (``whole``), or for one request of it."""
    task = engine.task
    length = task.asked_length or min(task.model.max_model_len or _CEILING, USEFUL)
    many = whole and task.open
    requests = -(-(task.concurrency or 1) // engine.parallel.data) if many else 1
    return engine.needed(length, requests)


def decide_length(engine: Engine) -> int:
    """The context in tokens. Raises PlanError ``plan.does_not_fit`` where not one request fits."""
    task, settings = engine.task, engine.settings
    limit, asked = task.model.max_model_len, task.asked_length
    if asked is not None:
        if engine.longest(asked) < asked:
            raise does_not_fit(engine, asked, engine.longest(asked))
        if "max-model-len" in task.user:
            settings.take("max-model-len")
        else:
            settings.decide("max-model-len", asked, "workload.max_model_len.", "user")
        return asked
    ceiling = limit or _CEILING
    fits = engine.longest(ceiling)
    if fits < 1:
        raise does_not_fit(engine, min(ceiling, 16), 0)
    if fits >= ceiling:
        reason, length = "The longest context of the model; it fits.", ceiling
    else:
        block = engine.caches[0].block_size
        length = max(1, fits // 1024 * 1024 or fits // block * block or fits)
        reason = "The model's %d tokens do not fit; this is what one request can have." % ceiling
        text = "The context is %d tokens, not the model's %d: the memory holds no more." % (length, ceiling)
        engine.warnings.append(warning("plan.context_cut", text))
    settings.values["max-model-len"] = length
    settings.decisions.append({"setting": "max-model-len", "value": length, "source": "computed", "reason": reason})
    return length


def does_not_fit(engine: Engine, length: int, fits: int) -> PlanError:
    least = engine.least
    needed = engine.needed(length)
    total = least.budget - least.kv_available + needed
    remedies = ["Use a GPU with more memory.", "Use more GPUs (gpus.count).", "Choose a smaller or quantised model."]
    if fits:
        remedies.insert(0, "Set workload.max_model_len to %d or less." % fits)
    if engine.explicit is not None:
        remedies.insert(0, "Raise kv-cache-memory-bytes.")
    return PlanError(
        "plan.does_not_fit",
        "Deployment '%s' needs %.2f GiB of a GPU (weights %.2f, activation %.2f, KV cache %.2f for one request of "
        "%d tokens) and may use %.2f GiB; %s."
        % (engine.task.name, total / GIB, least.weights / GIB, least.activation / GIB, needed / GIB, length,
           least.budget / GIB, "%d tokens fit" % fits if fits else "no context fits"),
        tuple(remedies),
        total,
        least.budget,
    )  # fmt: skip


def check_explicit(engine: Engine) -> None:
    """Refuse an explicit cache that the card cannot hold beside the rest; vLLM would run out of memory."""
    if engine.explicit is None:
        return
    worst = min(engine.ranks, key=lambda rank: rank.headroom)
    if worst.headroom + worst.graphs >= 0:
        return
    needed = worst.total - worst.headroom - worst.graphs
    raise PlanError(
        "plan.does_not_fit",
        "kv-cache-memory-bytes of %.2f GiB does not fit beside weights of %.2f and %.2f GiB of activations: %.2f GiB "
        "of the card's %.2f are needed."
        % (engine.explicit / GIB, worst.weights / GIB, worst.activation / GIB, needed / GIB, worst.total / GIB),
        ("Leave kv-cache-memory-bytes out.", "Set it to %d or less." % max(0, engine.explicit + worst.headroom)),
        needed,
        worst.total,
    )
