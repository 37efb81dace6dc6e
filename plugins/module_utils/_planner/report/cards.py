# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Cards of the catalogue that a model may be sized for, by the words that a person writes."""

from __future__ import annotations

import re

from ..catalogue import CARDS, Card

__all__ = ["CARDS", "Card", "find", "matching"]


def _bare(text: str) -> str:
    return re.sub(r"nvidia|geforce|tesla|rtx|[^a-z0-9]", "", text.lower())


def find(text: str) -> Card | None:
    """The card whose key or name ``text`` is, spaces, case and the maker's words aside; None where there is none."""
    wanted = _bare(text)
    return next((card for card in CARDS if wanted in (_bare(card.key), _bare(card.name))), None)


def matching(text: str) -> tuple[Card, ...]:
    """All cards with ``text`` in their name; the very card alone where ``text`` names one."""
    exact = find(text)
    if exact is not None:
        return (exact,)
    return tuple(card for card in CARDS if _bare(text) in _bare(card.key + " " + card.name)) if _bare(text) else ()
