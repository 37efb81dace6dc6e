# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module with the real uv, real wheels and no network."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from .conftest import Host, make_wheel

pytestmark = pytest.mark.slow


def marker(host: Host) -> dict[str, object]:
    return json.loads((host.environment / ".gpufleet.json").read_text())


def test_foretold_built_kept_refused_replaced_and_removed(host: Host) -> None:
    """The life of an environment, each step as check mode told it."""
    first, second = host.lock("tool==1.0", "helper==2.0"), host.lock("tool==1.1")

    foretold, _out = host.module({"lock": first}, "--check")
    assert foretold["changed"] and foretold["actions"] == ["build"]
    assert not host.environment.exists()

    built, _out = host.module({"lock": first, "metadata_aliases": []})
    assert built["changed"] and built["actions"] == ["build"]
    assert host.run("from importlib.metadata import version as v; print(v('tool'), v('helper'))") == "1.0 2.0"
    assert marker(host)["packages"] == 2
    assert built["environment"] == marker(host)
    assert list(host.environment.glob("lib/python3*/site-packages/__pycache__/tool.*.pyc")), "byte-compiled"
    assert not [path for path in host.environment.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]

    kept, _out = host.module({"lock": "# another comment\n" + first})
    assert not kept["changed"] and kept["actions"] == []

    refused, _out = host.module({"lock": second})
    assert refused["code"] == "runtime.environment_differs"
    assert host.run("from importlib.metadata import version as v; print(v('tool'))") == "1.0"

    replaced, _out = host.module({"lock": second, "replace": True})
    assert replaced["actions"] == ["remove environment of another lock", "build"]
    assert host.run("from importlib.metadata import version as v; print(v('tool'))") == "1.1"

    foretold, _out = host.module({"state": "absent"}, "--check", "--diff")
    assert foretold["changed"] and host.environment.exists()
    removed, _out = host.module({"state": "absent"})
    assert removed["changed"] and not host.environment.exists()
    again, _out = host.module({"state": "absent"})
    assert not again["changed"]


def test_everybody_may_read_what_a_secretive_login_built(host: Host) -> None:
    answer = host.plain_module({"lock": host.lock("tool==1.0")}, umask=0o077)
    assert answer.get("changed"), answer
    made = [host.environment.parent, host.environment, *host.environment.rglob("*")]
    closed = [path for path in made if not path.is_symlink() and path.stat().st_mode & 0o004 == 0]
    assert closed == []


