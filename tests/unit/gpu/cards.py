"""The same two H100 as NVML's stand-in, as nvidia-smi's report and as gpu_facts must say them."""

from __future__ import annotations

from typing import Any

UUIDS = ("GPU-11111111-aaaa-4bbb-8ccc-000000000001", "GPU-22222222-aaaa-4bbb-8ccc-000000000002")
MIB = 1024 * 1024
TOTAL = 81559 * MIB
RESERVED = 468 * MIB
FREE = (81078 * MIB, 80000 * MIB)

NVML: dict[str, Any] = {"driver": "580.95.05", "cuda": 13000, "count": 2}
for _index, _pci in enumerate(("0000:18:00", "0000:2a:00")):
    NVML.update(
        {
            "%d.%s" % (_index, key): value
            for key, value in {
                "uuid": UUIDS[_index],
                "name": "NVIDIA H100 80GB HBM3",
                "pci": _pci,
                "total": TOTAL,
                "reserved": RESERVED,
                "free": FREE[_index],
                "cc": "9.0",
                "mig": 0,
                "ecc": 1,
                "display": 0,
                "nvlinks": 18,
                "compute": "",
                "graphics": "",
            }.items()
        }
    )
NVML.update({"1.compute": "4243:1041235968,4242", "topology.0.1": 50, "p2p.0.1": 0, "nvlink.0.1": 0})

GPUS = [
    {
        "index": index,
        "uuid": UUIDS[index],
        "name": "NVIDIA H100 80GB HBM3",
        "pci_bus_id": ("0000:18:00.0", "0000:2a:00.0")[index],
        "memory_total_bytes": TOTAL,
        "memory_reserved_bytes": RESERVED,
        "memory_free_bytes": FREE[index],
        "compute_capability": "9.0",
        "mig": False,
        "ecc": True,
        "display": False,
        "numa_node": None,
        "processes": [
            [],
            [
                {"pid": 4242, "kind": "compute", "memory_bytes": None, "unit": None},
                {"pid": 4243, "kind": "compute", "memory_bytes": 993 * MIB, "unit": None},
            ],
        ][index],
    }
    for index in (0, 1)
]
LINKS = [{"a": 0, "b": 1, "kind": "nvlink", "p2p": True}]
