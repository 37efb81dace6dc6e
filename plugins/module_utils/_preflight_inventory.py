# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Checks that need nothing but the inventory: they run before any host is asked anything."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ._errors import Problem

DEVICES = ("cuda", "cpu")
WAVES = ("canary", "early", "main")
HUBS = ("huggingface", "modelscope")
KEY_LENGTH = 16


def inventory_problems(variables: Mapping[str, Any]) -> list[Problem]:
    """Wrong types and values among the collection's own variables; absent ones are fine, they have defaults.

    Values of secrets never appear in a message.
    """
    problems = []
    for name, check in _CHECKS.items():
        if name in variables:
            problem = check(name, variables[name])
            if problem is not None:
                problems.append(problem)
    return problems


def choose_bind_address(host: str, webui_hosts: Sequence[str], explicit: str | None, default_ipv4: str | None) -> str:
    """Where the engines of `host` listen. Raises inventory.conflict where an Open-WebUI could not reach them."""
    others = [name for name in webui_hosts if name != host]
    asked = "Open-WebUI on %s wants to talk to the engines of %s" % (", ".join(others), host)
    if explicit:
        if others and _is_loopback(explicit):
            raise Problem(
                "inventory.conflict",
                asked,
                "vllm_bind_address is %s, which only %s itself can reach" % (explicit, host),
                "Leave vllm_bind_address out, or set it to a private address of %s" % host,
            )
        return explicit
    if not others:
        return "127.0.0.1"
    if default_ipv4 and ipaddress.ip_address(default_ipv4).is_private and not _is_loopback(default_ipv4):
        return default_ipv4
    raise Problem(
        "inventory.conflict",
        asked,
        "The host's own address is %s, which is not private" % default_ipv4
        if default_ipv4
        else "The host has no default IPv4 address",
        "Set vllm_bind_address to an address of %s that %s can reach" % (host, ", ".join(others)),
    )


def bind_problem(host: str, webui_hosts: Sequence[str], explicit: Any, default_ipv4: str | None) -> Problem | None:
    """Why the engines of `host` cannot listen where an Open-WebUI reaches them, or None."""
    try:
        choose_bind_address(host, webui_hosts, str(explicit or ""), default_ipv4)
    except Problem as problem:
        return problem
    return None


def as_port(value: Any) -> int | None:
    """A TCP port from an integer or, as the command line's -e gives it, from digits; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    return int(value) if isinstance(value, int) and 1 <= value <= 65535 else None


def _bad_type(name: str, wanted: str, found: str, remedy: str) -> Problem:
    return Problem("inventory.bad_type", "%s is to be %s" % (name, wanted), found, remedy)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    for kinds, word in (
        (bool, "a boolean"),
        (int, "a number"),
        (str, "a text"),
        (Mapping, "a mapping"),
        (Sequence, "a list"),
    ):
        if isinstance(value, kinds):
            return word
    return type(value).__name__


def _choice(choices: Sequence[str]) -> Any:
    def check(name: str, value: Any) -> Problem | None:
        if isinstance(value, str) and value in choices:
            return None
        return _bad_type(
            name, "one of %s" % ", ".join(choices), "It is %r" % (_plain(value),), "Set %s: %s" % (name, choices[0])
        )

    return check


def _boolean(name: str, value: Any) -> Problem | None:
    if isinstance(value, bool):
        return None
    return _bad_type(
        name, "true or false", "It is %s" % _kind(value), "On the command line write -e '{\"%s\": true}'" % name
    )


def _port(name: str, value: Any) -> Problem | None:
    if as_port(value) is not None:
        return None
    return _bad_type(name, "a port from 1 to 65535", "It is %r" % (_plain(value),), "Set %s: 8000" % name)


def _address(name: str, value: Any) -> Problem | None:
    try:
        ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return _bad_type(
            name, "an IP address", "It is %r" % (_plain(value),), "Leave %s out, or set a private address" % name
        )
    return None


def _networks(name: str, value: Any) -> Problem | None:
    remedy = "Set %s: [192.0.2.7, 198.51.100.0/24]" % name
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _bad_type(name, "a list of addresses and networks", "It is %s" % _kind(value), remedy)
    for entry in value:
        try:
            ipaddress.ip_network(entry if isinstance(entry, str) else "", strict=False)
        except ValueError:
            return _bad_type(name, "a list of addresses and networks", "It holds %r" % (_plain(entry),), remedy)
    return None


def _keys(name: str, value: Any) -> Problem | None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value.values()):
        return _bad_type(
            name, "a mapping from a name to a key", "It is %s" % _kind(value), "Set %s: {team-a: <key>}" % name
        )
    if len(value) > 1:
        return Problem(
            "inventory.conflict",
            "%s names %d keys: %s" % (name, len(value), ", ".join(sorted(value))),
            "An engine accepts one key",
            "Keep one of them; keys by team need a gateway in front of the engines",
        )
    for owner, key in value.items():
        if len(key) < KEY_LENGTH:
            return Problem(
                "inventory.weak_key",
                "%s.%s is to keep others out" % (name, owner),
                "It has %d characters" % len(key),
                "Use at least %d, or leave %s out: a key is then generated" % (KEY_LENGTH, name),
            )
    return None


def _hubs(name: str, value: Any) -> Problem | None:
    remedy = "Set %s: {huggingface: [<url>], modelscope: [<url>]}" % name
    if not isinstance(value, Mapping) or not set(value) <= set(HUBS):
        return _bad_type(name, "a mapping with the keys %s" % " and ".join(HUBS), "It is %s" % _describe(value), remedy)
    for hub, urls in value.items():
        if isinstance(urls, str) or not isinstance(urls, Sequence):
            return _bad_type("%s.%s" % (name, hub), "a list of URLs", "It is %s" % _kind(urls), remedy)
        for url in urls:
            if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
                return _bad_type("%s.%s" % (name, hub), "a list of URLs", "It holds %r" % (_plain(url),), remedy)
    return None


def _tokens(name: str, value: Any) -> Problem | None:
    if (
        isinstance(value, Mapping)
        and set(value) <= set(HUBS)
        and all(isinstance(token, str) for token in value.values())
    ):
        return None
    return _bad_type(
        name, "a mapping from %s to a token" % " or ".join(HUBS), "It is %s" % _describe(value), "Set %s: {}" % name
    )


def _describe(value: Any) -> str:
    return (
        "a mapping with the keys %s" % ", ".join(sorted(map(str, value)))
        if isinstance(value, Mapping)
        else _kind(value)
    )


def _plain(value: Any) -> Any:
    """Without the tags that Ansible puts on text, so that repr() shows the bare value."""
    return str(value) if isinstance(value, str) else value


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


_CHECKS = {
    "vllm_device": _choice(DEVICES),
    "vllm_wave": _choice(WAVES),
    "vllm_port_base": _port,
    "open_webui_port": _port,
    "vllm_bind_address": _address,
    "vllm_allow_from": _networks,
    "vllm_api_keys": _keys,
    "gpufleet_hub_endpoints": _hubs,
    "gpufleet_hub_tokens": _tokens,
    "gpufleet_allow_untested_os": _boolean,
}
