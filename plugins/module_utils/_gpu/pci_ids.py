# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""PCI device ids of NVIDIA cards (vendor 10de), by the short names of the planner's catalogue.

Ids are facts of the public PCI ID database (2026-08). A product with two ids stands twice; where one id stands for two
sizes of memory it is left out, because a plan with the wrong size is worse than none.
"""

from __future__ import annotations

_CARDS = {
    "T4": "1eb8",
    "V100 16GB": "1db1 1db4 1df5",
    "V100 32GB": "1db5 1db6 1df6",
    "A10": "2236",
    "A30": "20b7",
    "A40": "2235",
    "A100 40GB": "20b0 20b1 20f1",
    "A100 80GB": "20b2 20b5",
    "A800 80GB": "20f3 20f5",
    "L4": "27b8",
    "L20": "26b7 26ba",
    "L40": "26b5",
    "L40S": "26b9",
    "H100 80GB": "2330 2331",
    "H100 NVL": "2321",
    "H800": "2322 2324",
    "H20": "2329",
    "H200": "2335",
    "H200 NVL": "233b",
    "B200": "2901",
    "B300": "3182",
    "GB10": "2e12",
    "RTX A4000": "24b0",
    "RTX A5000": "2231",
    "RTX A6000": "2230",
    "RTX 4000 Ada": "27b2",
    "RTX 5000 Ada": "26b2",
    "RTX 6000 Ada": "26b1",
    "RTX PRO 6000": "2bb1 2bb4 2bb5",
    "RTX 3060 12GB": "2503 2504 2487",
    "RTX 3060 Ti": "2486 2489 24c9",
    "RTX 3070": "2484 2488",
    "RTX 3080 10GB": "2206 2216",
    "RTX 3080 Ti": "2208",
    "RTX 3090": "2204",
    "RTX 3090 Ti": "2203",
    "RTX 4060": "2882 2808",
    "RTX 4060 Ti 16GB": "2805",
    "RTX 4070": "2786 2709",
    "RTX 4070 SUPER": "2783",
    "RTX 4070 Ti": "2782",
    "RTX 4070 Ti SUPER": "2705 2689",
    "RTX 4080": "2704",
    "RTX 4080 SUPER": "2702 2703",
    "RTX 4090": "2684",
    "RTX 4090 D": "2685",
    "RTX 5070": "2f04",
    "RTX 5070 Ti": "2c05",
    "RTX 5080": "2c02",
    "RTX 5090": "2b85",
    "RTX 5090 D": "2b87",
}
_BY_ID = {device: name for name, devices in _CARDS.items() for device in devices.split()}


def card_of(device_id: str) -> str | None:
    """The catalogue's name of the card with this PCI device id (four hexadecimal digits), or None."""
    return _BY_ID.get(device_id.lower())
