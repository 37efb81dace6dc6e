# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host already has is taken from there, verified, and stays as it was."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._adopt import folders_of, is_pointer
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub._wish import Wish

from .conftest import MODEL, SOURCES, Hub, assert_whole, fetch, make_model, run_module, size_of
from .test_dialects import real_client

Maker = Callable[..., Wish]
WEIGHTS = "model-00000.safetensors"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def plain(folder: Path, original: Path) -> None:
    """A folder with the files under their names, such as rsync leaves."""
    shutil.copytree(original, folder)


def lfs_clone(folder: Path, original: Path, fetched: bool = True) -> None:
    """What git-lfs makes of it: pointers in the work tree where the content was not checked out, objects by hash."""
    shutil.copytree(original, folder)
    for path in folder.glob("*.safetensors"):
        digest, size = sha256(path), path.stat().st_size
        target = folder / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
        target.parent.mkdir(parents=True)
        if fetched:
            path.rename(target)
        path.write_text(POINTER % (digest, size))


def hub_cache(folder: Path, original: Path) -> None:
    """models--org--name with blobs, and a snapshot of links to them."""
    top = folder / "hub" / ("models--" + MODEL.replace("/", "--"))
    (top / "refs").mkdir(parents=True)
    (top / "refs" / "main").write_text("0" * 40)
    for path in original.rglob("*"):
        if path.is_file():
            blob = top / "blobs" / sha256(path)
            blob.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, blob)
            link = top / "snapshots" / ("0" * 40) / path.relative_to(original)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))


def modelscope_cache(folder: Path, original: Path) -> None:
    shutil.copytree(original, folder / "hub" / "models" / MODEL)


LAYOUTS = {"plain": plain, "lfs": lfs_clone, "hf cache": hub_cache, "ms cache": modelscope_cache}


