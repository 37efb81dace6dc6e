"""Whose process it is that holds memory of a card."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu import kernel


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/system-vllm.slice/vllm@qwen3-4b.service\n", "vllm@qwen3-4b.service"),
        ("0::/system.slice/system-vllm.slice/vllm@qwen3-4b.service/worker\n", "vllm@qwen3-4b.service"),
        ("1:name=systemd:/x.slice/vllm@a.service\n0::/\n", "vllm@a.service"),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", None),
        ("0::/system.slice/notvllm@a.service\n", None),
        ("", None),
    ],
)
def test_only_engines_of_ours_have_a_unit(tmp_path: Path, cgroup: str, unit: str | None) -> None:
    folder = tmp_path / "proc" / "4242"
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text(cgroup)
    assert kernel.engine_unit(4242, str(tmp_path)) == unit


def test_a_process_that_is_gone_has_none(tmp_path: Path) -> None:
    assert kernel.engine_unit(4242, str(tmp_path)) is None
