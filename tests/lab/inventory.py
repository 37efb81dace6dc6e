# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible inventories of a lab, written as YAML by hand: the lab needs nothing but the standard library."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from tests.lab import network
from tests.lab.lab import REPOSITORY, Lab


def ssh_options(lab: Lab, name: str) -> list[str]:
    """Options for ssh to reach the host from this machine, whatever network it is on."""
    options = [
        f"-oUserKnownHostsFile={lab.known_hosts}",
        "-oGlobalKnownHostsFile=/dev/null",
        "-oIdentitiesOnly=yes",
        "-oStrictHostKeyChecking=yes",
        "-oCheckHostIP=no",
        "-oUpdateHostKeys=no",
    ]
    if lab.host(name)["net"] == "bridge":
        # ssh itself stays outside; only this pipe steps into the lab's network.
        connect = REPOSITORY / "tests" / "lab" / "connect.py"
        options.append(f"-oProxyCommand=nsenter --net={network.namespace(lab)} {sys.executable} -IS {connect} %h %p")
    return options


def ssh_command(lab: Lab, name: str) -> list[str]:
    """The ssh command line to the host, without a command to run there."""
    host = lab.host(name)
    return ["ssh", "-i", str(lab.key), "-p", str(host["port"]), *ssh_options(lab, name), f"root@{host['address']}"]


def variables(lab: Lab, name: str) -> dict[str, object]:
    """The connection variables of one host."""
    host = lab.host(name)
    return {
        "ansible_host": host["address"],
        "ansible_port": host["port"],
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": " ".join(f"'{option}'" for option in ssh_options(lab, name)),
        # Short, and of this lab only: two labs use the same addresses.
        "ansible_control_path_dir": str(lab.run_dir / "cp"),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def render(
    lab: Lab,
    names: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    common: Mapping[str, object] | None = None,
) -> str:
    """An inventory of the named hosts, all by default, in the given groups; ``common`` variables are for all."""
    lines = ["---", "all:"]
    if common:
        lines += ["  vars:", *(f"    {key}: {json.dumps(value)}" for key, value in common.items())]
    lines.append("  hosts:")
    for name in names or lab.names():
        lines.append(f"    {name}:")
        # JSON strings are YAML strings.
        lines += [f"      {key}: {json.dumps(value)}" for key, value in variables(lab, name).items()]
    if groups:
        lines.append("  children:")
        for group, members in groups.items():
            lines += [f"    {group}:", "      hosts:", *(f"        {member}: {{}}" for member in members)]
    return "\n".join(lines) + "\n"
