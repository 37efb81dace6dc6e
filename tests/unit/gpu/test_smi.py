"""nvidia-smi's way in, on its XML report and its failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import probe

from tests.unit.gpu import cards

XML = Path(__file__).with_name("xml").joinpath("two_h100.xml").read_text()
COMPUTE = "--query-gpu=uuid,compute_cap --format=csv,noheader"
TOPOLOGY = (
    "\x1b[4m\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\x1b[0m\nGPU0\t X \tNV18\t0-47\t0\nGPU1\tNV18\t X \t0-47\t0\n"
)
PEERS = "\tGPU0\tGPU1\nGPU0\tX\tOK\nGPU1\tOK\tX\n\nLegend:\n  X = Self\n  OK = Status Ok\n"
GOOD = {
    "-q -x": (0, XML, ""),
    COMPUTE: (0, "".join("%s, 9.0\n" % uuid for uuid in cards.UUIDS), ""),
    "topo -m": (0, TOPOLOGY, ""),
    "topo -p2p r": (0, PEERS, ""),
}


def read(smi: Any, answers: dict[str, tuple[int, str, str]], machine: str = "/nowhere") -> dict[str, Any]:
    answer: dict[str, Any] = probe(smi(answers), "nvidia_smi", machine)
    return answer


def test_both_ways_in_say_the_same(smi: Any) -> None:
    answer = read(smi, GOOD)
    assert answer["gpus"] == cards.GPUS
    assert answer["links"] == cards.LINKS
    assert (answer["backend"], answer["driver_version"], answer["cuda_version"]) == ("nvidia_smi", "580.95.05", "13.0")
    assert (answer["reason"], answer["faults"]) == (None, [])


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "gpu.driver_not_loaded"),
        (18, "Failed to initialize NVML: Driver/library version mismatch", "gpu.driver_mismatch"),
        (255, "Failed to initialize NVML: Driver/library version mismatch", "gpu.driver_mismatch"),
        (4, "Failed to initialize NVML: Insufficient Permissions", "gpu.no_permission"),
        (10, "kernel detected an interrupt issue", "gpu.irq"),
        (15, "Unable to determine the device handle for GPU0000:18:00.0: GPU is lost.", "gpu.lost"),
        (124, "", "gpu.timeout"),
        (255, "something new", "gpu.unknown"),
    ],
)
def test_a_failure_is_a_reason(smi: Any, status: int, words: str, code: str) -> None:
    answer = read(smi, {"-q -x": (status, "", words)})
    assert (answer["gpus"], answer["reason"]["code"]) == ([], code)
    assert answer["reason"]["remedy"]


def test_a_report_cut_short_is_a_reason(smi: Any) -> None:
    assert read(smi, {"-q -x": (0, XML[:700], "")})["reason"]["code"] == "gpu.unknown"


def test_a_lost_card_is_left_out(smi: Any) -> None:
    head, second = XML.split('<gpu id="00000000:18:00.0">')[0], XML.split('<gpu id="00000000:2A:00.0">')[1]
    lost = '<gpu id="00000000:18:00.0"><uuid>N/A</uuid></gpu><gpu id="00000000:2A:00.0">'
    answer = read(smi, {**GOOD, "-q -x": (0, head + lost + second, "")})
    assert answer["gpus"] == cards.GPUS[1:]
    assert answer["links"] == []
    assert [(fault["index"], fault["code"]) for fault in answer["faults"]] == [(0, "gpu.lost")]


@pytest.mark.parametrize(
    ("word", "peer", "link"),
    [
        ("PHB", "CNS", {"a": 0, "b": 1, "kind": "phb", "p2p": False}),
        ("SYS", "NS", {"a": 0, "b": 1, "kind": "sys", "p2p": False}),
    ],
)
def test_cards_without_a_bridge(smi: Any, word: str, peer: str, link: dict[str, Any]) -> None:
    answers = {"topo -m": (0, TOPOLOGY.replace("NV18", word), ""), "topo -p2p r": (0, PEERS.replace("OK", peer), "")}
    assert read(smi, {**GOOD, **answers})["links"] == [link]


def _machine(tmp_path: Path, card: bool) -> str:
    """A /sys and /proc with, or without, an H100 that nobody drives."""
    folder = tmp_path / "sys/bus/pci/devices/0000:18:00.0"
    folder.mkdir(parents=True)
    values = {"vendor": "0x10de" if card else "0x8086", "class": "0x030200", "device": "0x2330", "numa_node": "1"}
    for name, value in values.items():
        (folder / name).write_text(value + "\n")
    return str(tmp_path)


def test_a_card_without_a_driver(smi: Any, tmp_path: Path) -> None:
    answer = read(smi, {"-q -x": (127, "", "timeout: failed to run command")}, _machine(tmp_path, card=True))
    assert answer["reason"]["code"] == "gpu.no_driver"
    assert answer["pci_devices"] == [
        {"pci_bus_id": "0000:18:00.0", "device_id": "2330", "card": "H100 80GB", "numa_node": 1}
    ]


def test_no_card_at_all(smi: Any, tmp_path: Path) -> None:
    answer = read(smi, {"-q -x": (127, "", "")}, _machine(tmp_path, card=False))
    assert answer["reason"]["code"] == "gpu.no_device"
    assert answer["pci_devices"] == []
    assert "vllm_device: cpu" in answer["reason"]["remedy"]


def test_the_numa_node_comes_from_the_kernel(smi: Any, tmp_path: Path) -> None:
    answer = read(smi, GOOD, _machine(tmp_path, card=True))
    assert [gpu["numa_node"] for gpu in answer["gpus"]] == [1, None]


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/system-vllm.slice/vllm@coder.service\n", "vllm@coder.service"),
        ("0::/system.slice/vllm@coder.service/payload\n", "vllm@coder.service"),
        ("0::/system.slice/ollama.service\n", None),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
    ],
)
def test_an_engine_of_ours_is_known_by_its_unit(smi: Any, tmp_path: Path, cgroup: str, unit: str | None) -> None:
    (tmp_path / "proc/4243").mkdir(parents=True)
    (tmp_path / "proc/4243/cgroup").write_text(cgroup)
    processes = read(smi, GOOD, str(tmp_path))["gpus"][1]["processes"]
    assert [(process["pid"], process["unit"]) for process in processes] == [(4242, None), (4243, unit)]


def test_the_loaded_module_tells_its_version(smi: Any, tmp_path: Path) -> None:
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build\n"
    (tmp_path / "proc/driver/nvidia/version").write_text(text)
    answer = read(smi, {"-q -x": (18, "", "Driver/library version mismatch")}, str(tmp_path))
    assert (answer["driver_version"], answer["reason"]["code"]) == ("575.57.08", "gpu.driver_mismatch")


def test_the_planner_takes_the_cards_as_they_are() -> None:
    planner = pytest.importorskip("ansible_collections.gpufleet.vllm.plugins.module_utils._planner.request")
    config = {"architectures": ["Qwen3ForCausalLM"], "hidden_size": 64}
    request = {
        "vllm_version": "0.32.0",
        "gpus": cards.GPUS,
        "deployments": [{"name": "a", "model": {"config": config}}],
    }
    parsed = planner.parse_request(request)
    assert [gpu.uuid for gpu in parsed.gpus] == list(cards.UUIDS)
    assert [gpu.usable_bytes for gpu in parsed.gpus] == [cards.TOTAL - cards.RESERVED] * 2
