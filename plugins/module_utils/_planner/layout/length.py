# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The context of an engine: what was asked for, or the longest that fits."""

from __future__ import annotations

from ..errors import PlanError, warning
from .batch import in_pieces
from .engine import Engine
from .task import Task

GIB = 2**30
USEFUL = 4096  # tokens; a context that nobody asked for is not cut below this while more GPUs are left
UNSTATED = 2048  # what vLLM takes for the limit of a model whose config has none
_LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


def check_length(length: int, limit: int | None, extended: bool = False) -> None:
    """Raises PlanError ``plan.context_too_long``; ``extended``: the model's own limit is not the last word."""
    if limit is not None and length > limit and not extended:
        raise PlanError(
            "plan.context_too_long",
            "A context of %d tokens was asked for, and the model's config allows %d." % (length, limit),
            ("Set workload.max_model_len to %d or less." % limit,),
        )


def beyond(task: Task) -> bool:
    """Whether the environment tells vLLM to take a context that is longer than the model's own."""
    return task.deployment.env.get(_LONGER, "").strip().lower() in ("1", "true")


def check_asked(task: Task) -> list[str]:
    """Warnings on the context that was asked for. Raises PlanError ``plan.context_too_long``."""
    limit, asked = task.model.max_model_len, task.asked_length
    if asked is None:
        return []
    check_length(asked, limit, beyond(task))
    if limit is None or asked <= limit:
        return []
    text = "A context of %d tokens, and the model was made for %d: what it says beyond may be nonsense."
    return [warning("plan.context_beyond_model", text % (asked, limit))]


def ceiling(engine: Engine) -> int:
    """The longest context that the plan may choose: the model's own, and what one batch holds where it must."""
    task = engine.task
    limit = task.model.max_model_len or UNSTATED
    whole = not in_pieces(task, engine.features.chunked_prefill, engine.features.pooling)
    return min(limit, engine.shape.tokens) if whole else limit


def fitness(engine: Engine) -> int:
    """0: the whole workload fits; 1: one request does; 2: not even that."""
    task = engine.task
    asked = task.asked_length
    if asked is None:
        most = ceiling(engine)
        fits = engine.longest(most)
        return 2 if fits < 1 else 0 if fits >= min(most, USEFUL) else 1
    if engine.longest(asked) < asked:
        return 2
    if not task.concurrency or not task.open:
        return 0
    _cache, pool = engine.pool(asked)
    return 0 if pool.max_concurrency * engine.parallel.data >= task.concurrency else 1


def holds_all(engine: Engine) -> bool:
    """Whether nothing is missing: the workload, or the longest context where none was asked for."""
    if engine.task.asked_length is not None:
        return fitness(engine) == 0
    return engine.longest(ceiling(engine)) >= ceiling(engine)


def worth(engine: Engine) -> tuple[int, int]:
    """What an engine that does not hold all is compared by: its context, then the tokens of all its replicas."""
    length = engine.longest(engine.task.asked_length or ceiling(engine))
    _cache, pool = engine.pool(max(1, length))
    return length, pool.tokens * engine.parallel.data


def wanted_bytes(engine: Engine, whole: bool) -> int:
    """KV bytes of a GPU for the workload (``whole``), or for one request of it."""
    task = engine.task
    length = task.asked_length or min(ceiling(engine), USEFUL)
    many = whole and task.open
    requests = -(-(task.concurrency or 1) // engine.parallel.data) if many else 1
    return engine.needed(length, requests)


def decide_length(engine: Engine) -> int:
    """The context in tokens. Raises PlanError ``plan.does_not_fit`` where not one request fits."""
    task, settings = engine.task, engine.settings
    asked = task.asked_length
    if asked is not None:
        if engine.longest(asked) < asked:
            raise does_not_fit(engine, asked, engine.longest(asked))
        engine.warnings += check_asked(task)
        if "max-model-len" in task.user:
            settings.take("max-model-len")
        else:
            settings.decide("max-model-len", asked, "workload.max_model_len.", "user")
        return asked
    most = ceiling(engine)
    fits = engine.longest(most)
    if fits < 1:
        raise does_not_fit(engine, min(most, 16), 0)
    if fits >= most:
        length, reason = most, _why_most(task, most)
    else:
        block = engine.caches[0].block_size
        length = max(1, fits // 1024 * 1024 or fits // block * block or fits)
        reason = "%d tokens do not fit; this is what one request can have." % most
        whose = "the model's " if most == task.model.max_model_len else ""
        text = "The context is %d tokens, not %s%d: the memory holds no more." % (length, whose, most)
        engine.warnings.append(warning("plan.context_cut", text))
    settings.values["max-model-len"] = length
    settings.decisions.append({"setting": "max-model-len", "value": length, "source": "computed", "reason": reason})
    return length


def _why_most(task: Task, most: int) -> str:
    limit = task.model.max_model_len
    if limit is None and most == UNSTATED:
        return "The config names no longest context, and vLLM takes this one then; it fits."
    if most == limit:
        return "The longest context of the model; it fits."
    return "Without chunked prefill no prompt may be longer than max-num-batched-tokens."


def does_not_fit(engine: Engine, length: int, fits: int) -> PlanError:
    """The refusal of ``length`` tokens with the numbers; ``fits`` tokens would do, 0 where none would."""
    needed = engine.needed(length)
    most = "%d tokens fit" % fits if fits else "no context fits"
    remedies = ["Set workload.max_model_len to %d or less." % fits] if fits else []
    if "kv-cache-memory-bytes" in engine.task.user and engine.explicit is not None:
        return PlanError(
            "plan.does_not_fit",
            "Deployment '%s' needs %.2f GiB of KV cache for one request of %d tokens, and kv-cache-memory-bytes gives "
            "it %.2f GiB; %s." % (engine.task.name, needed / GIB, length, engine.explicit / GIB, most),
            ("Set kv-cache-memory-bytes to %d or more, or leave it out." % needed, *remedies),
            needed,
            engine.explicit,
        )
    least = engine.least
    held = least.weights + least.activation + least.non_torch + least.reserved
    other = (least.budget - least.kv_available if engine.explicit is None else held) - least.weights - least.activation
    total = least.weights + least.activation + other + needed
    remedies += ["Use a GPU with more memory.", "Use more GPUs (gpus.count).", "Choose a smaller or quantised model."]
    return PlanError(
        "plan.does_not_fit",
        "Deployment '%s' needs %.2f GiB of a GPU (weights %.2f, activation %.2f, libraries and graphs %.2f, KV cache "
        "%.2f for one request of %d tokens) and may use %.2f GiB; %s."
        % (engine.task.name, total / GIB, least.weights / GIB, least.activation / GIB, other / GIB, needed / GIB,
           length, least.budget / GIB, most),
        (*_doubts(engine.task), *remedies),
        total,
        least.budget,
    )  # fmt: skip


def _doubts(task: Task) -> list[str]:
    """What to look at before any memory is bought: the weights may not be what the name of the model says."""
    start = "[plan.model_differs_from_id] "
    found = [remark[len(start) :] for remark in task.remarks if remark.startswith(start)]
    if found and task.deployment.model.tensors is None and task.deployment.model.weights_bytes is None:
        found.append("Give model.tensors (the headers of its weights), which say what is quantised.")
    return found


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
