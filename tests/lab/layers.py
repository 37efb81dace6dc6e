# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers: the files of a stopped host, frozen, as the ground for other hosts."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from tests.lab import rootfs
from tests.lab.lab import CACHE, NAME, Lab, LabError, read_json, write_json
from tests.lab.tools import run

FOLDER = CACHE / "layers"


def folder(name: str) -> Path:
    """Where layer ``name`` lies; GPUFLEET_LAB_LAYERS moves all layers elsewhere."""
    if not NAME.fullmatch(name):
        raise LabError(f"'{name}' is no layer name: small letters, digits and dashes, a letter first.")
    return Path(os.environ.get("GPUFLEET_LAB_LAYERS") or FOLDER) / name


def describe(name: str) -> dict[str, Any]:
    """The layer's record: release and the folders below it, bottom first. Raises LabError when there is none."""
    record = read_json(folder(name) / "layer.json")
    if not record:
        raise LabError(f"There is no layer '{name}' in {folder(name).parent}.")
    return record


def stack(lab: Lab, name: str) -> tuple[list[str], str]:
    """(folders from the bottom up, release) for a host that starts on layer ``name``."""
    record = describe(name)
    lower = [*record["lower"], str(folder(name) / "files")]
    gone = [path for path in lower if not Path(path).is_dir()]
    if gone:
        raise LabError(f"Layer '{name}' stands on {', '.join(gone)}, which is gone; make the layer again.")
    return lower, record["release"]


def snapshot(lab: Lab, host: str, name: str, *, replace: bool = False) -> None:
    """Freeze the files that the stopped ``host`` has on top of its ground as layer ``name``.

    The host keeps running on them: it stands on the layer from now on. Its identity (keys, machine id, journal) stays
    out of the layer. Raises LabError when the host runs, or the layer exists and ``replace`` is not set.
    """
    record = lab.host(host)
    if lab.status(host)["phase"] != "stopped":
        raise LabError(f"Host '{host}' runs: stop it before a snapshot.")
    target = folder(name)
    if target.exists():
        if not replace:
            raise LabError(f"Layer '{name}' exists already.")
        shutil.rmtree(target)
    upper = lab.host_dir(host) / "upper"
    new = target.with_name(f".{name}.{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        os.rename(upper, new / "files")
    except OSError:  # another file system: cp keeps overlay's own marks, which are attributes and device nodes
        run(["cp", "--archive", str(upper), str(new / "files")])
        shutil.rmtree(upper)
    _strip(new / "files")
    write_json(new / "layer.json", {"schema": 1, "name": name, "release": record["release"], "lower": record["lower"]})
    new.rename(target)
    shutil.rmtree(lab.host_dir(host) / "work", ignore_errors=True)
    record["lower"] = [*record["lower"], str(target / "files")]
    record["layer"] = name
    write_json(lab.host_dir(host) / "host.json", record)


def _strip(files: Path) -> None:
    for path in rootfs.IDENTITY:
        victim = files / path
        if victim.is_dir() and not victim.is_symlink():
            shutil.rmtree(victim)
        else:
            victim.unlink(missing_ok=True)
    for log in (files / "var/log").rglob("*.log"):
        log.unlink()


def remove(name: str) -> None:
    """Delete a layer. Raises LabError when a mounted host stands on it."""
    target = folder(name)
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):  # each host's root is mounted where only it sees it
        with contextlib.suppress(OSError):
            if str(target / "files") in mounts.read_text():
                raise LabError(f"Layer '{name}' is in use.")
    shutil.rmtree(target, ignore_errors=True)