def state_of(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything about the files that an adoption must leave alone; another link changes only the ctime."""
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_on_the_host_is_adopted(hub: Hub, wish: Maker, tmp_path: Path, layout: str, source: str) -> None:
    original, place = hub.root / MODEL, tmp_path / "place"
    LAYOUTS[layout](place, original)
    before = state_of(place)
    outcome = fetch(wish(hub, source=source, adopt=[str(place)]))
    assert_whole(outcome.path, original)
    assert (outcome.bytes_downloaded, hub.report()["sent_bytes"]) == (0, 0)
    assert state_of(place) == before
    assert [(each["kind"], each["how"]) for each in outcome.origins] == [("adopt", "link")], outcome.origins
    linked = (Path(outcome.path) / WEIGHTS).stat()
    assert linked.st_nlink == 2, "stored once"


@pytest.mark.parametrize("source", SOURCES)
def test_what_the_real_client_left_is_adopted(hub: Hub, wish: Maker, tmp_path: Path, source: str) -> None:
    real_client(source, hub, tmp_path / "copy")
    hub.fault()
    outcome = fetch(wish(hub, source=source, adopt=[str(tmp_path / "copy")]))
    assert_whole(outcome.path, hub.root / MODEL)
    assert hub.report()["sent_bytes"] == 0


def test_a_file_that_is_swapped_before_it_is_linked_is_copied(
    hub: Hub, wish: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may write to what lies there now, although it is right at this moment: it must not become the store's."""
    original, place, link = hub.root / MODEL, tmp_path / "place", os.link
    plain(place, original)

    def swap(source: str, target: str) -> None:
        if source.startswith(str(place)) and source.endswith(WEIGHTS):
            other = Path(source + ".other")
            shutil.copy(source, other)
            other.chmod(0o666)
            os.replace(other, source)
        link(source, target)

    monkeypatch.setattr(os, "link", swap)
    outcome = fetch(wish(hub, adopt=[str(place)]))
    assert_whole(outcome.path, original)
    taken = (Path(outcome.path) / WEIGHTS).stat()
    assert (taken.st_nlink, taken.st_mode & 0o777) == (1, 0o644)


def test_a_clone_without_the_large_files_gives_what_it_has(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    place = tmp_path / "clone"
    lfs_clone(place, hub.root / MODEL, fetched=False)
    assert is_pointer(str(place / WEIGHTS)) and not is_pointer(str(hub.root / MODEL / WEIGHTS))
    outcome = fetch(wish(hub, adopt=[str(place)]))
    assert_whole(outcome.path, hub.root / MODEL)
    weights = sum(each.stat().st_size for each in (hub.root / MODEL).glob("*.safetensors"))
    assert outcome.bytes_downloaded == weights
    assert any("2 git-lfs pointers" in each for each in outcome.actions), outcome.actions


@pytest.mark.parametrize("damage", ["changed", "truncated", "folder", "gone", "loop"])
def test_a_file_that_is_not_right_is_fetched_and_stays(hub: Hub, wish: Maker, tmp_path: Path, damage: str) -> None:
    place = tmp_path / "place"
    plain(place, hub.root / MODEL)
    path = place / WEIGHTS
    size = path.stat().st_size
    if damage == "changed":
        data = bytearray(path.read_bytes())
        data[1000] ^= 1
        path.write_bytes(data)
    elif damage == "truncated":
        os.truncate(path, size - 1)
    else:
        path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "loop":
        path.symlink_to(path)
    before = state_of(place)
    outcome = fetch(wish(hub, adopt=[str(place)]))
    assert_whole(outcome.path, hub.root / MODEL)
    assert outcome.bytes_downloaded == size == hub.report()["sent_bytes"]
    assert state_of(place) == before


@pytest.mark.parametrize("unsafe", ["writable by others", "not for all to read", "of another user"])
def test_a_file_that_others_could_change_is_copied(hub: Hub, wish: Maker, tmp_path: Path, unsafe: str) -> None:
    place = tmp_path / "place"
    plain(place, hub.root / MODEL)
    path = place / WEIGHTS
    if unsafe == "of another user":
        if os.geteuid():
            pytest.skip("to give a file away needs root")
        os.chown(path, 65534, 65534)
    else:
        path.chmod(0o664 if "writable" in unsafe else 0o600)
    before = state_of(place)
    outcome = fetch(wish(hub, adopt=[str(place)]))
    copied = (Path(outcome.path) / WEIGHTS).stat()
    assert (copied.st_nlink, copied.st_mode & 0o777, copied.st_uid) == (1, 0o644, os.geteuid())
    assert {each["how"]: each["files"] for each in outcome.origins} == {"copy": 1, "link": 5}
    assert state_of(place) == before


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("mounting needs root")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_from_another_file_system_it_is_copied(hub: Hub, wish: Maker, other_disk: Path) -> None:
    plain(other_disk / "place", hub.root / MODEL)
    outcome = fetch(wish(hub, adopt=[str(other_disk / "place")]))
    assert_whole(outcome.path, hub.root / MODEL)
    assert [each["how"] for each in outcome.origins] == ["copy"] and outcome.bytes_downloaded == 0


def test_check_mode_says_how_much_comes_from_where(hub: Hub, tmp_path: Path) -> None:
    place = tmp_path / "place"
    plain(place, hub.root / MODEL)
    (place / WEIGHTS).unlink()
    size = (hub.root / MODEL / WEIGHTS).stat().st_size
    arguments = {
        "id": MODEL,
        "source": "huggingface",
        "endpoints": {"huggingface": hub.url},
        "store": str(tmp_path / "store"),
        "adopt": [str(place)],
    }
    foreseen = run_module("model_snapshot", arguments, check=True).answer
    rest = size_of(hub.root / MODEL) - size
    assert [(each["kind"], each["from"], each["how"], each["bytes"]) for each in foreseen["origins"]] == [
        ("adopt", str(place), "link", rest),
        ("fetch", hub.url, "fetch", size),
    ]
    assert foreseen["bytes_to_download"] == size
    assert WEIGHTS in foreseen["diff"]["after"] and WEIGHTS not in foreseen["diff"]["before"]
    assert not (tmp_path / "store").exists() and hub.report()["sent_bytes"] == 0
    done = run_module("model_snapshot", arguments).answer
    assert (done["origins"], done["bytes_downloaded"]) == (foreseen["origins"], size)


@pytest.mark.parametrize(
    "below",
    [
        "",
        "acme/small",
        "small",
        "hub/models--acme--small",
        "models--acme--small",
        "models/acme/small",
        "hub/acme/small",
    ],
)
def test_where_a_place_is_searched(tmp_path: Path, below: str) -> None:
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    assert str(tmp_path / below) in folders_of(str(tmp_path), MODEL)


def test_dots_of_a_name_as_modelscope_writes_them(tmp_path: Path) -> None:
    (tmp_path / "hub" / "models" / "acme" / "Small-0___5B").mkdir(parents=True)
    assert len(folders_of(str(tmp_path), "acme/Small-0.5B")) == 2


def test_a_place_that_is_not_there_is_no_error(hub: Hub, wish: Maker) -> None:
    assert_whole(fetch(wish(hub, adopt=["/nowhere/at/all", "~nobody-here/x"])).path, hub.root / MODEL)


# -- shared between snapshots


def second_revision(hub: Hub) -> tuple[Path, Path]:
    """Another ref of the model: one file differs, another one has a new name."""
    first, second = hub.root / MODEL, hub.root / (MODEL + "@next")
    shutil.copytree(first, second)
    (second / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"], "version": 2}')
    (second / "generation_config.json").rename(second / "renamed.json")
    return first, second


@pytest.mark.parametrize("source", SOURCES)
def test_files_that_two_revisions_share_are_stored_once(hub: Hub, wish: Maker, source: str) -> None:
    first, second = second_revision(hub)
    old = fetch(wish(hub, source=source))
    hub.fault()
    new = fetch(wish(hub, source=source, revision="next"))
    assert_whole(old.path, first)
    assert_whole(new.path, second)
    assert new.bytes_downloaded == (second / "config.json").stat().st_size
    shared = [path for path in Path(new.path).rglob("*") if path.is_file() and path.stat().st_nlink == 2]
    assert len(shared) == 5, shared
    assert {each["kind"] for each in new.origins} == {"link", "fetch"}


def test_models_share_too_and_removal_leaves_the_others(hub: Hub, wish: Maker) -> None:
    shutil.copytree(hub.root / MODEL, hub.root / "acme" / "copy")
    one = fetch(wish(hub))
    hub.fault()
    other = fetch(wish(hub, model_id="acme/copy"))
    assert other.bytes_downloaded == 0
    arguments = {"id": MODEL, "state": "absent", "store": str(Path(one.path).parents[2])}
    assert run_module("model_snapshot", arguments).answer["changed"]
    assert not Path(one.path).exists()
    assert_whole(other.path, hub.root / "acme" / "copy")


def test_damage_of_a_shared_file_is_repaired_everywhere(hub: Hub, wish: Maker) -> None:
    first, second = second_revision(hub)
    old, new = fetch(wish(hub)), fetch(wish(hub, revision="next"))
    size = (first / WEIGHTS).stat().st_size
    with (Path(old.path) / WEIGHTS).open("r+b") as handle:
        handle.seek(77)
        handle.write(b"damage")
    assert (Path(new.path) / WEIGHTS).read_bytes() != (second / WEIGHTS).read_bytes()
    hub.fault()
    repaired = fetch(wish(hub, revision=old.revision, verify="checksum"))
    assert repaired.bytes_downloaded == size == hub.report()["sent_bytes"], "only what is bad came"
    assert_whole(old.path, first)
    assert_whole(new.path, second)
    assert (Path(old.path) / WEIGHTS).stat().st_ino == (Path(new.path) / WEIGHTS).stat().st_ino
    assert any(new.path in each for each in repaired.actions), repaired.actions
    assert not fetch(wish(hub, revision=new.revision, verify="checksum")).changed


def test_damage_is_not_passed_on(hub: Hub, wish: Maker) -> None:
    """A damaged file of one snapshot is no source for another one."""
    second_revision(hub)
    old = fetch(wish(hub))
    with (Path(old.path) / WEIGHTS).open("r+b") as handle:
        handle.write(b"damage")
    new = fetch(wish(hub, revision="next"))
    assert_whole(new.path, hub.root / (MODEL + "@next"))


# -- exported and imported


def test_exported_and_imported_without_a_network(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    first = fetch(wish(hub))
    hub.stop()
    exported = fetch(wish("file://%s" % Path(first.path).parents[2], store=str(tmp_path / "bundle")))
    assert exported.revision == first.revision and exported.bytes_downloaded == 0
    shutil.copytree(tmp_path / "bundle", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "bundle")
    imported = fetch(wish("file://%s" % (tmp_path / "elsewhere"), store=str(tmp_path / "far")))
    assert_whole(imported.path, hub.root / MODEL)
    again = fetch(wish("file://%s" % (tmp_path / "elsewhere"), store=str(tmp_path / "far"), revision=first.revision))
    assert not again.changed


def test_a_damaged_export_publishes_nothing(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    from .test_faults import refused

    first = fetch(wish(hub, store=str(tmp_path / "bundle")))
    with (Path(first.path) / WEIGHTS).open("r+b") as handle:
        handle.write(b"damage")
    problem = refused(wish("file://%s" % (tmp_path / "bundle")), "model.damaged")
    assert WEIGHTS in problem.found
    hub.fault()
    mended = fetch(wish("file://%s" % (tmp_path / "bundle"), hub))
    assert_whole(mended.path, hub.root / MODEL)
    assert mended.bytes_downloaded == (hub.root / MODEL / WEIGHTS).stat().st_size


def test_model_info_reads_an_export(hub: Hub, wish: Maker, tmp_path: Path) -> None:
    first = fetch(wish(hub, store=str(tmp_path / "bundle")))
    endpoints = {"huggingface": "file://%s" % (tmp_path / "bundle")}
    answer = run_module(
        "model_info", {"id": MODEL, "source": "huggingface", "endpoints": endpoints, "read_tensors": False}
    ).answer["model"]
    assert answer["revision"] == first.revision and answer["config"]["model_type"] == "qwen3"


@pytest.mark.parametrize(
    ("url", "code"), [("file://other/dir", "hub.bad_endpoint"), ("file:///nowhere", "model.not_found")]
)
def test_folders_that_are_none(wish: Maker, url: str, code: str) -> None:
    from .test_faults import refused

    refused(wish(url), code)


def test_the_maker_of_models_is_repeatable(tmp_path: Path) -> None:
    make_model(tmp_path / "a" / "x")
    make_model(tmp_path / "b" / "x")
    assert sha256(tmp_path / "a" / "x" / WEIGHTS) == sha256(tmp_path / "b" / "x" / WEIGHTS)
