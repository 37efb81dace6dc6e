# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a lab: start, stop, reach, remove."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab import base, cgroups, layers, network, rootfs
from tests.lab import packages as registries
from tests.lab.lab import REPOSITORY, Lab, LabError, write_json
from tests.lab.tools import ensure_tools, run

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 8192  # a systemd host takes about six; the kernel's default of 128 is used up by nineteen hosts
BOOT_SECONDS = 90


def start(
    lab: Lab,
    names: Sequence[str],
    *,
    release: str = "bookworm",
    net: str = "host",
    layer: str | None = None,
    binds: Sequence[str] = (),
    nspawn_args: Sequence[str] = (),
    packages: bool = False,
) -> None:
    """Boot hosts, all at once, and wait until each says `running` and answers on its ssh port.

    ``packages`` lets hosts on the bridge reach the machine's package registries. ``binds`` are SOURCE:TARGET or
    SOURCE:TARGET:ro. A host that runs already is left alone; a stopped one boots again as it was made. Raises LabError,
    naming the host and the end of its console, when one does not come up.
    """
    ensure_tools()
    lab.create()
    _raise_inotify()
    with lab.lock():
        if not lab.key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", lab.netns, "-f", str(lab.key)])
        new = [name for name in dict.fromkeys(names) if lab.status(name)["phase"] == "stopped"]
        for name in new:
            if name not in lab.names():
                _record(lab, name, release, net, layer, binds, nspawn_args, packages)
        _known_hosts(lab)
        if any(lab.host(name)["net"] == "bridge" for name in new):
            network.ensure(lab)
        if any(lab.host(name).get("packages") for name in new):
            registries.ensure(lab)
        waiting = {name: _launch(lab, name) for name in new}
    for name, descriptor in waiting.items():
        _await_boot(lab, name, descriptor)
    for name in new:
        _await_ssh(lab, name)


def _record(
    lab: Lab,
    name: str,
    release: str,
    net: str,
    layer: str | None,
    binds: Sequence[str],
    nspawn_args: Sequence[str],
    packages: bool,
) -> None:
    """Write down what the host is before anything of it exists."""
    folder = lab.host_dir(name)
    if layer:
        lower, release = layers.stack(lab, layer)
    else:
        lower = [str(base.ensure(release) / "root")]
    others = [lab.host(other) for other in lab.names()]
    index = next(i for i in range(50000) if i not in {other["index"] for other in others})
    port = 22 if net == "bridge" else network.free_port({other["port"] for other in others})
    shutil.rmtree(folder, ignore_errors=True)  # of a start that was killed before its record
    folder.mkdir(parents=True)
    public = rootfs.host_key(folder, name)
    write_json(
        folder / "host.json",
        {
            "schema": 1,
            "name": name,
            "release": release,
            "net": net,
            "index": index,
            "port": port,
            "lower": lower,
            "layer": layer,
            "address": network.address(index) if net == "bridge" else "127.0.0.1",
            "host_key": public,
            "binds": [_bind(text) for text in binds],
            "nspawn_args": list(nspawn_args),
            "packages": packages,
        },
    )


def _bind(text: str) -> tuple[str, str, bool]:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or mode not in ("", "ro", "rw") or not (target or source).startswith("/"):
        raise LabError(f"'{text}' is no bind: SOURCE:/TARGET or SOURCE:/TARGET:ro.")
    path = Path(source).absolute()
    if not path.exists():
        path.mkdir(parents=True)
    return str(path), target or str(path), mode == "ro"


def _known_hosts(lab: Lab) -> None:
    """Every host's key is known beforehand: nobody has to switch ssh's host key checking off."""
    lines = []
    for name in lab.names():
        host = lab.host(name)
        where = host["address"] if host["port"] == 22 else f"[{host['address']}]:{host['port']}"
        lines.append(f"{where} {host['host_key']}\n")
    lab.known_hosts.write_text("".join(lines))


