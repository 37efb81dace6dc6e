# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What model_info says of models at hubs and of directories."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._info import read_model, weight_files
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._snapshot import Wish
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._types import FileEntry

from tests.fakes.models import tiny

from .conftest import MODEL, SOURCES, Hub, fetch, run_module

Maker = Callable[..., Wish]


def local() -> Wish:
    return Wish(model_id="", sources=["path"])


@pytest.fixture
def tiny_hub(start_hub: Callable[..., Hub], tmp_path: Path) -> Hub:
    tiny.make(tmp_path / "root" / MODEL)
    return start_hub()


@pytest.mark.parametrize("source", SOURCES)
def test_a_model_at_a_hub(tiny_hub: Hub, wish: Maker, source: str) -> None:
    model = read_model(wish(tiny_hub, source=source), None, read_tensors=True)
    directory = tiny_hub.root / MODEL
    assert (model["id"], model["source"], model["endpoint"]) == (MODEL, source, tiny_hub.url)
    assert len(model["revision"]) == 40 and model["requested_revision"] in ("main", "master")
    assert model["config"] == json.loads((directory / "config.json").read_text())
    assert model["generation_config"]["temperature"] == 0.2
    assert model["weights_bytes"] == (directory / "model.safetensors").stat().st_size
    assert model["total_bytes"] == sum(each.stat().st_size for each in directory.iterdir())
    assert model["tensors"]["model.embed_tokens.weight"] == {"dtype": "BF16", "shape": [320, 128]}
    assert len(model["tensors"]) == 25
    sent = tiny_hub.report()["sent_bytes"]
    assert sent < 100_000 < model["weights_bytes"], "only the head of the weights was read"


def test_a_header_longer_than_the_first_read(start_hub: Callable[..., Hub], tmp_path: Path, wish: Maker) -> None:
    directory = tmp_path / "root" / MODEL
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    header = json.dumps(
        {"layer.%06d" % n: {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [n, n + 1]} for n in range(3000)}
    )
    (directory / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(3000))
    hub = start_hub()
    for noise in ({}, {"match": "/cdn/", "no_range": True}):
        hub.fault(*([noise] if noise else []))
        assert len(read_model(wish(hub), None, read_tensors=True)["tensors"]) == 3000
    assert read_model(wish(hub), None, read_tensors=False)["tensors"] is None
    (directory / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n")
    with pytest.raises(Problem, match=r"^\[model.damaged\].*git-lfs pointer"):
        read_model(wish(hub), None, read_tensors=True)


def test_a_directory(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    tiny.make(directory)
    (directory / ".git").mkdir()
    (directory / ".git" / "HEAD").write_text("x")
    model = read_model(local(), str(directory), read_tensors=True)
    assert (model["id"], model["source"], model["endpoint"], model["path"]) == ("model", "path", None, str(directory))
    assert len(model["tensors"]) == 25 and {each["path"] for each in model["files"]} == {
        each.name for each in directory.iterdir() if each.is_file()
    }
    again = read_model(local(), str(directory), read_tensors=False)
    assert again["revision"] == model["revision"] and again["tensors"] is None
    config = (directory / "config.json").read_text()
    (directory / "config.json").write_text(config.replace("silu", "gelu"))
    assert read_model(local(), str(directory), read_tensors=False)["revision"] != model["revision"]


def test_a_snapshot_of_ours_as_a_directory_keeps_its_commit(tiny_hub: Hub, wish: Maker) -> None:
    outcome = fetch(wish(tiny_hub))
    assert read_model(local(), outcome.path, read_tensors=False)["revision"] == outcome.revision


@pytest.mark.parametrize("path", ["/nowhere/at/all", "relative", None])
def test_directories_that_are_none(path: str | None) -> None:
    with pytest.raises(Problem) as caught:
        read_model(local(), path, read_tensors=False)
    assert caught.value.code == "model.not_found"


def test_no_config(tiny_hub: Hub, wish: Maker, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_hub.root / MODEL, copy)
    (copy / "config.json").write_text("[1]")
    with pytest.raises(Problem, match=r"^\[model.bad_config\]"):
        read_model(local(), str(copy), read_tensors=False)
    (copy / "config.json").unlink()
    (tiny_hub.root / MODEL / "config.json").unlink()
    for wanted, path in ((local(), str(copy)), (wish(tiny_hub), None)):
        with pytest.raises(Problem, match=r"^\[model.no_config\]"):
            read_model(wanted, path, read_tensors=False)


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["a.safetensors", "a.bin"], ["a.safetensors"]),
        (["consolidated.safetensors", "model-1.safetensors"], ["model-1.safetensors"]),
        (["consolidated.safetensors"], ["consolidated.safetensors"]),
        (["original/a.safetensors", "a.bin", "training_args.bin"], ["a.bin"]),
        (["config.json"], []),
    ],
)
def test_what_counts_as_weights(names: list[str], weights: list[str]) -> None:
    assert [each.path for each in weight_files([FileEntry(each, 1) for each in names])] == weights


def test_the_module_itself(tiny_hub: Hub, tmp_path: Path) -> None:
    good = run_module("model_info", {"id": MODEL, "source": "huggingface", "endpoints": {"huggingface": tiny_hub.url}})
    assert (good.code, good.answer["changed"]) == (0, False) and good.answer["model"]["id"] == MODEL
    both = {"huggingface": tiny_hub.url, "modelscope": tiny_hub.url}
    bad = run_module("model_info", {"id": "acme/none", "endpoints": both})
    assert (bad.code, bad.answer["code"]) == (1, "model.not_found")
    assert bad.answer["msg"].count(tiny_hub.url) == 2, "what both sources said is in it"
    assert "id is required" in run_module("model_info", {}).answer["msg"]
