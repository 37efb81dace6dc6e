# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process behind one host: mounts its root where nobody else sees it, runs nspawn, and boots it again on `reboot`.

Started by host.start() inside an own mount namespace (and the lab's network namespace for a bridge host), so that the
overlay and the cgroup mount end with the last process of the host, however that ended.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab import cgroups, machine, rootfs
from tests.lab.lab import Lab, LabError, start_time, write_json
from tests.lab.tools import SBIN, run

REBOOT = 133  # nspawn's exit code for "the system inside asked for a reboot" when it keeps the unit


class Keeper:
    """One host, from mount to power-off."""

    def __init__(self, lab: Lab, name: str, ready_fd: int) -> None:
        self.lab = lab
        self.folder = lab.host_dir(name)
        self.record = lab.host(name)
        self.root = self.folder / "root"
        self.ready_fd: int | None = ready_fd
        self.boots = 0
        self.child: subprocess.Popen[bytes] | None = None

    def say(self, phase: str, leader: int | None = None, **more: Any) -> None:
        """Write down the phase: starting, booting, running, stopped or failed (then with an error)."""
        write_json(
            self.folder / "status.json",
            {
                "schema": 1,
                "phase": phase,
                "leader": leader,
                "boots": self.boots,
                "keeper": os.getpid(),
                "keeper_start": start_time(os.getpid()),
                **more,
            },
        )

    def tell_starter(self, text: str) -> None:
        """Answer the command that waits for the first boot; once."""
        if self.ready_fd is not None:
            os.write(self.ready_fd, text.encode())
            os.close(self.ready_fd)
            self.ready_fd = None

    def enter_cgroup(self) -> None:
        """Move into the host's own cgroup; everything started from here on stays below it."""
        group = cgroups.root() / self.lab.cgroup_name / self.record["name"]
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text(str(os.getpid()))

    def mount(self) -> None:
        """Stack the base, the layers and the host's own files, and show only cgroup2 to the host."""
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(exist_ok=True)
        lower = ":".join(reversed(self.record["lower"]))
        # volatile: nothing of a throw-away host is forced to the disk, neither while it runs nor when it ends. The mark
        # that this leaves in the work folder speaks of a crash of this machine, and the folder is new each time.
        run(
            [
                "mount",
                "-t",
                "overlay",
                "overlay",
                "-o",
                f"lowerdir={lower},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'},volatile",
                str(self.root),
            ]
        )
        if cgroups.root() != Path("/sys/fs/cgroup"):
            run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"])

    def command(self) -> list[str]:
        """The nspawn command line."""
        record = self.record
        command = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            f"--directory={self.root}",
            f"--machine={record['name']}",
            "--register=no",
            "--keep-unit",
            "--notify-ready=yes",
            "--console=read-only",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
        ]
        if record["net"] == "bridge":
            command.append("--network-bridge=br0")
        if record["net"] == "host" or record.get("packages"):
            command += [f"--bind-ro={path}" for path in machine.local_indexes(machine.pip_settings())]
        for source, target, read_only in record["binds"]:
            command.append(f"--bind{'-ro' if read_only else ''}={source}:{target}")
        return [*command, *record["nspawn_args"]]

    def boot(self) -> int:
        """Run the host until it powers off or reboots; answers nspawn's exit code."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            address = f"\0{self.lab.cgroup_name}-{self.record['name']}-{os.getpid()}"
            notify.bind(address)
            # /tmp is on disk as on a server, not a small tmpfs: installers unpack gigabytes there.
            environment = {
                "PATH": f"/usr/local/bin:/usr/bin:/bin:{SBIN}",
                "NOTIFY_SOCKET": "@" + address[1:],
                "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
                "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "0",
            }
            self.child = subprocess.Popen(self.command(), env=environment, stdin=subprocess.DEVNULL)
            self.boots += 1
            self.say("booting")
            self._listen(notify)
            return self.child.wait()

    def _listen(self, notify: socket.socket) -> None:
        """Follow nspawn's notifications until it ends: the leader's PID first, READY=1 when the boot is over."""
        assert self.child is not None
        leader = None
        pidfd = os.pidfd_open(self.child.pid)
        try:
            while True:
                readable, _, _ = select.select([notify.fileno(), pidfd], [], [])
                if notify.fileno() not in readable:
                    return
                for line in notify.recv(65536).decode(errors="replace").splitlines():
                    key, _, value = line.partition("=")
                    if key == "X_NSPAWN_LEADER_PID":
                        leader = int(value)
                        self.say("booting", leader)
                    elif line == "READY=1":
                        self.say("running", leader)
                        self.tell_starter("running")
        finally:
            os.close(pidfd)

    def keep(self) -> None:
        """Boot, and boot again after every reboot; ends with the host's power-off."""
        self.say("starting")
        self.enter_cgroup()
        self.mount()
        rootfs.prepare(self.root, self.lab, self.record)
        while (code := self.boot()) == REBOOT:
            print("keeper: reboot", flush=True)
        if code and self.boots == 1 and self.ready_fd is not None:
            raise RuntimeError(f"systemd-nspawn ended with {code}")
        self.say("stopped")
        self.tell_starter("stopped")


def main(arguments: list[str]) -> int:
    """keeper STATE NAME READY_FD"""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is for the command, not for the host
    keeper = Keeper(Lab(arguments[0]), arguments[1], int(arguments[2]))
    os.chdir("/")
    try:
        keeper.keep()
    except (LabError, OSError, RuntimeError, ValueError, KeyError) as error:
        keeper.say("failed", error=str(error))
        keeper.tell_starter(f"failed: {error}")
        print(f"keeper: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
