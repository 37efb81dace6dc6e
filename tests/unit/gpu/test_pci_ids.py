"""Cards are known before their driver is: by the number that the PCI bus tells."""

from __future__ import annotations

import re

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import pci_ids
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report import cards


def test_each_number_stands_for_one_card_of_the_catalogue() -> None:
    numbers = [number for numbers in pci_ids._CARDS.values() for number in numbers.split()]
    assert len(numbers) == len(set(numbers))
    assert all(re.fullmatch(r"[0-9a-f]{4}", number) for number in numbers)
    known = {card.key for card in cards.CARDS}
    assert set(pci_ids._CARDS) <= known, sorted(set(pci_ids._CARDS) - known)


def test_a_number_that_nobody_knows_is_no_card() -> None:
    assert pci_ids.card_of("2330") == "H100 80GB"
    assert pci_ids.card_of("2B85") == "RTX 5090"
    assert pci_ids.card_of("ffff") is None
