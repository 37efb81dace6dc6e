# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from ._errors import Problem

MARKER = ".gpufleet.json"


class Lock:
    """A hashed requirements file: its sum, the number of its packages and the bytes that it takes when installed.

    Comments do not count for the sum, so a lock that only tells more about itself is the same lock.
    """

    def __init__(self, text: str) -> None:
        lines = [line.rstrip() for line in text.splitlines()]
        body = [line for line in lines if line and not line.lstrip().startswith("#")]
        pins = [line for line in body if not line.startswith(" ")]
        loose = [line.split()[0] for line in pins if "==" not in line or not line.endswith("\\")]
        if loose or not pins:
            raise Problem(
                "runtime.bad_lock",
                "The environment is built from a lock that pins a version and a sha256 for each package",
                "these lines have none: %s" % ", ".join(loose[:5]) if loose else "the lock is empty",
                "Make the lock with `uv pip compile --generate-hashes`",
            )
        self.text = text
        self.pins = pins
        self.sha256 = hashlib.sha256("\n".join(body).encode("utf-8")).hexdigest()
        measured = re.search(r"^# installed-bytes: (\d+)$", text, re.M)
        self.installed_bytes = int(measured.group(1)) if measured else 0

    def names(self) -> list[str]:
        """The pins with their markers and without the sums: "torch==2.13.0", one a package."""
        return [pin.rstrip(" \\") for pin in self.pins]


def combined_sum(lock: Lock, additions: Sequence[str]) -> str:
    """Sum of a lock and of what is put into the environment beside it."""
    if not additions:
        return lock.sha256
    return hashlib.sha256("\n".join([lock.sha256, *additions]).encode("utf-8")).hexdigest()


def read_marker(path: str) -> dict[str, Any]:
    """The completion marker of an environment, or an empty dict if it was never completed."""
    try:
        with open(os.path.join(path, MARKER), encoding="utf-8") as stream:
            marker = json.load(stream)
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) and marker.get("schema") == 1 else {}


def write_marker(path: str, marker: Mapping[str, Any]) -> None:
    """Write the marker as a whole; it comes last, after everything it vouches for is on the disk."""
    beside = os.path.join(path, MARKER + ".new")
    with open(beside, "w", encoding="utf-8") as stream:
        json.dump(dict(marker, schema=1), stream, indent=2, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(beside, 0o644)
    os.replace(beside, os.path.join(path, MARKER))


def version_fits(version: str, wanted: str) -> bool:
    """Whether a version like "3.11.2" is in a range like ">=3.11,<3.13"; an empty range takes all.

    Raises ValueError for a range of another form.
    """
    have = _numbers(version)
    for part in filter(None, (piece.strip() for piece in wanted.split(","))):
        match = re.fullmatch(r"(>=|<=|==|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?", part)
        if not match:
            raise ValueError("%r is not a version range such as '>=3.11,<3.13'" % wanted)
        sign, bound = match.group(1), _numbers(match.group(2))
        cut = have[: len(bound)] if sign in ("==", "<=", ">") else have
        answers = {">=": cut >= bound, "<=": cut <= bound, "==": cut == bound, ">": cut > bound, "<": cut < bound}
        if not answers[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def choose_interpreter(found: Sequence[Mapping[str, Any]], wanted: str, request: str, path: str) -> dict[str, Any]:
    """The interpreter to build on: the newest CPython in the range, or the requested one if it is.

    `found` is the answer of `_host.pythons.interpreters`; `request` is a path or empty; `path` names the environment.
    Raises Problem runtime.python_unsuitable.
    """
    candidates = [item for item in found if not request or item["path"] == request]
    for item in candidates:
        if item["implementation"] == "cpython" and version_fits(item["version"], wanted):
            return dict(item)
    seen = ", ".join("%s is %s %s" % (i["path"], i["implementation"], i["version"]) for i in candidates)
    raise Problem(
        "runtime.python_unsuitable",
        "The environment %s needs a CPython %s%s" % (path, wanted or "3", " at %s" % request if request else ""),
        seen or ("no interpreter is there" if request else "the host has no Python interpreter in the usual places"),
        "Install a suitable Python beside the system's (Debian 12 brings 3.11) and name its path, "
        "or run this on a host of another release",
    )


def tree_bytes(path: str) -> int:
    """Bytes of the files below a path; files that vanish meanwhile count nothing."""
    total, waiting = 0, [path]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_size
                    except OSError:
                        continue
        except OSError:
            continue
    return total


def users(path: str) -> list[str]:
    """Processes that run from an environment, as "name (pid 12)"; root sees all of them."""
    inside, found = path.rstrip("/") + "/", []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        texts = []
        # A program that went away, or one of another user for whoever is not root, has nothing to say.
        with contextlib.suppress(OSError):
            for name in ("comm", "cmdline", "maps"):
                with open("/proc/%s/%s" % (pid, name), encoding="utf-8", errors="replace") as stream:
                    texts.append(stream.read())
        words = texts[1].split("\0")[:2] if len(texts) > 1 else []
        # Its program lies there or is a script from there, or it has loaded a library from there.
        if any(word.startswith(inside) for word in words) or (len(texts) > 2 and " " + inside in texts[2]):
            found.append("%s (pid %s)" % (texts[0].strip(), pid))
    return found


def require_unused(path: str) -> None:
    """Raise Problem runtime.in_use if a process runs from the environment at `path`."""
    running = users(path)
    if running:
        raise Problem(
            "runtime.in_use",
            "The environment %s is to be replaced by that of another lock" % path,
            "it is in use by %s" % ", ".join(running[:5]),
            "Stop what runs from it (systemctl stop), then start again; the run starts it anew",
        )


def require_space(path: str, needed: int) -> None:
    """Raise Problem host.disk if the file system that will hold `path` has less than `needed` bytes free."""
    parent = os.path.abspath(path)
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise Problem(
            "host.disk",
            "The environment %s needs %.1f GB" % (path, needed / 1e9),
            "%s has %.1f GB free" % (parent, free / 1e9),
            "Free some space there, or set another path",
        )


def write_metadata_alias(site_packages: str, name: str, version: str, provider: str) -> None:
    """Make `importlib.metadata` answer for `name` although the distribution `provider` brings its code.

    Only metadata is written, as an installed distribution has it, so that tools can list and remove it.
    """
    folder = "%s-%s.dist-info" % (re.sub(r"[-_.]+", "_", name), version)
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: stands for %s\n"
        % (name, version, provider),
        "INSTALLER": "gpufleet\n",
    }
    record = "".join("%s/%s,,\n" % (folder, file) for file in list(files) + ["RECORD"])
    os.makedirs(os.path.join(site_packages, folder), exist_ok=True)
    for file, text in dict(files, RECORD=record).items():
        with open(os.path.join(site_packages, folder, file), "w", encoding="utf-8") as stream:
            stream.write(text)


def distributions(site_packages: str) -> list[str]:
    """What is installed, as "name-version", sorted."""
    try:
        return sorted(name[: -len(".dist-info")] for name in os.listdir(site_packages) if name.endswith(".dist-info"))
    except OSError:
        return []


def remove_tree(path: str) -> None:
    """Remove an environment in a way that a kill cannot leave half of it under its name with a marker."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, MARKER))
    if os.path.exists(path):
        shutil.rmtree(path)
