# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from typing import Any, Callable

from .._errors import Problem
from ._store import make_dirs


class Lock:
    """One writer per snapshot, on this host and on every host that shares the store.

    On this host the kernel holds the lock, and frees it when the process dies, however it dies. Between hosts a network
    file system may pass that lock on or not (``nolock``, ``local_lock``), so the holder also keeps a marker of its own
    next to the lock fresh. A marker of this host is worth nothing to who has the kernel's lock; one of another host
    counts until it has stood still for ``STALE_SECONDS`` by the clock of the one who waits.
    """

    BEAT_SECONDS = 3.0
    STALE_SECONDS = 20.0

    def __init__(self, path: str) -> None:
        self._path = path
        self._marker = path[: -len(".lock")] + ".owner"
        self._handle: int | None = None
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._lost = False
        self._beating: threading.Thread | None = None
        # What stood in another host's marker, and when that was seen to change last.
        self._seen: tuple[str, float] = ("", 0.0)

    def acquire(self, timeout: float, waiting: Callable[[], None]) -> bool:
        """Wait at most ``timeout`` seconds; call ``waiting`` once if there is a wait. True: somebody else was here."""
        self._open()
        end = time.monotonic() + timeout
        waited = False
        while True:
            if self._try():
                return waited
            if not waited:
                waiting()
                waited = True
            if time.monotonic() >= end:
                self.release()
                raise Problem(
                    "model.locked",
                    "the lock %s" % self._path,
                    "%s has held it for more than %d seconds" % (self._holder(), timeout),
                    "Wait for that run to end, or look for it on that host; when its process is gone the lock is free",
                )
            time.sleep(0.2)

    def check(self) -> None:
        """Raise Problem if another host has taken the lock over: this one stood still for too long."""
        if self._beating and (self._lost or self._read().get("token") != self._token):
            raise Problem(
                "model.locked",
                "the lock %s" % self._path,
                "%s has taken it over, because this run stood still" % self._holder(),
                "Run again: it waits for the other run, or finds what that one has published",
            )

    def must_hold(self, surely: bool) -> None:
        """As ``check``; without ``surely`` by what the last look at the marker said, which costs nothing."""
        if surely or self._lost:
            self.check()

    def release(self) -> None:
        if self._beating:
            self._ended.set()
            self._beating.join()
            self._beating = None
            if self._read().get("token") == self._token:
                with contextlib.suppress(OSError):
                    os.unlink(self._marker)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _try(self) -> bool:
        try:
            fcntl.flock(self._handle or 0, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        if not self._is_the_file():
            # Its holder removed it with the whole store: a lock on a removed file protects nothing.
            self._open()
            return False
        if self._mark():
            return True
        fcntl.flock(self._handle or 0, fcntl.LOCK_UN)
        return False

    def _mark(self) -> bool:
        """Put the marker there. False while another host's is fresh."""
        owner = self._read()
        if owner and owner.get("host") != host_identity() and not self._stands_still(owner):
            return False
        if owner and not self._take_away(owner):
            return False
        try:
            handle = os.open(self._marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return False
        os.close(handle)
        self._beat(0)
        self._ended.clear()
        self._beating = threading.Thread(target=self._keep_beating, daemon=True)
        self._beating.start()
        return True

    def _take_away(self, owner: dict[str, Any]) -> bool:
        """Remove a dead owner's marker, and none that came meanwhile: of several who try one rename succeeds."""
        aside = "%s.%s" % (self._marker, self._token)
        try:
            os.rename(self._marker, aside)
        except FileNotFoundError:
            return True
        if _load(aside).get("token") != owner.get("token"):
            with contextlib.suppress(OSError):
                os.link(aside, self._marker)
        os.unlink(aside)
        return not os.path.exists(self._marker)

    def _stands_still(self, owner: dict[str, Any]) -> bool:
        state, now = json.dumps(owner, sort_keys=True), time.monotonic()
        if state != self._seen[0]:
            self._seen = (state, now)
        return now - self._seen[1] >= self.STALE_SECONDS

    def _keep_beating(self) -> None:
        beats = 0
        while not self._ended.wait(self.BEAT_SECONDS):
            beats += 1
            if self._read().get("token") != self._token:
                self._lost = True
                return
            with contextlib.suppress(OSError):
                self._beat(beats)

    def _beat(self, number: int) -> None:
        owner = {"schema": 1, "host": host_identity(), "name": socket.gethostname(), "pid": os.getpid()}
        text = json.dumps({**owner, "token": self._token, "beats": number}) + "\n"
        temporary = "%s.%s" % (self._marker, self._token)
        with open(temporary, "w", encoding="utf-8") as handle:
            handle.write(text)
        os.replace(temporary, self._marker)

    def _read(self) -> dict[str, Any]:
        # Opened anew each time: only that makes a network file system look at the server.
        return _load(self._marker)

    def _holder(self) -> str:
        owner = self._read()
        if not owner:
            return "another run on this host"
        return "another run (process %s on %s)" % (owner.get("pid"), owner.get("name"))

    def _open(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
        make_dirs(os.path.dirname(self._path))
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.fchmod(self._handle, 0o644)

    def _is_the_file(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._handle or 0), os.stat(self._path))
        except FileNotFoundError:
            return False


def _load(path: str) -> dict[str, Any]:
    """What a marker says; a marker whose writer was killed before it wrote belongs to nobody known."""
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except OSError:
        return {}
    try:
        owner = json.loads(text)
    except ValueError:
        owner = None
    return owner if isinstance(owner, dict) else {"token": "", "text": text}


def host_identity() -> str:
    """What tells this running host from every other one that may share the store."""
    known = []
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            with open(path, encoding="ascii") as handle:
                known.append(handle.read().strip())
        except OSError:
            known.append("")
    return "%s %s %s" % (socket.gethostname(), known[0], known[1])
