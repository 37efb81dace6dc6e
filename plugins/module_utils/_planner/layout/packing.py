# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Deployments that ask for no card of their own, put together on cards where there are fewer cards than engines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, Mapping, Sequence

from ..errors import PlanError
from ..request import Gpu
from .builds import build_of, check_driver, refusal
from .capability import check_quantization
from .engine import Variant, build
from .layouts import asked_ranks, layouts
from .placement import Resources
from .quantized import Quantized, read_quantized
from .sharing import EXPLICIT_SINCE, need_bytes, said_part, shareable_bytes
from .task import Task

GIB = 2**30
_MOST = 16
_HELPED = ("plan.not_enough_gpus", "plan.does_not_fit")


@dataclass
class _Card:
    """One card while it is filled: bytes that are left of it, and the bytes of each that is on it."""

    gpu: Gpu
    left: int
    held: dict[str, int] = field(default_factory=dict)


def packable(task: Task) -> bool:
    """Whether the plan may put the task beside others: nothing names its cards or its part of them."""
    wish = task.deployment.gpus
    return (
        task.device == "cuda" and not wish.named and wish.share is None and task.version >= EXPLICIT_SINCE
        and (wish.count or asked_ranks(task) or 1) == 1
    )  # fmt: skip


def together(tasks: Iterable[Task]) -> bool:
    """Whether two of the tasks have one card now, and so stay together."""
    kept = [uuid for task in tasks if packable(task) for uuid in set(task.deployment.kept_uuids)]
    return len(set(kept)) < len(kept)


def may_help(tasks: Sequence[Task], errors: Iterable[PlanError]) -> bool:
    """Whether packing could do what failed when every deployment was given cards of its own."""
    loose = sum(packable(task) for task in tasks)
    parts = sum(task.device == "cuda" and task.deployment.gpus.share is not None for task in tasks)
    return loose > 0 and loose + parts > 1 and any(error.code in _HELPED for error in errors)


def pack(tasks: Sequence[Task], resources: Resources) -> dict[str, PlanError]:
    """Pin tasks to cards that they share; answers the errors of those for which no card has room.

    What runs stays. Then the largest need comes first, the name decides between equal ones. Each gets an empty card
    while there are some, then the one with most room. Where that does not do, each gets the card of which it leaves
    least; where that does not, smaller batches are tried too.
    """
    loose = [task for task in tasks if packable(task)]
    best: tuple[list[_Card], list[Task]] = [], list(loose)
    least: tuple[int, int] | None = None  # how many found no room, how many that run would move
    for lean in (False, True):
        needs = {task.name: _Needs(task, lean) for task in loose}
        small = [task for task in loose if needs[task.name].somewhere(resources.gpus)]
        cards = _cards(tasks, small, resources)
        order = sorted(small, key=lambda task: (-needs[task.name].somewhere(resources.gpus), task.name))
        for spread in (True, False):
            filled = [_Card(card.gpu, card.left, dict(card.held)) for card in cards]
            refused = _fill(filled, order, needs, spread)
            score = len(refused), _moved(filled, loose)
            if least is None or score < least:
                best, least = (filled, refused), score
            if score == (0, 0):
                break
        if least == (0, 0):
            break
    filled, refused = best
    crowded = all(card.held for card in filled)
    for card in filled:
        if len(card.held) > 1 or crowded:
            for name, size in card.held.items():
                resources.pin(name, card.gpu, size)
    return {task.name: _no_room(task, _Needs(task, True), filled) for task in refused}


class _Needs:
    """Bytes that a task takes of a card: computed once for each make."""

    def __init__(self, task: Task, lean: bool) -> None:
        self.task = task
        self._variant = Variant(lean=lean and task.open)
        self._known: dict[tuple[object, ...], int | None] = {}
        self._quantized: Quantized | None = read_quantized(task.model)

    def on(self, gpu: Gpu) -> int | None:
        """None where no engine of it runs on such a card."""
        part = said_part(self.task, gpu, shareable_bytes(gpu))
        key = gpu.name, gpu.usable_bytes, gpu.capability, gpu.mig, part
        if key not in self._known:
            self._known[key] = self._compute(gpu, part)
        return self._known[key]

    def somewhere(self, gpus: Sequence[Gpu]) -> int:
        """The most that it takes of a card which can hold it; 0 where none can."""
        found = [(self.on(gpu) or 0, gpu) for gpu in gpus]
        return max((need for need, gpu in found if need <= shareable_bytes(gpu)), default=0)

    def _compute(self, gpu: Gpu, part: float | None) -> int | None:
        if refusal(gpu, build_of(self.task)) is not None:
            return None
        try:
            check_driver(self.task, [gpu])
            check_quantization(self.task, self._quantized, [gpu])
            if part is not None:
                return int(part * shareable_bytes(gpu))
            return need_bytes(build(self.task, [gpu], layouts(self.task, self._quantized, 1)[0], self._variant, 1.0))
        except PlanError:
            return None


