# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab for the length of a test, for whoever tests on hosts."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence

from tests.lab import clean, host, inventory
from tests.lab.lab import CACHE, Lab
from tests.lab.tools import ensure_tools


@contextlib.contextmanager
def fresh_lab(name: str) -> Iterator[Lab]:
    """An empty lab, gone afterwards; it has its place by name, so what a killed run left is cleared by the next."""
    ensure_tools()
    lab = Lab(CACHE / "tests" / name)
    clean.destroy(lab)
    try:
        yield lab
    finally:
        clean.destroy(lab)


def inside(lab: Lab, name: str, command: Sequence[str]) -> str:
    """What ``command`` prints inside the host. Raises CalledProcessError when it fails."""
    return subprocess.run(
        host.exec_command(lab, name, command), check=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ).stdout.strip()


def over_ssh(lab: Lab, name: str, command: str) -> str:
    """What the shell command prints, asked over ssh as Ansible would. Raises CalledProcessError when it fails."""
    return subprocess.run(
        [*inventory.ssh_command(lab, name), command],
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ).stdout.strip()
