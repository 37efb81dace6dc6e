"""The module around the probe: what it documents is what it returns, and it never fails for want of a GPU."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from tests.unit.gpu import cards


def documented(root: Path) -> dict[str, Any]:
    source = (root / "plugins/modules/gpu_facts.py").read_text()
    text = source.split('RETURN = r"""')[1].split('"""')[0]
    described: dict[str, Any] = yaml.safe_load(text)["ansible_facts"]["contains"]["gpufleet"]["contains"]
    return described


def test_everything_returned_is_documented(probe: Callable[..., dict[str, Any]], root: Path) -> None:
    described = documented(root)
    answer = probe({**cards.NVML, "0.error.nvmlDeviceGetUUID": 15})
    assert set(answer) == set(described)
    assert set(answer["gpus"][0]) == set(described["gpus"]["contains"])
    assert set(answer["gpus"][0]["processes"][0]) == set(described["gpus"]["contains"]["processes"]["contains"])
    assert set(answer["faults"][0]) == set(described["faults"]["contains"])
    assert set(probe(cards.NVML)["links"][0]) == set(described["links"]["contains"])
    assert set(probe({"error.nvmlInit": 9})["reason"]) == set(described["reason"]["contains"])


def run_module(root: Path, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """The module's result on this machine, where nvidia-smi is one that meets no driver."""
    hidden = tmp_path / "bin"
    hidden.mkdir()
    (hidden / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA-SMI has failed >&2\nexit 9\n")
    (hidden / "nvidia-smi").chmod(0o755)
    environment = dict(os.environ, PATH="%s:%s" % (hidden, os.environ["PATH"]), ANSIBLE_CALLBACK_RESULT_FORMAT="json")
    command = ["ansible", "localhost", "-c", "local", "-i", "localhost,", "-m", "gpufleet.vllm.gpu_facts"]
    command += ["-e", "ansible_python_interpreter=/usr/bin/python3", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    result: dict[str, Any] = json.loads(done.stdout.rpartition(" => ")[2])
    return result


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_host_without_a_gpu_is_no_failure(root: Path, tmp_path: Path, check: list[str]) -> None:
    result = run_module(root, tmp_path, "-a", "backend=nvidia_smi", *check)
    assert result["changed"] is False
    assert result["ansible_facts"]["gpufleet"]["gpus"] == []
    assert result["ansible_facts"]["gpufleet"]["reason"]["code"] == "gpu.driver_not_loaded"
    assert set(result["ansible_facts"]) == {"gpufleet"}


def test_an_unknown_backend_is_refused(root: Path, tmp_path: Path) -> None:
    result = run_module(root, tmp_path, "-a", "backend=rocm")
    assert "value of backend must be one of: auto, nvml, nvidia_smi" in result["msg"]
