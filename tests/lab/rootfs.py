# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make one host out of a base system: name, network, ssh, and on the machine's network its settings."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from tests.lab import machine, packages
from tests.lab.lab import Lab
from tests.lab.network import GATEWAY, SUBNET
from tests.lab.tools import run

# What a snapshot must not carry from one host to the next; prepare() writes most of it for every host anyway.
IDENTITY = (
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "root/.ssh",
    "root/.bash_history",
    "var/lib/systemd/random-seed",
    "var/log/journal",
    "var/log/wtmp",
    "var/log/btmp",
    "var/log/lastlog",
    "etc/systemd/network/10-host0.network",
)
NETWORKD = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
MARK = "# Written by the lab at every start.\n"


def prepare(root: Path, lab: Lab, record: dict[str, Any]) -> None:
    """Write the host's own files into its mounted root, before every first boot of a keeper."""
    name = record["name"]
    machine_id = root / "etc/machine-id"
    if not machine_id.exists() or machine_id.read_text().strip() in ("", "uninitialized"):
        # Made here: systemd would take the boot for the first one, reset all units to their presets and ask questions.
        _write(machine_id, f"{uuid.uuid4().hex}\n")
    _write(root / "etc/hostname", f"{name}\n")
    # Its own name resolves at once; Ansible's fact gathering would wait for name servers otherwise.
    _write(root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    _ssh(root, lab, record)
    if record["net"] == "bridge":
        _bridge(root, record)
        if record.get("packages"):
            _registries(root, packages.url(lab))
    else:
        _machine_network(root)
        _registries(root)


def _ssh(root: Path, lab: Lab, record: dict[str, Any]) -> None:
    keys = root / "etc/ssh"
    shutil.copy2(lab.host_dir(record["name"]) / "ssh_host_ed25519_key", keys)
    (keys / "ssh_host_ed25519_key").chmod(0o600)
    listen = record["address"] if record["net"] == "bridge" else "127.0.0.1"
    # Root logs in with the lab's key only. The address of a bridge host comes up while sshd starts already.
    _write(
        keys / "sshd_config.d/lab.conf",
        f"{MARK}Port {record['port']}\nListenAddress {'0.0.0.0' if record['net'] == 'bridge' else listen}\n"
        "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "UseDNS no\nMaxStartups 100\nMaxSessions 100\n",
    )
    authorized = root / "root/.ssh/authorized_keys"
    authorized.parent.mkdir(mode=0o700, exist_ok=True)
    _write(authorized, lab.key.with_suffix(".pub").read_text(), 0o600)


def _bridge(root: Path, record: dict[str, Any]) -> None:
    _write(root / "etc/resolv.conf", "")
    _write(
        root / "etc/systemd/network/10-host0.network",
        f"{MARK}[Match]\nName=host0\n[Network]\nAddress={record['address']}/16\nGateway={GATEWAY}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n",
    )
    wants = root / NETWORKD
    wants.parent.mkdir(parents=True, exist_ok=True)
    if not wants.is_symlink():
        wants.symlink_to("/lib/systemd/system/systemd-networkd.service")
    # A layer may come from a host that had the machine's settings; none of them leads anywhere from here.
    for path in ("etc/pip.conf", "etc/environment", "etc/apt/apt.conf.d/90lab-machine"):
        if (root / path).exists():
            _write(root / path, "")


def _machine_network(root: Path) -> None:
    (root / NETWORKD).unlink(missing_ok=True)  # it must not manage the machine's own interfaces
    resolv = Path("/etc/resolv.conf")
    _write(root / "etc/resolv.conf", resolv.read_text() if resolv.exists() else "")


def _registries(root: Path, proxy: str = "") -> None:
    """The machine's settings for package registries; ``proxy`` is the way there from a closed network."""
    settings, environment, apt = machine.pip_settings(), machine.environment(), machine.apt_options()
    if proxy:
        environment.update(http_proxy=proxy, https_proxy=proxy, no_proxy=f"localhost,127.0.0.1,{SUBNET}")
        apt = [*apt, *(f'Acquire::{scheme}::Proxy "{proxy}";' for scheme in ("http", "https"))]
    _write(root / "etc/pip.conf", "[global]\n" + "".join(f"{k} = {v}\n" for k, v in sorted(settings.items())))
    _write(root / "etc/environment", "".join(f'{k}="{v}"\n' for k, v in sorted(environment.items())))
    _write(root / "etc/apt/apt.conf.d/90lab-machine", "".join(f"{line}\n" for line in apt))
    _certificates(root)


def _certificates(root: Path) -> None:
    bundle = machine.certificate_bundle()
    if bundle:
        _write(root / "etc/ssl/certs/ca-certificates.crt", bundle.read_text())
    for certificate in machine.local_certificates():
        # Also as an administrator's own, so that a later update-ca-certificates keeps them.
        target = root / "usr/local/share/ca-certificates" / certificate.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(certificate, target)
    for link in Path("/etc/ssl/certs").glob("*"):  # and by hash, for programs that look them up one by one
        if link.is_symlink() and "/usr/local/share/ca-certificates/" in os.path.realpath(link):
            target = root / "etc/ssl/certs" / link.name
            if not target.is_symlink():
                target.symlink_to(os.readlink(link))


def host_key(folder: Path, name: str) -> str:
    """Make the host's ssh key in its record directory, once; answers the public half."""
    key = folder / "ssh_host_ed25519_key"
    if not key.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)])
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.write_text(text)
    path.chmod(mode)
