# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Starts and ends the server for neighbours: a transient unit of systemd, or without systemd a process of its own."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable

from .._errors import Problem
from . import _peer_server
from ._address import is_private
from ._part import Part
from ._peer_client import file_key, piece_bytes, snapshot_key
from ._store import Place
from ._types import FileEntry

Run = Callable[..., "tuple[int, str, str]"]

START_SECONDS = 30.0
# Whatever happens no server outlives this. Seconds.
LIMIT_SECONDS = 24 * 3600
# It reads weights that only root may read while they are under way, and listens. Nothing else.
HARDENING = (
    "DynamicUser=yes",
    "AmbientCapabilities=CAP_DAC_READ_SEARCH",
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "LockPersonality=yes",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "LimitNOFILE=16384",
    "Nice=5",
)

# The option peers of model_snapshot.
PEERS: dict[str, dict[str, object]] = {
    "run": {"type": "str", "required": True},
    "token": {"type": "str", "required": True, "no_log": True},
    "me": {"type": "int", "required": True},
    "roots": {"type": "int", "default": 1},
    "members": {"type": "list", "elements": "dict", "required": True},
    "listing": {"type": "dict", "required": True},
}


def peers_of(given: dict[str, Any] | None, command: Run) -> dict[str, Any] | None:
    """The option, with the folder of this host's own server, which tells whether the play still goes on."""
    return given and {**given, "folder": PeerServer(given["run"], command).folder}


def check_run(run: str) -> None:
    """Refuse what is no name of a run: it becomes part of a unit's name."""
    if not re.match(r"^[a-z0-9]{4,32}$", run):
        raise Problem(
            "model.peer_failed", "run '%s'" % run, "it is no name of a run", "Give 4 to 32 small letters and digits"
        )


def check_address(address: str) -> None:
    """Refuse to serve on an address that others than the neighbours may reach."""
    if not is_private(address):
        raise Problem(
            "model.peer_address",
            "to serve models to neighbours on '%s'" % address,
            "that is no private address",
            "Set gpufleet_peer_address to an address of this host in its private network, or gpufleet_fetch_from: hub",
        )


def served(store: str, snapshots: list[dict[str, Any]]) -> dict[str, Any]:
    """What the server may give away: by key of the snapshot its files, and where they may lie."""
    found: dict[str, Any] = {}
    for each in snapshots:
        place = Place(store, each["id"], each["revision"])
        files = {}
        for item in each["files"]:
            entry = FileEntry(item["path"], item["size"], "0" * 64)
            places = [os.path.join(place.final, entry.path), os.path.join(place.data, entry.path)]
            files[file_key(entry.path)] = {
                "paths": [*places, place.part(entry.path)],
                "size": entry.size,
                "step": max(1, Part(os.devnull, entry).step),
                "piece": piece_bytes(entry.size),
            }
        found[snapshot_key(each["id"], each["revision"])] = {
            "lock": place.lock,
            "progress": os.path.join(place.work, "progress.json"),
            "files": files,
        }
    return found


class PeerServer:
    """The server of one run on this host. With systemd its folder is gone as soon as it has ended, however it ends."""

    def __init__(self, run: str, command: Run) -> None:
        check_run(run)
        self._command = command
        self.managed = os.geteuid() == 0 and os.path.isdir("/run/systemd/system")
        self.name = "gpufleet-peer-" + run
        self.unit = self.name + ".service"
        parent = "/run" if self.managed else os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        self.folder = os.path.join(parent, self.name)

    def ready(self) -> dict[str, Any] | None:
        """Port and PID of the server that runs, or None."""
        try:
            with open(os.path.join(self.folder, "ready.json"), encoding="utf-8") as handle:
                known: dict[str, Any] = json.load(handle)
        except (OSError, ValueError):
            return None
        return known if os.path.exists("/proc/%d" % known["pid"]) else None

    def renew(self) -> bool:
        """Let it go on for another lease. False: it is no more."""
        try:
            os.utime(os.path.join(self.folder, "lease"))
        except OSError:
            return False
        return True

    def start(self, config: dict[str, Any]) -> dict[str, Any]:
        """Start it and return once it listens. Raises Problem."""
        with tempfile.TemporaryDirectory(prefix=self.name + "-") as scratch:
            program, secret = os.path.join(scratch, "program"), os.path.join(scratch, "config")
            _write(program, inspect.getsource(_peer_server))
            _write(secret, json.dumps({**config, "limit_seconds": LIMIT_SECONDS, "remove": not self.managed}))
            said = self._start_unit(program, secret) if self.managed else self._start_process(program, secret)
            end = time.monotonic() + START_SECONDS
            while time.monotonic() < end:
                known = self.ready()
                if known:
                    return known
                if said or (self.managed and not self._active()):
                    break
                time.sleep(0.05)
        self.stop()
        raise Problem(
            "model.peer_failed",
            "a server for neighbours on %s" % config["address"],
            "it did not start%s" % (": " + said if said else ""),
            "See journalctl -u %s, or set gpufleet_fetch_from: hub" % self.unit,
        )

    def _start_unit(self, program: str, secret: str) -> str:
        credentials = "/run/credentials/" + self.unit
        properties = [
            *HARDENING,
            "RuntimeDirectory=" + self.name,
            "RuntimeDirectoryMode=0755",
            "RuntimeMaxSec=%d" % (LIMIT_SECONDS + 60),
            "LoadCredential=program:" + program,
            "LoadCredential=config:" + secret,
        ]
        code, out, err = self._command(
            ["systemd-run", "--collect", "--quiet", "--unit=" + self.unit, "--description=Models for neighbours"]
            + ["--property=" + each for each in properties]
            + [sys.executable, "-IS", credentials + "/program", credentials + "/config", self.folder]
        )
        return "" if code == 0 else (err or out).strip()[-300:] or "systemd-run ended with %d" % code

    def _active(self) -> bool:
        code, out, _err = self._command(["systemctl", "show", "--property=ActiveState", "--value", self.unit])
        return code == 0 and out.strip() in ("active", "activating")

    def _start_process(self, program: str, secret: str) -> str:
        try:
            os.mkdir(self.folder, 0o700)
        except FileExistsError:
            if os.lstat(self.folder).st_uid != os.geteuid():
                return "%s belongs to somebody else" % self.folder
        # It reads both before it says that it is ready, and then they are removed.
        # It outlives the module, and run_command would wait for its end.
        subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable, "-IS", program, secret, self.folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        return ""

    def stop(self) -> bool:
        """End it and return once nothing of it is left. False: there was nothing."""
        known = self.ready()
        if self.managed:
            self._command(["systemctl", "stop", self.unit])
            self._command(["systemctl", "reset-failed", self.unit])
        else:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.folder, "lease"))
        end = time.monotonic() + START_SECONDS
        while known and os.path.exists("/proc/%d" % known["pid"]) and not _is_zombie(known["pid"]):
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        if not self.managed and os.path.isdir(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
        return known is not None


def _is_zombie(pid: int) -> bool:
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as handle:
            return handle.read().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def _write(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
