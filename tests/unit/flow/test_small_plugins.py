"""The lookup for secrets and the small filters of the flow."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError, AnsibleLookupError
from ansible_collections.gpufleet.vllm.plugins.filter.chat_backends import chat_backends
from ansible_collections.gpufleet.vllm.plugins.filter.keyed_digest import keyed_digest
from ansible_collections.gpufleet.vllm.plugins.filter.rollout_waves import rollout_waves
from ansible_collections.gpufleet.vllm.plugins.lookup.secret import read_or_create


def secret(folder: Path, name: str = "api_key", placeholder: str | None = None) -> str:
    return read_or_create(folder, name, placeholder)


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "inventory" / ".secrets"
    first = secret(folder)
    assert len(first) == 43
    assert secret(folder) == first
    assert secret(folder, "salt") != first
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "api_key").stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "api_key", "salt"]


def test_check_mode_writes_nothing_and_still_answers(tmp_path: Path) -> None:
    folder = tmp_path / ".secrets"
    assert secret(folder, placeholder="later") == "later"
    assert not folder.exists()


def test_a_secret_that_the_owner_wrote_is_used(tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("mine\n")
    assert secret(tmp_path) == "mine"


def test_an_emptied_secret_is_an_error_and_not_an_empty_key(tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("\n")
    with pytest.raises(AnsibleLookupError, match="is empty"):
        secret(tmp_path)


@pytest.mark.parametrize("name", ["../up", "A", "", "a/b"])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnsibleLookupError, match="name is lower-case"):
        secret(tmp_path, name)


def _ask(folder: str) -> str:
    return secret(Path(folder))


def test_processes_that_ask_at_once_get_the_same(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        answers = pool.map(_ask, [str(tmp_path / "shared")] * 32)
    assert len(set(answers)) == 1


def test_the_digest_depends_on_secret_and_salt() -> None:
    assert keyed_digest("key", "salt") == keyed_digest("key", "salt")
    assert len({keyed_digest("key", "salt"), keyed_digest("kez", "salt"), keyed_digest("key", "salz")}) == 3
    assert "key" not in keyed_digest("key", "salt")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"a": "canary", "b": "main", "c": "main"}),
        ({"b": "canary"}, {"a": "main", "b": "canary", "c": "main"}),
        ({"a": "main", "c": "early"}, {"a": "main", "b": "canary", "c": "early"}),
        ({"a": "main", "b": "main", "c": "main"}, {"a": "main", "b": "main", "c": "main"}),
    ],
)
def test_waves(chosen: dict, expected: dict) -> None:
    assert rollout_waves(["a", "b", "c"], chosen) == expected


def test_the_page_gets_each_host_s_own_key_and_an_address_it_can_reach() -> None:
    spec = {"state": "present", "host": "10.0.0.11", "port": 8000}
    hosts = [
        {"gpufleet_specs": [spec, {**spec, "state": "stopped", "port": 8001}], "gpufleet_api_key": "one",
         "gpufleet_host": {"default_ipv4": "10.0.0.11"}},
        {"gpufleet_specs": [{**spec, "host": "0.0.0.0"}], "gpufleet_api_key": "two",
         "gpufleet_host": {"default_ipv4": "10.0.0.12"}},
    ]  # fmt: skip
    assert chat_backends(hosts) == [
        {"url": "http://10.0.0.11:8000/v1", "key": "one"},
        {"url": "http://10.0.0.12:8000/v1", "key": "two"},
    ]
    with pytest.raises(AnsibleFilterError, match=r"\[inventory\.limited\] gpu3"):
        chat_backends([*hosts, {"inventory_hostname": "gpu3"}])
