# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The schema of one deployment in the inventory: known keys, types, harmless coercion ("8000" is 8000)."""

from __future__ import annotations

import posixpath
import re
from typing import Any, Callable, Mapping

from ..errors import InventoryError
from ..values import kind, shown

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w./-]{0,127}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)+([.a-z0-9+-]*)")
# Each would share a folder below /etc, /run, /var/cache or /var/lib/gpufleet with something else of ours.
RESERVED_NAMES = ("instances", "models", "open-webui", "uv")
STATES = ("present", "stopped", "absent", "ignore")
DEVICES = ("cuda", "cpu")
SOURCES = ("modelscope", "huggingface", "path")
PROVIDERS = ("venv",)
DEFAULT_SOURCES = ("modelscope", "huggingface")


def bad_type(path: str, wanted: str, value: Any) -> InventoryError:
    return InventoryError(
        "inventory.bad_type",
        "%s must be %s" % (path, wanted),
        "It is %s" % (kind(value) if value is None else "%s: %s" % (kind(value), shown(value))),
        "Correct it in the inventory",
    )


def copied(value: Any) -> Any:
    """A deep copy of a tree of builtins."""
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [copied(entry) for entry in value]
    return value


def _integer(value: Any, path: str, minimum: int, maximum: int) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise bad_type(path, "an integer from %d to %d" % (minimum, maximum), value)
    return value


def port(value: Any, path: str) -> int:
    return _integer(value, path, 1, 65535)


def _count(value: Any, path: str) -> int:
    return _integer(value, path, 1, 2**31)


def _seconds(value: Any, path: str) -> int:
    return _integer(value, path, 1, 86400)


