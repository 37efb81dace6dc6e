# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command line; `python3 -m tests.lab --help`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from tests.lab import base, clean, host, inventory, layers, network, service
from tests.lab.lab import Lab, LabError
from tests.lab.tools import ensure_tools


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python3 -m tests.lab", description="Throw-away systemd hosts on this machine.")
    top.add_argument("--state", help="directory of this lab (default: GPUFLEET_LAB_STATE, then .cache/lab/state)")
    commands = top.add_subparsers(dest="command", required=True)

    command = commands.add_parser("base", help="make the base system of a release, once")
    command.add_argument("release", choices=base.RELEASES)

    command = commands.add_parser("start", help="boot hosts and wait until they run")
    command.add_argument("names", nargs="+", metavar="NAME")
    command.add_argument("--release", choices=base.RELEASES, default="bookworm")
    command.add_argument(
        "--net",
        choices=("host", "bridge"),
        default="host",
        help="host: the machine's network and package registries; bridge: a closed network",
    )
    command.add_argument("--packages", action="store_true", help="on the bridge: the machine's package registries too")
    command.add_argument("--layer", help="stand on this layer")
    command.add_argument("--bind", action="append", default=[], metavar="SOURCE:TARGET[:ro]")
    command.add_argument("--nspawn-arg", action="append", default=[], metavar="ARG", help="handed to systemd-nspawn")

    for name, text in (("stop", "power hosts off; their files stay"), ("destroy", "remove hosts, or the whole lab")):
        command = commands.add_parser(name, help=text)
        command.add_argument("names", nargs="*", metavar="NAME")
        command.add_argument("--all", action="store_true")

    command = commands.add_parser("exec", help="run a command inside a host as root, without ssh")
    command.add_argument("name")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="COMMAND")

    command = commands.add_parser("ssh", help="ssh to a host")
    command.add_argument("name")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="COMMAND")

    command = commands.add_parser("net-exec", help="run a command of this machine inside the lab's closed network")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="COMMAND")

    command = commands.add_parser("service", help="run a program of this machine in the background until the lab ends")
    command.add_argument("--net", choices=("host", "bridge"), default="host")
    command.add_argument("name")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="COMMAND")

    command = commands.add_parser("snapshot", help="freeze a stopped host's files as a layer")
    command.add_argument("name")
    command.add_argument("layer")
    command.add_argument("--replace", action="store_true")

    command = commands.add_parser("list", help="the hosts of this lab")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("inventory", help="print an Ansible inventory")
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--group", action="append", default=[], metavar="GROUP=NAME,NAME")
    return top


def _group(text: str) -> tuple[str, list[str]]:
    name, _, members = text.partition("=")
    return name, members.split(",")


def _list(lab: Lab, as_json: bool) -> None:
    rows = host.table(lab)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['name']:20} {row['phase']:9} {row['release']:9} {row['net']:7} {row['address']}:{row['port']}"
            f"{'  layer ' + row['layer'] if row['layer'] else ''}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; answers the exit status."""
    options = parser().parse_args(arguments)
    lab = Lab(options.state)
    command = options.command
    if command == "base":
        print(base.ensure(options.release))
    elif command == "start":
        host.start(
            lab,
            options.names,
            release=options.release,
            net=options.net,
            layer=options.layer,
            binds=options.bind,
            nspawn_args=options.nspawn_arg,
            packages=options.packages,
        )
    elif command == "stop":
        host.stop(lab, lab.names() if options.all else options.names)
    elif command == "destroy":
        if not options.names and not options.all:
            raise LabError("Name the hosts to destroy, or give --all for the whole lab.")
        ensure_tools()
        clean.destroy(lab, [] if options.all else options.names)
    elif command == "exec":
        return subprocess.run(host.exec_command(lab, options.name, options.rest), check=False).returncode
    elif command == "ssh":
        return subprocess.run([*inventory.ssh_command(lab, options.name), *options.rest], check=False).returncode
    elif command == "net-exec":
        with lab.lock():
            lab.create()
            network.ensure(lab)
        os.execvp("nsenter", [*network.prefix(lab), *options.rest])
    elif command == "service":
        service.start(lab, options.name, options.rest, bridge=options.net == "bridge")
    elif command == "snapshot":
        layers.snapshot(lab, options.name, options.layer, replace=options.replace)
    elif command == "list":
        _list(lab, options.json)
    elif command == "inventory":
        print(inventory.render(lab, options.names, dict(_group(text) for text in options.group)), end="")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        sys.exit(1)
