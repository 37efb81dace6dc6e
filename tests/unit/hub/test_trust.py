# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the token, and whose file list hosts in a row go by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub import _sources, _types
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._info import read_model
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._sources import find, hubs_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._wish import Wish

from .conftest import MODEL, Hub, assert_nothing_published, assert_whole, fetch

Maker = Callable[..., Wish]
TOKEN = "hf_secret-token-1234"
WEIGHTS = "model-00000.safetensors"
CONTENT = "^GET /cdn/"


@pytest.fixture(name="defaults")
def default_endpoints(hub: Hub, start_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch) -> list[Hub]:
    """The source's own hub and a mirror, as the endpoints of who names none."""
    hubs = [hub, start_hub()]
    monkeypatch.setitem(_types.DEFAULT_ENDPOINTS, "huggingface", [each.url for each in hubs])
    assert _sources.DEFAULT_ENDPOINTS is _types.DEFAULT_ENDPOINTS
    return hubs


def authorized(hub: Hub) -> list[bool]:
    return [each["authorized"] for each in hub.report()["log"]]


def test_a_default_mirror_never_gets_the_token(defaults: list[Hub], wish: Maker) -> None:
    """Neither for the comparison of lists, nor for files when the hub itself fails, nor from model_info."""
    wanted = wish(tokens={"huggingface": TOKEN})
    wanted.endpoints = {}
    defaults[0].fault({"match": CONTENT, "after": 1, "status": 503})
    assert_whole(fetch(wanted).path, defaults[0].root / MODEL)
    defaults[0].fault({"match": ".", "status": 503})
    read_model(wanted, None, False, False)
    asked = authorized(defaults[1])
    assert asked and not any(asked)
    assert len([each for each in defaults[1].report()["log"] if "/cdn/" in each["path"]]) > 0


def test_the_hub_itself_gets_the_token(defaults: list[Hub], wish: Maker) -> None:
    wanted = wish(tokens={"huggingface": TOKEN})
    wanted.endpoints = {}
    fetch(wanted)
    assert any(authorized(defaults[0]))


def test_a_mirror_that_the_user_names_gets_the_token(hub: Hub, start_hub: Callable[..., Hub], wish: Maker) -> None:
    mirror = start_hub()
    fetch(wish(hub, mirror, tokens={"huggingface": TOKEN}))
    assert any(authorized(hub)) and any(authorized(mirror))


# -- hosts in a row, which go by the list that the play brought along


def in_a_row(wanted: Wish, me: int, folder: Path, source: str) -> Wish:
    """The same wish of host ``me`` of two, none of which serves. The list is from the first endpoint of ``source``."""
    first = hubs_of([source], wanted.endpoints, {}, 5.0)[:1]
    listing = find(first, MODEL, None)[1]
    members = [{"name": "host%d" % number, "address": "127.0.0.1", "port": 1} for number in range(2)]
    known: dict[str, Any] = {
        "source": listing.source,
        "endpoint": listing.endpoint,
        "requested_revision": listing.requested_revision,
        "revision": listing.revision,
        "files": [each.as_dict() for each in listing.files],
    }
    wanted.revision = listing.revision
    wanted.peers = {"run": "abcd1234", "token": "t", "me": me, "roots": 1, "members": members, "listing": known}
    return wanted


@pytest.mark.parametrize("me", [0, 1])
def test_in_a_row_too_two_that_contradict_each_other_are_refused(
    hub: Hub, wish: Maker, start_hub: Callable[..., Hub], tmp_path: Path, me: int
) -> None:
    """The first of the row compares before it fetches; who stands behind it, before it asks the hub after all."""
    mirror = start_hub()
    hub.fault({"match": "/tree/", "other_hash": WEIGHTS})
    wanted = in_a_row(wish(hub, mirror), me, tmp_path, "huggingface")
    with pytest.raises(Problem) as caught:
        fetch(wanted)
    assert caught.value.code == "hub.disagreement"
    assert mirror.url in caught.value.found and WEIGHTS in caught.value.found
    assert_nothing_published(Path(wanted.store))
    assert not [each for each in mirror.report()["log"] if each["path"].startswith("/cdn/")]


def test_in_a_row_a_list_that_two_others_contradict_is_refused(
    hub: Hub, wish: Maker, start_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    """The other hosts of the row go by the same list, so nobody goes by another one."""
    hub.fault({"match": "/tree/", "other_hash": WEIGHTS})
    wanted = in_a_row(wish(hub, start_hub(), start_hub()), 0, tmp_path, "huggingface")
    with pytest.raises(Problem) as caught:
        fetch(wanted)
    assert caught.value.code == "hub.disagreement"
    assert_nothing_published(Path(wanted.store))


def test_in_a_row_too_the_other_source_stands_in(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    """ModelScope has lost a file: it comes from the other source, the commit stays."""
    hub.fault(
        {"match": "/repo\\?.*%s" % WEIGHTS, "empty": True}, {"match": "GET /api/v1/models/.*/repo$", "empty": True}
    )
    wanted = wish(hub, source="modelscope")
    wanted.sources, wanted.endpoints["huggingface"] = ["modelscope", "huggingface"], [hub.url]
    outcome = fetch(in_a_row(wanted, 0, tmp_path, "modelscope"))
    assert outcome.source == "modelscope"
    assert_whole(outcome.path, hub.root / MODEL)