def _share(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise bad_type(path, "the part of each GPU, a number above 0 and at most 1", value)
    return float(value)


def _index(value: Any, path: str) -> int:
    return _integer(value, path, 0, 4096)


def _text(value: Any, path: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str) or not value or "\n" in value:
        raise bad_type(path, "a string of one line", value)
    return value


def _pattern(pattern: re.Pattern[str], wanted: str) -> Callable[[Any, str], str]:
    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise bad_type(path, wanted, value)
        return value

    return check


def _choice(choices: tuple[str, ...]) -> Callable[[Any, str], str]:
    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in choices:
            raise bad_type(path, "one of %s" % ", ".join(choices), value)
        return value

    return check


def _version(value: Any, path: str) -> str:
    if isinstance(value, float):
        raise bad_type(path, "a version in quotes, such as '0.32.0'", value)
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise bad_type(path, "a version such as 0.32.0", value)
    return value


def _sources(value: Any, path: str) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise bad_type(path, "one or more of %s" % ", ".join(SOURCES), value)
    out = [_choice(SOURCES)(item, path) for item in items]
    if "path" in out and len(out) > 1:
        raise bad_type(path, "'path' alone, or hubs alone", value)
    return out


def _list_of(check: Callable[[Any, str], Any]) -> Callable[[Any, str], list[Any]]:
    def read(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise bad_type(path, "a list with at least one entry", value)
        out = [check(entry, "%s[%d]" % (path, index)) for index, entry in enumerate(value)]
        if len(set(out)) != len(out):
            raise bad_type(path, "a list without repetition", value)
        return out

    return read


def _folder(value: Any, path: str) -> str:
    text = _text(value, path)
    if not text.startswith("/") or posixpath.normpath(text) in ("/", "//"):
        raise bad_type(path, "an absolute path of a folder on the host", value)
    return posixpath.normpath(text)


def _env(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise bad_type(path, "a mapping of variables to strings", value)
    out = {}
    for name, entry in value.items():
        where = "%s.%s" % (path, name)
        if not _ENV_NAME.fullmatch(name):
            raise bad_type(where, "named like an environment variable", name)
        if isinstance(entry, bool):
            raise bad_type(where, "a string; write '1' or '0' in quotes", entry)
        if isinstance(entry, (int, float)):
            entry = str(entry)
        if not isinstance(entry, str) or "\n" in entry or "\0" in entry:
            raise bad_type(where, "a string of one line", entry)
        out[name] = entry
    return out


def _arguments(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise bad_type(path, "a mapping of engine arguments", value)
    out: dict[str, Any] = copied(dict(value))
    return out


def _object(keys: Mapping[str, Callable[[Any, str], Any]]) -> Callable[[Any, str], dict[str, Any]]:
    def read(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise bad_type(path, "a mapping", value)
        out = {}
        for key, entry in value.items():
            if key not in keys:
                raise InventoryError(
                    "inventory.unknown_key",
                    "%s takes the keys %s" % (path, ", ".join(keys)),
                    "It has the key '%s'" % key,
                    "Remove or correct it",
                )
            if entry is not None:  # null means the default, as if the key were absent
                out[key] = keys[key](entry, "%s.%s" % (path, key))
        return out

    return read


def _name(value: Any, path: str) -> str:
    name = _NAME(value, path)
    if name in RESERVED_NAMES:
        raise bad_type(
            path, "another name than %s, which the collection's own folders have" % ", ".join(RESERVED_NAMES), value
        )
    return name


def _served_name(value: Any, path: str) -> str:
    text = _text(value, path)
    if text.startswith(("/", "~", "./", "../")):
        raise bad_type(path, "the name that clients ask for, no place on a disk", value)
    return text


_NAME = _pattern(NAME, "a name of 1 to 63 lower-case letters, digits, '.' and '-', not starting with '.' or '-'")
_MODEL = _object(
    {
        "source": _sources,
        "id": _pattern(_MODEL_ID, "an id such as Qwen/Qwen3-4B"),
        "revision": _pattern(_REVISION, "a commit, tag or branch"),
        "path": _folder,
    }
)
_DEPLOYMENT = _object(
    {
        "name": _name,
        "state": _choice(STATES),
        "model": _MODEL,
        "served_name": _served_name,
        "port": port,
        "device": _choice(DEVICES),
        "workload": _object({"max_model_len": _count, "concurrency": _count}),
        "gpus": _object({"count": _count, "uuids": _list_of(_text), "indices": _list_of(_index), "share": _share}),
        "runtime": _object({"provider": _choice(PROVIDERS), "version": _version}),
        "engine_args": _arguments,
        "env": _env,
        "start_timeout_seconds": _seconds,
    }
)


def deployment(raw: Any, path: str) -> dict[str, Any]:
    """One checked entry of a list of deployments, without defaults. Raises InventoryError."""
    entry = _DEPLOYMENT(raw, path)
    if "name" not in entry:
        raise InventoryError(
            "inventory.missing_key", "%s needs a name" % path, "It has no key 'name'", "Add name: <lower-case name>"
        )
    return entry


def filled_model(name: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """``model`` with source, id, revision and path present; revision is null where the hub's newest is meant."""
    source = list(model.get("source") or (("path",) if "path" in model and "id" not in model else DEFAULT_SOURCES))
    local = source == ["path"]
    wanted = "path" if local else "id"
    if wanted not in model:
        raise InventoryError(
            "inventory.missing_key",
            "The model of deployment '%s' comes from %s" % (name, ", ".join(source)),
            "It has no key '%s'" % wanted,
            "Add model.path: <absolute folder>" if local else "Add model.id: <organisation>/<name>",
        )
    if not local and "path" in model:
        raise InventoryError(
            "inventory.conflict",
            "The model of deployment '%s' comes from %s" % (name, ", ".join(source)),
            "It also has path %s" % model["path"],
            "Set source: path, or remove path",
        )
    path = model.get("path")
    return {
        "source": source,
        "id": model.get("id") or "local/" + posixpath.basename(str(path)),
        "revision": model.get("revision"),
        "path": path,
    }
