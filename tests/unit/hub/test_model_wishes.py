# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks ask the role model_store for."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.filter.model_wishes import model_wishes

from .conftest import MODEL, Hub, assert_whole, play

SPECS = [
    {"name": "a", "model": {"id": "x/y", "source": "modelscope", "revision": "1" * 40, "path": "/m"}},
    {"name": "b", "model": {"id": "x/y", "source": "modelscope", "revision": "1" * 40, "path": "/m"}},
    {"name": "c", "model": {"source": "path", "path": "/srv/model"}},
    {"name": "d"},
]


def test_the_source_that_was_found_comes_first_and_the_others_stand_in() -> None:
    both = ["huggingface", "modelscope"]
    deployments = [{"name": name, "model": {"source": both}} for name in "ab"]
    deployments.append({"name": "c", "model": {"source": ["path"]}})
    wishes = model_wishes(SPECS, deployments)
    assert [each["source"] for each in wishes] == [["modelscope", "huggingface"], ["path"]]
    assert wishes[0]["revision"] == "1" * 40


def test_a_deployment_that_names_one_source_gets_no_other() -> None:
    assert model_wishes(SPECS[:1], [{"name": "a", "model": {"source": ["modelscope"]}}])[0]["source"] == ["modelscope"]


def test_the_role_takes_a_lost_file_from_the_other_source(hub: Hub, tmp_path: Path) -> None:
    """As the playbooks ask: a commit of the first source, which has lost the content since."""
    hub.fault({"match": "^GET /api/v1/models/.*/repo$", "empty": True})
    commit = hub.server.models.tree(MODEL, "master").commit
    wish = {"id": MODEL, "source": ["modelscope", "huggingface"], "revision": commit}
    book = tmp_path / "role.yml"
    book.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.include_role: {name: gpufleet.vllm.model_store}\n"
    )
    endpoints = {"modelscope": hub.url, "huggingface": hub.url}
    text = play(
        str(book.with_suffix("")), tmp_path, {"model_store_snapshots": [wish], "gpufleet_hub_endpoints": endpoints}
    )
    assert "failed=0" in text, text
    assert_whole(tmp_path / "store" / MODEL / commit, hub.root / MODEL)
