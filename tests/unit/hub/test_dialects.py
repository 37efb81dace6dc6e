# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both dialects: what we read, and that the real clients read the same from our hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._dialects import HUBS, MODELSCOPE_PAGE
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._http import HttpFailure, public_url
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._types import DEFAULT_ENDPOINTS

from .conftest import MODEL, ROOT, SOURCES, Hub, make_model

CLIENTS = {
    "huggingface": "import huggingface_hub as h; h.snapshot_download('%s', local_dir='%s', revision=%r)",
    "modelscope": "import modelscope_hub as m; m.HubApi().download_repo('%s', 'model', local_dir='%s', revision=%r)",
}


def real_client(source: str, hub: Hub, directory: Path, revision: str | None = None, token: str = "") -> Path:
    """Download with the hub's own client, in a process of its own: it reads its settings when it is imported."""
    home = directory.with_name(directory.name + "-home")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "no_proxy": "*",
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MODELSCOPE_ENDPOINT": hub.url,
    }
    if token:
        environment.update(HF_TOKEN=token, MODELSCOPE_API_TOKEN=token)
    program = CLIENTS[source] % (MODEL, directory, revision)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.mark.parametrize("token", ["", "right-token-1234"])
@pytest.mark.parametrize("source", SOURCES)
def test_the_real_client_reads_our_hub(start_hub: Callable[..., Hub], tmp_path: Path, source: str, token: str) -> None:
    original = tmp_path / "root" / MODEL
    make_model(original)
    hub = start_hub(token=token) if token else start_hub()
    directory = real_client(source, hub, tmp_path / "copy", token=token)
    for each in original.rglob("*"):
        if each.is_file():
            assert (directory / each.relative_to(original)).read_bytes() == each.read_bytes()


@pytest.mark.slow
def test_the_real_client_sees_damage_where_the_hub_lies(hub: Hub, tmp_path: Path) -> None:
    """The one of ModelScope verifies; if our hub's hashes were wrong it would say so."""
    hub.fault({"match": "/repo$", "flip": True})
    with pytest.raises(AssertionError, match=r"(?i)integrity|sha-?256|hash"):
        real_client("modelscope", hub, tmp_path / "copy")


@pytest.mark.parametrize("source", SOURCES)
def test_refs(start_hub: Callable[..., Hub], tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    make_model(tmp_path / "root" / MODEL)
    make_model(tmp_path / "root" / (MODEL + "@v1.0"), shards=(10,))
    dialect = HUBS[source](start_hub().url)
    default, tagged = dialect.listing(MODEL, None), dialect.listing(MODEL, "v1.0")
    assert default.requested_revision == {"huggingface": "main", "modelscope": "master"}[source]
    assert tagged.revision != default.revision and len(tagged.files) == len(default.files) - 1
    assert dialect.listing(MODEL, tagged.revision).files == tagged.files


def test_pages_of_hugging_face(start_hub: Callable[..., Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The links to the next page name another host; they are followed at this endpoint."""
    monkeypatch.setenv("no_proxy", "*")
    make_model(tmp_path / "root" / MODEL)
    paged, whole = start_hub(page=2), start_hub()
    pages, one = (HUBS["huggingface"](each.url).listing(MODEL, None).files for each in (paged, whole))
    assert pages == one
    assert len([each for each in paged.report()["log"] if "/tree/" in each["path"]]) > 2


def test_listing_of_modelscope_that_is_cut_off(
    start_hub: Callable[..., Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives at most 3000 entries and does not say that there are more."""
    monkeypatch.setenv("no_proxy", "*")
    make_model(tmp_path / "root" / MODEL)
    for number in range(MODELSCOPE_PAGE + 100):
        path = tmp_path / "root" / MODEL / ("many%d" % (number % 3)) / ("%d.txt" % number)
        path.parent.mkdir(exist_ok=True)
        path.write_text("%d" % number)
    files = HUBS["modelscope"](start_hub().url).listing(MODEL, None).files
    assert len(files) == len([each for each in (tmp_path / "root" / MODEL).rglob("*") if each.is_file()])


def test_the_hub_as_a_program(tmp_path: Path) -> None:
    make_model(tmp_path / "root" / MODEL)
    command = [
        sys.executable,
        "-m",
        "tests.fakes.hub",
        "--root",
        str(tmp_path / "root"),
        "--port-file",
        str(tmp_path / "port"),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = process.stdout.readline()
            assert (tmp_path / "port").read_text() == port
            with urllib.request.urlopen("http://127.0.0.1:%d/api/models/%s" % (int(port), MODEL), timeout=10) as answer:
                assert len(json.load(answer)["sha"]) == 40
        finally:
            process.kill()


def test_default_endpoints() -> None:
    assert DEFAULT_ENDPOINTS["huggingface"] == ["https://huggingface.co", "https://hf-mirror.com"]
    assert DEFAULT_ENDPOINTS["modelscope"] == ["https://modelscope.cn"]


def test_urls_in_messages_hold_no_secret() -> None:
    assert public_url("https://user:secret@host:1/a?signature=secret#x") == "https://host:1/a"
    assert "secret" not in str(HttpFailure("https://user:secret@host/a?b=secret", 500, "answered 500"))
