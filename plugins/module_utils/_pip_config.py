# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

# pip's option and the variable by which uv takes the same thing; lists have the separator that uv expects.
_SINGLE = {"index-url": "UV_DEFAULT_INDEX", "timeout": "UV_HTTP_TIMEOUT", "cert": "SSL_CERT_FILE"}
_LISTS = {
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def read(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """pip's configuration of this host as option -> values, read from its files and variables without pip itself.

    Later files win over earlier ones and variables over files, as in pip. Only the options are answered that say where
    packages come from. A file that cannot be parsed counts as empty, since pip would have refused to run with it.
    """
    found = {}  # type: dict[str, list[str]]
    for path in _files(environment):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update((key.replace("_", "-"), value.split()) for key, value in parser.items(section))
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            found[name[4:].lower().replace("_", "-")] = value.split()
    if "default-timeout" in found:  # pip's other spelling
        found.setdefault("timeout", found["default-timeout"])
    known = set(_SINGLE) | set(_LISTS) | {"proxy", "no-index"}
    return {key: values for key, values in found.items() if key in known and values}


def _files(environment: Mapping[str, str]) -> list[str]:
    """pip's configuration files, the weakest first."""
    only = environment.get("PIP_CONFIG_FILE", "")
    if only == os.devnull:
        return []
    home = environment.get("HOME") or os.path.expanduser("~")
    folders = (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    paths = [os.path.join(folder, "pip", "pip.conf") for folder in reversed(folders)] + ["/etc/pip.conf"]
    paths.append(os.path.join(home, ".pip", "pip.conf"))
    paths.append(os.path.join(environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "pip", "pip.conf"))
    return paths + ([only] if only else [])


def uv_environment(
    configuration: Mapping[str, Sequence[str]],
    index_url: str = "",
    extra_index_urls: Sequence[str] = (),
    find_links: Sequence[str] = (),
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variables that make uv look where pip would look. Explicit options win over pip's configuration.

    With `index_url` pip's own indexes are left out altogether, because a mirror stands for all of them; what
    `inherited` (the process's environment) already says to uv itself is kept.
    """
    options = {key: list(values) for key, values in configuration.items()}
    if index_url:
        options["index-url"] = [index_url]
        for key in ("extra-index-url", "no-index"):
            options.pop(key, None)
    options["extra-index-url"] = options.get("extra-index-url", []) + list(extra_index_urls)
    options["find-links"] = options.get("find-links", []) + list(find_links)
    # pip only warns about a folder that is not there, uv stops.
    for key in ("extra-index-url", "find-links"):
        options[key] = [place for place in dict.fromkeys(options[key]) if _exists(place)]
    result = {}  # type: dict[str, str]
    for key, variable in _SINGLE.items():
        if options.get(key):
            result[variable] = options[key][-1]
    for key, (variable, separator) in _LISTS.items():
        if options.get(key):
            result[variable] = separator.join(options[key])
    if options.get("no-index", ["0"])[-1].lower() in ("1", "true", "yes", "on"):
        result["UV_NO_INDEX"] = "1"
    if options.get("proxy"):
        result.update((name, options["proxy"][-1]) for name in _PROXIES)
    # What the host already tells uv itself counts more than what it tells pip, and less than what was asked for here.
    kept = inherited or {}
    for variable, explicit, separator in (
        ("UV_DEFAULT_INDEX", [index_url] if index_url else [], " "),
        ("UV_INDEX", list(extra_index_urls), " "),
        ("UV_FIND_LINKS", list(find_links), ","),
        ("UV_INSECURE_HOST", [], " "),
        ("UV_HTTP_TIMEOUT", [], " "),
    ):
        if kept.get(variable):
            merged = explicit if variable == "UV_DEFAULT_INDEX" and explicit else [kept[variable]] + explicit
            result[variable] = separator.join(merged)
    # pip asks every index and takes the best file. The sums in the lock decide, so nothing foreign can slip in.
    result["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return result


def _exists(place: str) -> bool:
    """False for a local folder that is missing; an address is not asked."""
    parts = urlsplit(place)
    if parts.scheme in ("", "file"):
        return os.path.exists(unquote(parts.path))
    return True


def passwords(places: str | Iterable[str]) -> set[str]:
    """Passwords inside addresses (texts may hold several of them); they must not reach any output."""
    found = set()  # type: set[str]
    for value in [places] if isinstance(places, str) else places:
        for word in value.replace(",", " ").split():
            try:
                secret = urlsplit(word).password
            except ValueError:
                continue
            if secret:
                found.update((secret, unquote(secret)))
    return found


def scrub(text: str, secrets: Iterable[str]) -> str:
    """A text without the given secrets and without the user part of any address in it."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(r"://[^/@\s]+@", "://***@", text)
