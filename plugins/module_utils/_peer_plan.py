# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Who fetches which model from whom: decided from what the hosts have and want, without asking anybody."""

from __future__ import annotations

import ipaddress
from typing import Any, Mapping, Sequence

SHARED = ipaddress.ip_network("100.64.0.0/10")
MANIFEST = ".gpufleet.json"


def is_private(address: str) -> bool:
    """Whether neighbours, and only they, may be expected to reach this address."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (known.is_unspecified or known.is_loopback) and (known.is_private or known in SHARED)


def wanted(host: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By path on the host, what it is to have: id, revision, listing, bytes, and whether it has it."""
    found: dict[str, dict[str, Any]] = {}
    ranked = {each["name"]: (each.get("model") or {}).get("source") for each in host.get("gpufleet_deployments") or []}
    markers = (host.get("gpufleet_host") or {}).get("markers") or {}
    models = host.get("gpufleet_models") or {}
    for spec in host.get("gpufleet_specs") or []:
        model = spec.get("model") or {}
        known = models.get(spec["name"]) or {}
        if spec.get("state") == "absent" or not model.get("path") or not known.get("files") or known.get("path"):
            continue
        if not all(each.get("sha256") or each.get("git_sha1") for each in known["files"]):
            continue
        listing = {key: known.get(key) or "" for key in ("source", "endpoint", "requested_revision", "revision")}
        found[model["path"]] = {
            "id": model["id"],
            "revision": model["revision"],
            "source": known.get("source"),
            # The one that was found, and those that stand in where it has lost a file.
            "sources": list(dict.fromkeys([known.get("source"), *(ranked.get(spec["name"]) or [])])),
            "bytes": sum(each["size"] for each in known["files"]),
            "listing": {**listing, "files": known["files"]},
            "held": bool(known.get("in_store")) or bool(markers.get("%s/%s" % (model["path"], MANIFEST))),
        }
    return found


def address_of(host: Mapping[str, Any]) -> str:
    return str(host.get("gpufleet_peer_address") or (host.get("gpufleet_host") or {}).get("default_ipv4") or "")


def alone(hosts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """By name, what is told of hosts that could share with others but have no address for it."""
    told = {}
    wishes = [
        (host, {(each["id"], each["revision"], each["source"]) for each in wanted(host).values()}) for host in hosts
    ]
    for host, own in wishes:
        address = address_of(host)
        if not is_private(address) and any(own & other for each, other in wishes if each is not host):
            told[host["inventory_hostname"]] = [
                "shares with nobody: %s; gpufleet_peer_address names another one"
                % ("its address %s is not private" % address if address else "it has no IPv4 address")
            ]
    return told


def rows(
    hosts: Sequence[Mapping[str, Any]], seed: str = "", outside: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """For each commit that a host lacks and that a neighbour wants or has, the hosts in their order.

    Who has it comes first, in the order of the inventory; where nobody has it, the ``seed`` if it wants it.
    ``outside`` (name, address) is a host that wants nothing itself, and fetches what nobody has.
    """
    by_commit: dict[tuple[str, str, str], dict[str, Any]] = {}
    for host in hosts:
        address = address_of(host)
        for path, each in wanted(host).items():
            key = (each["id"], each["revision"], each["source"])
            row = by_commit.setdefault(key, {**each, "hosts": []})
            member = {"name": host["inventory_hostname"], "address": address, "held": each["held"], "path": path}
            if is_private(address):
                row["hosts"].append(member)
    found = []
    for row in by_commit.values():
        have = [each for each in row["hosts"] if each["held"]]
        lack = [each for each in row["hosts"] if not each["held"]]
        lack.sort(key=lambda each: each["name"] != seed)
        if outside and not have and lack:
            lack.insert(0, {**outside, "held": False, "path": ""})
        if lack and len(have) + len(lack) > 1:
            row.pop("held")
            found.append({**row, "hosts": have + lack, "roots": max(1, len(have)), "held": len(have)})
    return found


def lines(found: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """What a host does, as a person reads it."""
    said = []
    for row in found:
        names = [each["name"] for each in row["hosts"]]
        if name not in names:
            continue
        what = "%s at %s, %d bytes" % (row["id"], row["revision"][:12], row["bytes"])
        place = names.index(name)
        if place < row["held"]:
            said.append("has %s, and serves it" % what)
        elif place < row["roots"]:
            said.append("fetches %s from %s, and serves it" % (what, row["listing"]["endpoint"]))
        else:
            said.append("takes %s from %s, and serves it" % (what, names[place - row["roots"]]))
    return said


def plan(
    hosts: Sequence[Mapping[str, Any]], seed: str = "", outside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The rows, and by host what it serves and what a person reads about it."""
    found = rows(hosts, seed, outside)
    names = list(dict.fromkeys(each["name"] for row in found for each in row["hosts"]))
    by_host = {name: {"serves": servings(found, name), "lines": lines(found, name)} for name in names}
    by_host.update({name: {"serves": {}, "lines": said} for name, said in alone(hosts).items()})
    for row in found:
        # Each host goes by the file list that the hub gave to itself; one that wants nothing has none.
        if not outside:
            row.pop("listing")
    return {"schema": 1, "rows": found, "hosts": by_host}


def jobs(
    found: Sequence[Mapping[str, Any]], host: Mapping[str, Any], ports: Mapping[str, int], run: str
) -> list[dict[str, Any]]:
    """What a host is to fetch: id, revision, source, bytes, and ``peers`` for model_snapshot, without the token."""
    wanted_jobs = []
    name = host["inventory_hostname"]
    own = {(each["id"], each["revision"], each["source"]): each for each in wanted(host).values()}
    for row in found:
        # Who does not serve after all is left out; his place in the row goes to the next one.
        members = [each for each in row["hosts"] if ports.get(each["name"])]
        names = [each["name"] for each in members]
        if name not in names or next(each["held"] for each in members if each["name"] == name):
            continue
        mine = own.get((row["id"], row["revision"], row["source"]), row)
        peers = {
            "run": run,
            "me": names.index(name),
            "roots": max(1, sum(each["held"] for each in members)),
            "members": [
                {"name": each["name"], "address": each["address"], "port": ports[each["name"]]} for each in members
            ],
            "listing": mine["listing"],
        }
        wanted_jobs.append(
            {
                "id": row["id"],
                "revision": row["revision"],
                "source": row["source"],
                "sources": [each for each in mine["sources"] if each != "path"],
                "bytes": row["bytes"],
                "peers": peers,
            }
        )
    return wanted_jobs


def servings(found: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """What a host serves, and to which addresses: snapshots, allow, address. Empty where it takes no part."""
    mine = [row for row in found if name in [each["name"] for each in row["hosts"]]]
    if not mine:
        return {}
    allow = sorted({each["address"] for row in mine for each in row["hosts"]})
    address = next(each["address"] for row in mine for each in row["hosts"] if each["name"] == name)
    snapshots = [
        {
            "id": row["id"],
            "revision": row["revision"],
            "files": [{"path": each["path"], "size": each["size"]} for each in row["listing"]["files"]],
        }
        for row in mine
    ]
    return {"address": address, "allow": allow, "snapshots": snapshots}
