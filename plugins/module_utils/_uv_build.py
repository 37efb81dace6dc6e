# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ._errors import Problem
from ._hub._progress import Progress
from ._python_env import Lock, tree_bytes

POLL_SECONDS = 0.5


@contextmanager
def exclusive(path: str, progress: Progress, patience_seconds: float = 3600) -> Iterator[int]:
    """Hold the build lock of an environment; gives the file descriptor that keeps it.

    Children that inherit the descriptor keep the lock too: what a killed run left running is waited for, not fought.
    Raises Problem runtime.busy when somebody else builds for longer than `patience_seconds`.
    """
    folder = "/run/lock" if os.path.isdir("/run/lock") else tempfile.gettempdir()
    name = "gpufleet-%s.lock" % hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:16]
    # Opened by its owner only: the folder is open to all users.
    descriptor = os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    started = time.monotonic()
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - started > patience_seconds:
                    raise Problem(
                        "runtime.busy",
                        "The environment %s is to be built" % path,
                        "another run has been building it for more than %d s" % patience_seconds,
                        "Wait for it, or end it, then start again",
                    ) from None
            progress.stage("wait", "another run builds this environment")
            time.sleep(POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


class Builder:
    """Runs uv, tells how far it is, and turns its failures into problems.

    `environment` is the whole environment of uv; `scrub` takes what must not be shown out of a text.
    """

    def __init__(
        self, uv: str, environment: Mapping[str, str], progress: Progress, scrub: Callable[[str], str], keep: int
    ) -> None:
        self.uv = uv
        self.environment = dict(environment)
        self.progress = progress
        self.scrub = scrub
        self.keep = keep

    def version(self) -> str:
        """uv's version; Problem runtime.no_uv if it cannot be run."""
        try:
            code, text = self._run([self.uv, "--version"], lambda pid, text: None)
        except OSError as error:
            code, text = 127, str(error)
        match = re.search(r"^uv (\S+)", text, re.M)
        if code or not match:
            raise Problem(
                "runtime.no_uv",
                "Environments are built with uv at %s" % self.uv,
                "it does not run: %s" % (self.scrub(text).strip()[-200:] or "exit status %d" % code),
                "Run the role gpufleet.vllm.uv on this host first",
            )
        return match.group(1)

    def create(self, path: str, interpreter: str) -> str:
        """Make an empty environment; gives its site-packages folder."""
        self.progress.stage("create", "with %s" % interpreter)
        command = [self.uv, "venv", "--quiet", "--no-project", "--python", interpreter, path]
        code, text = self._run(command, lambda pid, text: None)
        places = glob.glob(os.path.join(path, "lib", "python3.*", "site-packages"))
        if code or not places:
            raise self._failed("create %s" % path, text)
        return places[0]

    def install(self, path: str, lock: Lock, fallbacks: Sequence[str]) -> None:
        """Install all of the lock, byte-compiled.

        `fallbacks` are indexes that are asked only if the configured places do not have a locked file.
        Raises Problem runtime.package_not_found or runtime.install_failed.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as stream:
            stream.write(lock.text)
            stream.flush()
            command = [self.uv, "pip", "install", "--python", os.path.join(path, "bin", "python"), "--no-deps"]
            # Nothing is built here, so nothing but the pinned files is ever run or fetched.
            command += ["--require-hashes", "--only-binary", ":all:", "--compile-bytecode", "-r", stream.name]
            code, text = self._install(command, path, lock)
            if code and _not_found(text) and fallbacks:
                known = [word for word in [self.environment.get("UV_INDEX", "")] if word]
                self.environment["UV_INDEX"] = " ".join(known + list(fallbacks))
                code, text = self._install(command, path, lock)
        # uv leaves a lock file that anybody may write.
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(path, ".lock"))
        if code == 0:
            return
        if "does not satisfy Python" in text:
            raise Problem(
                "runtime.python_unsuitable",
                "The environment %s is built from its lock" % path,
                "the host's Python is too old or too new for a package: %s" % self._last(text),
                "Bring the host's Python to its release's newest patch, or name another interpreter",
            )
        if _not_found(text):
            raise Problem(
                "runtime.package_not_found",
                "The environment %s needs exactly the files that its lock names" % path,
                "the configured package indexes do not have them all: %s" % self._last(text),
                "Name an index or a folder that has them (for the CPU build of torch, see the role's torch_index_url "
                "and find_links), or bring your mirror up to date",
            )
        raise self._failed("fill %s" % path, text)

    def prove(self, path: str, command: Sequence[str]) -> None:
        """Run a program of the environment that must succeed before it counts as complete.

        Raises Problem runtime.broken with the last lines that it wrote.
        """
        self.progress.stage("check", " ".join(command)[:80])
        code, text = self._run([os.path.join(path, "bin", command[0]), *command[1:]], lambda pid, text: None)
        if code == 0:
            return
        lacking = re.search(r"(\S+): cannot open shared object file", text)
        raise Problem(
            "runtime.broken",
            "The new environment %s proves itself with `%s`" % (path, " ".join(command)[:200]),
            "exit status %d: %s" % (code, " / ".join(self.scrub(text).strip().splitlines()[-6:])[-800:]),
            "Install the system package that holds %s" % lacking.group(1)
            if lacking
            else "Look at the message; a library or a processor feature that it needs may be missing on this host",
        )

    def _install(self, command: Sequence[str], path: str, lock: Lock) -> tuple[int, str]:
        total = lock.installed_bytes
        self.progress.stage("download", "%d packages" % len(lock.pins), 0, total)
        state = {"done": 0, "stage": "download"}

        def watch(pid: int, text: str) -> None:
            if state["stage"] != "compile" and re.search(r"^Installed \d+ package", text, re.M):
                state["stage"] = "compile"
                self.progress.stage("compile", "byte-compiling %d packages" % len(lock.pins))
            elif state["stage"] == "download" and re.search(r"^Prepared \d+ package", text, re.M):
                state.update(stage="install", done=0)
                self.progress.stage("install", "%d packages" % len(lock.pins), 0, total)
            elif state["stage"] == "download":
                self._advance(state, min(_written_bytes(pid), total or 2**63))
            elif state["stage"] == "install":
                self._advance(state, min(tree_bytes(path), total or 2**63))

        return self._run(command, watch)

    def _advance(self, state: dict[str, Any], done: int) -> None:
        self.progress.add(max(0, done - state["done"]))
        state["done"] = max(state["done"], done)

    def _run(self, command: Sequence[str], watch: Callable[[int, str], None]) -> tuple[int, str]:
        """Exit status and all output of a command, which is watched about twice a second."""
        with tempfile.TemporaryFile() as output:
            # AnsibleModule.run_command cannot tell how far a command is
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                pass_fds=[self.keep] if self.keep >= 0 else [],
            )
            while True:
                try:
                    code = process.wait(timeout=POLL_SECONDS)
                    return code, _read(output)
                except subprocess.TimeoutExpired:
                    watch(process.pid, _read(output))

    def _last(self, text: str) -> str:
        """uv's own explanation on one line, at most 400 characters."""
        lines = [line.strip(" \u00d7\u2570\u2500\u25b6\u2502\u251c\t") for line in self.scrub(text).splitlines()]
        start = next((i for i, line in enumerate(lines) if "rror" in line or "No solution" in line), -3)
        return " ".join(line for line in lines[start:] if line)[:400].rstrip(".")

    def _failed(self, what: str, text: str) -> Problem:
        return Problem(
            "runtime.install_failed",
            "uv was to %s" % what,
            "it said: %s" % (self._last(text) or "nothing"),
            "Check that the package index is reachable from this host (pip's configuration counts, or set index_url), "
            "and start again",
        )


def _read(output: Any) -> str:
    # A read by position leaves the place alone at which the command writes on.
    return os.pread(output.fileno(), 1 << 20, 0).decode("utf-8", "replace")


def _not_found(text: str) -> bool:
    return "No solution found" in text or "was not found in the" in text or "no wheels with a matching" in text


def _written_bytes(pid: int) -> int:
    """Bytes that a process has written so far: while uv unpacks what it downloads, the best sign of how far it is."""
    try:
        with open("/proc/%d/io" % pid, encoding="ascii") as stream:
            return int(stream.read().split("wchar:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        return 0