def _cards(tasks: Sequence[Task], small: Sequence[Task], resources: Resources) -> list[_Card]:
    """Cards that may be shared: all but those that the other tasks need whole."""
    names = {task.name for task in small}
    held = {uuid for task in small for uuid in task.deployment.kept_uuids}
    scratch = resources.fresh()
    open_: dict[int, dict[str, int]] = {}
    rest = [task for task in tasks if task.device == "cuda" and task.name not in names]
    for task in sorted(rest, key=lambda task: not task.deployment.gpus.named):
        for gpu in _wanted(task, scratch, held):
            share = task.deployment.gpus.share
            scratch.take_gpus([gpu], task.name, share or 1.0)
            if share is not None and (task.deployment.gpus.count or 1) == 1:
                open_.setdefault(gpu.index, {})[task.name] = int(share * shareable_bytes(gpu))
    out = []
    for gpu in resources.gpus:
        inside = open_.get(gpu.index, {})
        if sorted(inside) == sorted(scratch.owners(gpu)):
            out.append(_Card(gpu, shareable_bytes(gpu) - sum(inside.values()), inside))
    return out


def _wanted(task: Task, scratch: Resources, held: set[str]) -> list[Gpu]:
    """The cards that a task which is not packed will take; a new one takes none of those where others run."""
    try:
        named = scratch.named(task.deployment)
    except PlanError:
        return []
    if named is not None:
        return named
    own = task.deployment.kept_uuids
    free = [gpu for gpu in scratch.free_gpus(task.deployment) if gpu.uuid in own or gpu.uuid not in held]
    free = [gpu for gpu in free if refusal(gpu, build_of(task)) is None]
    count = task.deployment.gpus.count or asked_ranks(task)
    for number in (count,) if count else range(1, min(len(free), _MOST) + 1):
        for gpus in scratch.choices(free, number):
            if count or _holds(task, gpus):
                return gpus
    return [gpu for gpu in free if gpu.uuid in own]  # not all of its workload fits anywhere: it stays where it is


def _holds(task: Task, gpus: Sequence[Gpu]) -> bool:
    try:
        engine = build(task, gpus, layouts(task, read_quantized(task.model), len(gpus))[0], Variant(), 1.0)
    except PlanError:
        return False
    return need_bytes(engine) <= min(gpu.free_bytes for gpu in gpus)


def _fill(cards: Sequence[_Card], order: Sequence[Task], needs: Mapping[str, _Needs], spread: bool) -> list[Task]:
    """Put the tasks on the cards; answers those that found no room."""
    waiting, refused = [], []
    for task in order:
        own = [card for card in cards if card.gpu.uuid in task.deployment.kept_uuids]
        if not _put(task, own, needs[task.name], spread):
            waiting.append(task)
    for task in waiting:
        if not _put(task, cards, needs[task.name], spread):
            refused.append(task)
    return refused


def _put(task: Task, cards: Sequence[_Card], needs: _Needs, spread: bool) -> bool:
    best = None
    for card in cards:
        need = needs.on(card.gpu)
        if need is None or need > card.left:
            continue
        left = card.left - need
        rank = (bool(card.held), card.gpu.display, -left) if spread else (False, False, left)
        if best is None or (rank, card.gpu.index) < (best[0], best[1].gpu.index):
            best = rank, card, need
    if best is None:
        return False
    best[1].held[task.name] = best[2]
    best[1].left -= best[2]
    return True


def _moved(cards: Sequence[_Card], tasks: Sequence[Task]) -> int:
    kept = {task.name: task.deployment.kept_uuids for task in tasks}
    return sum(bool(kept.get(name)) and card.gpu.uuid not in kept[name] for card in cards for name in card.held)


def _no_room(task: Task, needs: _Needs, cards: Sequence[_Card]) -> PlanError:
    usable = [(card, need) for card in cards for need in [needs.on(card.gpu)] if need is not None]
    needed = min((need for _card, need in usable), default=None)
    available = max((card.left for card, _need in usable), default=0)
    shown = ["%.2f on GPU %d beside %s" % (card.left / GIB, card.gpu.index, _shown(card)) for card, _need in usable]
    if len(shown) > 4:
        shown[3:] = ["no more on %d others" % (len(shown) - 3)]
    what = "a part" if needed is None else "%.2f GiB" % (needed / GIB)
    return PlanError(
        "plan.not_enough_gpus",
        "Deployment '%s' needs %s of a GPU, and none has that left: %s."
        % (task.name, what, ", ".join(shown) or "others need them whole"),
        (
            "Move a deployment to another host.",
            "Lower workload.max_model_len or workload.concurrency of one of them.",
            "Choose a smaller or quantised model.",
        ),
        needed,
        available,
    )  # fmt: skip


def _shown(card: _Card) -> str:
    return " and ".join("'%s' (%.2f)" % (name, size / GIB) for name, size in sorted(card.held.items())) or "nobody"
