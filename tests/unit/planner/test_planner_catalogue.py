"""The one table of cards: every name finds its own row, and no name finds that of another chip."""

from __future__ import annotations

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner import catalogue
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.memory import cards
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request import Gpu

MIB = 2**20


@pytest.mark.parametrize("card", catalogue.KNOWN, ids=lambda card: card.key)
def test_every_card_is_recognised_by_its_own_name(card: catalogue.Card) -> None:
    found = catalogue.recognise(card.name)
    assert found is not None
    assert found.multiprocessors == card.multiprocessors and found.reserved == card.reserved
    assert found.capability == card.capability
    assert catalogue.words(found.name) == catalogue.words(card.name)


@pytest.mark.parametrize(
    ("name", "multiprocessors", "reserved"),
    [
        ("NVIDIA RTX A4000", 48, 440),
        ("NVIDIA RTX A4000 Laptop GPU", None, None),
        ("NVIDIA RTX A1000", None, None),
        ("NVIDIA RTX A3000", None, None),
        ("NVIDIA A100 80GB PCIe", 108, 768),
        ("NVIDIA A100-PCIE-40GB", 108, 522),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 108, 522),
        ("NVIDIA GeForce RTX 4060 Ti", 34, 330),
        ("NVIDIA GeForce RTX 4070 SUPER", 56, 352),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 66, 400),
        ("NVIDIA GeForce RTX 3080 Ti", 80, 400),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None, None),
        ("NVIDIA GH200 480GB", 132, 610),
        ("NVIDIA GB200", 148, 700),
        ("NVIDIA H100 PCIe", 114, 470),
        ("NVIDIA H100", 132, 470),
        ("NVIDIA L40S", 142, 614),
        ("Quadro RTX 6000", 72, 342),
        ("NVIDIA RTX 6000 Ada Generation", 142, 600),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 188, 635),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 188, 635),
        ("Tesla T4", 40, 450),
        ("NVIDIA", None, None),
        ("", None, None),
    ],
)
def test_names_of_other_chips_are_not_taken_for_it(
    name: str, multiprocessors: int | None, reserved: int | None
) -> None:
    found = catalogue.recognise(name)
    assert (found and found.multiprocessors) == multiprocessors
    assert (found and found.reserved) == (None if reserved is None else reserved * MIB)


def test_an_unknown_card_is_judged_by_its_size() -> None:
    gpu = Gpu(index=0, name="NVIDIA RTX A1000", usable_bytes=8 * 2**30, free_bytes=8 * 2**30)
    assert cards.multiprocessors(gpu) == 20
    assert cards.reserved_bytes(gpu.name, 32 * 2**30) == 450 * MIB