def _launch(lab: Lab, name: str) -> int:
    """Start the host's keeper in the background; answers the pipe on which it reports its first boot."""
    cgroups.remove(cgroups.root() / lab.cgroup_name / name)  # what a killed keeper left
    reading, writing = os.pipe()
    net = network.prefix(lab) if lab.host(name)["net"] == "bridge" else []
    with (lab.host_dir(name) / "console.log").open("ab") as log:
        # It outlives this command: a session of its own, and nobody's child.
        subprocess.run(
            [
                "setsid",
                "--fork",
                *net,
                "unshare",
                "--mount",
                "--propagation",
                "private",
                sys.executable,
                "-m",
                "tests.lab.keeper",
                str(lab.state),
                name,
                str(writing),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            check=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            cwd=REPOSITORY,
        )
    os.close(writing)
    return reading


def _await_boot(lab: Lab, name: str, descriptor: int) -> None:
    with os.fdopen(descriptor) as stream:
        readable, _, _ = select.select([stream], [], [], BOOT_SECONDS)
        answer = stream.read() if readable else f"not booted after {BOOT_SECONDS} s"
    if answer != "running":
        raise LabError(f"Host '{name}' did not come up: {answer or 'its keeper ended'}\n{console_tail(lab, name)}")


def console_tail(lab: Lab, name: str, lines: int = 20) -> str:
    """The end of what the host and its nspawn wrote on the console."""
    path = lab.host_dir(name) / "console.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def _await_ssh(lab: Lab, name: str, seconds: float = 30) -> None:
    """Wait for sshd's greeting at the host's address."""
    deadline = time.monotonic() + seconds
    host = lab.host(name)
    code = (
        "import socket,sys\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])),2)\ns.settimeout(2)\n"
        "sys.exit(0 if s.recv(4)==b'SSH-' else 1)"
    )
    while True:
        if host["net"] == "host":
            if _greets(host["address"], host["port"]):
                return
        elif (
            subprocess.run(
                [*network.prefix(lab), sys.executable, "-ISc", code, host["address"], str(host["port"])],
                check=False,
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
        ):
            return
        if time.monotonic() > deadline:
            raise LabError(f"Host '{name}' runs, but nothing answers ssh at {host['address']}:{host['port']}.")
        time.sleep(0.05)


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 2) as stream:
            stream.settimeout(2)
            return stream.recv(4) == b"SSH-"
    except OSError:
        return False


def stop(lab: Lab, names: Sequence[str], seconds: float = 30) -> None:
    """Power hosts off, all at once, as their power button would; what does not stop in ``seconds`` is killed."""
    leaders = {}
    for name in names:
        lab.host(name)
        leader = lab.status(name)["leader"]
        if leader:
            os.kill(leader, signal.SIGRTMIN + 4)
            leaders[name] = leader
    deadline = time.monotonic() + seconds
    while any(lab.status(name)["phase"] != "stopped" for name in leaders) and time.monotonic() < deadline:
        time.sleep(0.05)
    for name in names:
        cgroups.remove(cgroups.root() / lab.cgroup_name / name)


def leader(lab: Lab, name: str) -> int:
    """The PID, on this machine, of the host's PID 1. Raises LabError when the host does not run."""
    lab.host(name)
    found = lab.status(name)["leader"]
    if not found:
        raise LabError(f"Host '{name}' does not run.")
    return int(found)


def exec_command(lab: Lab, name: str, command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` inside the host as root, without ssh."""
    return [
        "nsenter",
        "--target",
        str(leader(lab, name)),
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--root",
        "--wd",
        "env",
        "-i",
        f"PATH=/usr/local/bin:/usr/bin:/bin:{SBIN_INSIDE}",
        "HOME=/root",
        "LANG=C.UTF-8",
        *command,
    ]


SBIN_INSIDE = "/usr/local/sbin:/usr/sbin:/sbin"


def table(lab: Lab) -> list[dict[str, Any]]:
    """name, release, net, address, port, layer, phase, boots of every host."""
    rows = []
    for name in lab.names():
        host, status = lab.host(name), lab.status(name)
        rows.append(
            {key: host[key] for key in ("name", "release", "net", "address", "port", "layer")}
            | {"phase": status["phase"], "boots": status["boots"]}
        )
    return rows


def _raise_inotify() -> None:
    if int(INOTIFY.read_text()) < INOTIFY_WANTED:
        try:
            INOTIFY.write_text(str(INOTIFY_WANTED))
        except OSError:
            print(
                f"lab: fs.inotify.max_user_instances stays {INOTIFY.read_text().strip()}: more than about nineteen "
                "hosts will not boot",
                file=sys.stderr,
            )
