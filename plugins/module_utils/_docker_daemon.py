# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Docker's daemon.json: settings merged into what the host has, and taken out again. Pure but for reading files."""

from __future__ import annotations

import json
import re
import shlex
import typing as t
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem

Json = dict[str, t.Any]
#: stands in a record for a key that was not there before
MISSING = {"gpufleet": "missing"}
#: how an option of the command line is called in the file, where it is not just the same word
_PLURALS = {
    "registry-mirror": "registry-mirrors",
    "insecure-registry": "insecure-registries",
    "host": "hosts",
    "dns": "dns",
    "label": "labels",
    "log-opt": "log-opts",
    "exec-opt": "exec-opts",
    "storage-opt": "storage-opts",
    "add-runtime": "runtimes",
    "default-ulimit": "default-ulimits",
    "feature": "features",
}


def read(path: Path) -> Json:
    """The file's object; an empty one where there is no file or nothing in it. Raises Problem for broken JSON."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(path, str(error)) from error
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise _broken(path, str(error)) from error
    if not isinstance(found, dict):
        raise _broken(path, "it holds no object")
    return found


def _broken(path: Path, detail: str) -> Problem:
    return Problem(
        "docker.bad_config",
        "settings for Docker are to be merged into %s" % path,
        "That file cannot be read as JSON: %s" % detail,
        "Correct the file; it was left as it is, and so was Docker",
    )


def merged(base: Json, settings: Json) -> Json:
    """``base`` with ``settings`` laid over it: objects are merged, null takes a key away, all else replaces."""
    out = dict(base)
    for key, value in settings.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = merged({}, value) if isinstance(value, dict) else value
    return out


def before(base: Json, settings: Json, kept: Json) -> Json:
    """What ``settings`` replace, so that it can be put back; ``kept`` is an earlier record, which knew it first."""
    record: Json = dict(kept)
    for key in settings:
        if key not in record:
            record[key] = base.get(key, MISSING)
    return record


def restored(current: Json, record: Json) -> Json:
    """``current`` with what ``record`` remembers in the place of what was laid over it."""
    out = dict(current)
    for key, value in record.items():
        if value == MISSING:
            out.pop(key, None)
        else:
            out[key] = value
    return out


def text_of(value: Json) -> str:
    """The file's text; empty for an empty object."""
    return json.dumps(value, indent=4, sort_keys=True) + "\n" if value else ""


def conflicts(command_lines: t.Iterable[str], settings: t.Iterable[str]) -> list[str]:
    """Settings that stand on the daemon's command line too, with which it would not start.

    ``command_lines`` are the ``ExecStart=`` of the unit with all its drop-ins.
    """
    on_line = set()
    for line in command_lines:
        try:
            words = shlex.split(line)
        except ValueError:
            words = line.split()
        for word in words:
            match = re.match(r"--?([a-z][a-z-]*)", word)
            if match:
                on_line.add(_PLURALS.get(match.group(1), match.group(1)))
            elif word == "-H":
                on_line.add("hosts")
    return sorted(on_line & set(settings))


def version_of(text: str) -> tuple[int, int] | None:
    """(major, minor) of ``Docker version 26.1.5+dfsg1, build a72d7cd``."""
    match = re.search(r"\b(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else None
