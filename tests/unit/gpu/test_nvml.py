"""NVML's way in, against a library that speaks NVML's binary interface."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.unit.gpu import cards

Probe = Callable[..., dict[str, Any]]


def test_two_cards_are_said_in_full(probe: Probe) -> None:
    assert probe(cards.NVML) == {
        "schema": 1,
        "backend": "nvml",
        "driver_version": "580.95.05",
        "cuda_version": "13.0",
        "gpus": cards.GPUS,
        "links": cards.LINKS,
        "faults": [],
        "reason": None,
        "pci_devices": [],
    }


@pytest.mark.parametrize(
    ("nvml_code", "code"),
    [
        (3, "gpu.unknown"),
        (4, "gpu.no_permission"),
        (6, "gpu.no_device"),
        (7, "gpu.unknown"),
        (8, "gpu.no_power"),
        (9, "gpu.driver_not_loaded"),
        (10, "gpu.timeout"),
        (11, "gpu.irq"),
        (13, "gpu.driver_too_old"),
        (14, "gpu.damaged"),
        (15, "gpu.lost"),
        (16, "gpu.reset_required"),
        (17, "gpu.blocked"),
        (18, "gpu.driver_mismatch"),
        (20, "gpu.no_resources"),
        (23, "gpu.no_resources"),
        (25, "gpu.driver_too_old"),
        (999, "gpu.unknown"),
        (4711, "gpu.unknown"),
    ],
)
def test_a_driver_that_cannot_be_used_is_a_reason_with_a_remedy(probe: Probe, nvml_code: int, code: str) -> None:
    answer = probe({"error.nvmlInit": nvml_code})
    assert answer["gpus"] == []
    assert answer["reason"]["code"] == code
    assert answer["reason"]["nvml_code"] == nvml_code
    assert answer["reason"]["message"]
    assert answer["reason"]["remedy"]


def test_a_host_without_the_library_has_no_driver(root: Path, tmp_path: Path) -> None:
    """What pynvml says where it finds no libnvidia-ml.so.1: code 12, which is no failure either."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import nvml\n"
        "try: nvml.read(sys.argv[2])\n"
        "except nvml.NvmlUnavailable as error: print(error.nvml_code)\n"
    )
    command = [sys.executable, "-c", code, str(root / ".cache/collections"), str(tmp_path)]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "12"


def test_the_package_of_the_role_is_used_whichever_python_runs(tmp_path: Path, root: Path) -> None:
    """The role's environment may belong to another interpreter than the one that runs the module."""
    place = tmp_path / "opt/gpufleet/runtimes/gpu-probe-1/lib/python3.99/site-packages"
    place.mkdir(parents=True)
    (place / "pynvml.py").write_text("class NVMLError(Exception): value = 18\ndef nvmlInit(): raise NVMLError('own')\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import nvml\n"
        "try: nvml.read(sys.argv[2])\n"
        "except nvml.NvmlUnavailable as error: print(error.nvml_code, error, sys.argv[2] in ' '.join(sys.path))\n"
    )
    command = [sys.executable, "-c", code, str(root / ".cache/collections"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "18 own False"


@pytest.mark.parametrize(("nvml_code", "code"), [(15, "gpu.lost"), (16, "gpu.reset_required"), (8, "gpu.no_power")])
@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetMigMode"])
def test_one_bad_card_does_not_hide_the_other(probe: Probe, nvml_code: int, code: str, function: str) -> None:
    answer = probe({**cards.NVML, "0.error." + function: nvml_code})
    assert answer["gpus"] == cards.GPUS[1:]
    assert answer["reason"] is None
    assert [(fault["index"], fault["code"]) for fault in answer["faults"]] == [(0, code)]


def test_all_cards_lost_is_the_reason(probe: Probe) -> None:
    answer = probe({**cards.NVML, "error.nvmlDeviceGetUUID": 15})
    assert answer["gpus"] == []
    assert answer["reason"]["code"] == "gpu.lost"


def test_a_driver_without_cards_is_a_reason(probe: Probe) -> None:
    assert probe({**cards.NVML, "count": 0})["reason"]["code"] == "gpu.no_device"


def test_a_driver_before_510_has_no_reserved_memory(probe: Probe) -> None:
    values = {**cards.NVML, "error.nvmlDeviceGetMemoryInfo_v2": 13}
    gpu = probe(values)["gpus"][0]
    assert "memory_reserved_bytes" not in gpu
    assert gpu["memory_total_bytes"] == cards.TOTAL


def test_what_a_card_does_not_know_is_null(probe: Probe) -> None:
    values = {key: value for key, value in cards.NVML.items() if key not in ("0.mig", "0.ecc", "0.nvlinks", "p2p.0.1")}
    answer = probe(values)
    assert (answer["gpus"][0]["mig"], answer["gpus"][0]["ecc"]) == (None, None)
    assert answer["links"] == [{"a": 0, "b": 1, "kind": "sys", "p2p": None}]
    assert answer["faults"] == []


@pytest.mark.parametrize(("level", "kind"), [(10, "pix"), (20, "pxb"), (30, "phb"), (40, "node"), (50, "sys")])
def test_cards_without_a_bridge_are_joined_by_pci(probe: Probe, level: int, kind: str) -> None:
    answer = probe({**cards.NVML, "nvlink.0.1": 5, "p2p.0.1": 1, "topology.0.1": level})
    assert answer["links"] == [{"a": 0, "b": 1, "kind": kind, "p2p": False}]


def test_a_lost_card_between_the_links_keeps_the_cards(probe: Probe) -> None:
    answer = probe({**cards.NVML, "error.nvmlDeviceGetNvLinkState": 15})
    assert answer["gpus"] == cards.GPUS
    assert [(fault["index"], fault["code"]) for fault in answer["faults"]] == [(None, "gpu.lost")]