def test_nothing_is_replaced_under_what_runs_from_it(host: Host) -> None:
    assert host.module({"lock": host.lock("tool==1.0")})[0]["changed"]
    second = host.lock("tool==1.1")
    program = [str(host.environment / "bin" / "python"), "-c", "input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        refused, _out = host.module({"lock": second, "replace": True})
        running.kill()
    assert refused.get("code") == "runtime.in_use", refused
    assert "(pid %d)" % running.pid in refused["msg"]
    assert host.run("from importlib.metadata import version as v; print(v('tool'))") == "1.0"
    assert host.module({"lock": second, "replace": True})[0]["changed"]


def test_half_an_environment_is_built_anew(host: Host) -> None:
    lock = host.lock("tool==1.0")
    host.environment.mkdir(parents=True)
    (host.environment / "half").write_text("of a file")
    built, _out = host.module({"lock": lock})
    assert built["actions"] == ["remove incomplete environment", "build"]
    assert not (host.environment / "half").exists()
    # An interpreter that went away leaves a marker behind that is worth nothing.
    (host.environment / "bin" / "python").unlink()
    assert host.module({"lock": lock})[0]["changed"]
    assert host.run("import tool") == ""


def test_a_file_with_another_sum_is_not_installed(host: Host) -> None:
    lock = host.lock("tool==1.0")
    make_wheel(host.wheels, "tool", "1.0", code="print('somebody else')")
    answer, _out = host.module({"lock": lock})
    assert answer.get("code") in ("runtime.install_failed", "runtime.package_not_found")
    assert not (host.environment / ".gpufleet.json").exists()


def test_a_missing_file_is_named_and_the_fallback_index_helps(host: Host) -> None:
    lock = host.lock("tool==1.0", "rare==3.0")
    elsewhere = host.folder / "elsewhere" / "rare"
    elsewhere.mkdir(parents=True)
    wheel = next(host.wheels.glob("rare-*"))
    moved = wheel.rename(elsewhere / wheel.name)
    digest = hashlib.sha256(moved.read_bytes()).hexdigest()
    (elsewhere / "index.html").write_text('<a href="%s#sha256=%s">%s</a>' % (moved.name, digest, moved.name))
    (host.folder / "empty").mkdir()
    settings = host.pip_settings(
        "[global]\nindex-url = file://%s\nfind-links = %s\n" % (host.folder / "empty", host.wheels)
    )
    missing, _out = host.module({"lock": lock}, settings=settings)
    assert missing["code"] == "runtime.package_not_found"
    assert "rare" in missing["msg"]
    fallback = "file://%s" % elsewhere.parent
    found, _out = host.module({"lock": lock, "fallback_index_urls": [fallback]}, settings=settings)
    assert found.get("changed"), found
    assert host.run("import rare, tool") == ""


def test_an_unsuitable_python_and_a_missing_uv_have_codes(host: Host) -> None:
    lock = host.lock("tool==1.0")
    answer, _out = host.module({"lock": lock, "requires_python": ">=3.99"})
    assert answer["code"] == "runtime.python_unsuitable"
    assert "/usr/bin/python3" in answer["msg"]
    answer, _out = host.module({"lock": lock, "uv": "/opt/none/uv"})
    assert answer["code"] == "runtime.no_uv"
    answer, _out = host.module({"lock": lock, "requires_python": "three"})
    assert answer["code"] == "inventory.bad_type"
    assert not host.environment.exists()


def test_an_environment_that_does_not_prove_itself_is_not_complete(host: Host) -> None:
    lock = host.lock("tool==1.0")
    code = "raise SystemExit('libnuma.so.1: cannot open shared object file: No such file')"
    broken, _out = host.module({"lock": lock, "checks": [["python", "-c", "import tool"], ["python", "-c", code]]})
    assert broken["code"] == "runtime.broken"
    assert "Install the system package that holds libnuma.so.1" in broken["msg"]
    assert not (host.environment / ".gpufleet.json").exists()
    assert host.module({"lock": lock})[0]["actions"] == ["remove incomplete environment", "build"]


def test_a_second_name_answers(host: Host) -> None:
    alias = {"name": "famous", "provider": "tool", "version": "1.0+cpu"}
    lock = host.lock("tool==1.0")
    assert host.module({"lock": lock, "metadata_aliases": [alias]})[0]["changed"]
    assert host.run("from importlib.metadata import version as v; print(v('famous'))") == "1.0+cpu"
    assert not host.module({"lock": lock, "metadata_aliases": [alias]})[0]["changed"]
    assert host.module({"lock": lock})[0]["code"] == "runtime.environment_differs"


def test_passwords_of_indexes_stay_secret(host: Host) -> None:
    secret = "hush-hush-4711"
    given = {
        "lock": host.lock("tool==1.0"),
        "index_url": "http://me:%s@127.0.0.1:9/simple" % secret,
        "fallback_index_urls": ["http://me:%sx@127.0.0.1:9/simple" % secret],
    }
    answer, printed = host.module(given, "-vvvvv", settings={"UV_HTTP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"})
    assert answer["code"].startswith("runtime.")
    assert secret not in printed
    assert "127.0.0.1:9" in answer["msg"]


def test_a_build_that_another_run_left_going_is_waited_for(host: Host) -> None:
    """The lock is held by a process that outlives its module, as uv does when a run is killed."""
    lock = host.lock("tool==1.0")
    name = "gpufleet-%s.lock" % hashlib.sha256(str(host.environment).encode()).hexdigest()[:16]
    path = Path("/run/lock" if os.path.isdir("/run/lock") else "/tmp", name)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[stream.fileno()])
    progress = host.folder / "progress.json"

    def let_go() -> None:
        while not (progress.exists() and '"wait"' in progress.read_text()):
            time.sleep(0.1)
        holder.kill()

    watcher = threading.Thread(target=let_go, daemon=True)
    watcher.start()
    try:
        answer, _out = host.module({"lock": lock, "progress_file": str(progress)})
        watcher.join(timeout=10)
        assert not watcher.is_alive(), "it did not wait"
        assert answer["changed"]
        assert host.run("import tool") == ""
    finally:
        holder.kill()
        holder.wait()
        path.unlink(missing_ok=True)
