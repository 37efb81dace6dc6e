# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the playbooks on lab hosts as a user would, and looks at what came of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import host, inventory, service
from tests.lab.lab import REPOSITORY, Lab
from tests.lab.testing import inside

#: another release of Ansible can be tried with the same tests
ANSIBLE_PLAYBOOK = os.environ.get("GPUFLEET_ANSIBLE_PLAYBOOK") or str(Path(sys.executable).parent / "ansible-playbook")
RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)\s+unreachable=(?P<unreachable>\d+)"
    r"\s+failed=(?P<failed>\d+)\s+skipped=\d+\s+rescued=(?P<rescued>\d+)",
    re.MULTILINE,
)
CODE = re.compile(r"^\s*\[([a-z]+\.[a-z_]+)\] (\S+):", re.MULTILINE)


@dataclass
class Result:
    """One run of ansible-playbook: exit status and all that it printed."""

    status: int
    output: str

    def count(self, what: str) -> dict[str, int]:
        """A column of the recap by host: ok, changed, unreachable, failed, rescued."""
        return {match["host"]: int(match[what]) for match in RECAP.finditer(self.output)}

    def tasks(self, pattern: str, host_name: str) -> list[str]:
        """Results ("ok", "changed", ...) that a host had in the tasks whose heading matches."""
        found = []
        for part in self.output.split("\nTASK [")[1:]:
            heading, _, body = part.partition("]")
            if re.search(pattern, heading):
                found += re.findall(r"^(ok|changed|failed|fatal|skipping): \[%s" % re.escape(host_name), body, re.M)
        return found

    @property
    def codes(self) -> set[tuple[str, str]]:
        """The problems that were told: (code, host)."""
        text = self.output.partition("[ERROR]")[2]
        return {(match[1], match[2]) for match in CODE.finditer(re.sub(r"(?:msg: |Action failed: )'?", "\n", text))}

    def must_pass(self) -> Result:
        assert self.status == 0, "\n".join(self.output.splitlines()[-120:])
        return self


class Site:
    """An inventory over lab hosts, and the playbooks run with it. Everything lies below ``folder``."""

    def __init__(self, lab: Lab, folder: Path, inventories: Sequence[str]) -> None:
        self.lab = lab
        self.folder = folder
        self.inventories = list(inventories)
        self.secrets = folder / "secrets"
        self.artifacts = folder / "artifacts"
        self.own = folder / "hosts.yml"
        folder.mkdir(parents=True, exist_ok=True)

    def describe(
        self, names: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None, **variables: Any
    ) -> None:
        """Write the inventory: how the hosts are reached, their groups, and variables for all of them."""
        common = {"gpufleet_secrets_dir": str(self.secrets), "gpufleet_artifacts_dir": str(self.artifacts), **variables}
        self.own.write_text(inventory.render(self.lab, names, groups, common))

    def command(self, playbook: str, *arguments: str) -> list[str]:
        inventories = [word for path in [*self.inventories, str(self.own)] for word in ("-i", path)]
        return [ANSIBLE_PLAYBOOK, *inventories, playbook, *arguments]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            **(extra or {}),
        }

    def run(self, playbook: str, *arguments: str, variables: Mapping[str, Any] | None = None) -> Result:
        """Run one of the playbooks by name, or another by path; ``variables`` win over the inventory."""
        path = playbook if "/" in playbook else f"playbooks/{playbook}.yml"
        extra = ("-e", json.dumps(variables)) if variables else ()
        done = subprocess.run(self.command(path, *arguments, *extra), cwd=REPOSITORY, env=self.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)  # fmt: skip
        return Result(done.returncode, done.stdout)

    def run_until(self, playbook: str, moment: str, variables: Mapping[str, Any] | None = None) -> str:
        """Run a playbook and kill it (SIGKILL, with its workers) when the heading of task ``moment`` is printed."""
        extra = ("-e", json.dumps(variables)) if variables else ()
        path = playbook if "/" in playbook else f"playbooks/{playbook}.yml"
        process = subprocess.Popen(
            self.command(path, *extra),
            cwd=REPOSITORY,
            env=self.environment({"PYTHONUNBUFFERED": "1"}),
            start_new_session=True,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        seen = []
        try:
            for line in process.stdout:
                seen.append(line)
                if line.startswith("TASK [") and moment in line:
                    return "".join(seen)
            raise AssertionError(f"no task '{moment}' came:\n" + "".join(seen[-60:]))
        finally:
            os.killpg(process.pid, 9)
            process.wait()
            process.stdout.close()

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()

    def inside(self, name: str, *command: str) -> str:
        return inside(self.lab, name, command)

    def main_pid(self, name: str, unit: str) -> int:
        return int(self.inside(name, "systemctl", "show", "--property=MainPID", "--value", unit))

    def main_pids(self, name: str, *units: str) -> dict[str, int]:
        return {unit: self.main_pid(name, unit) for unit in units}

    def reboot(self, name: str) -> None:
        """Restart the host; returns when systemd is up again."""
        boots = self.lab.status(name)["boots"]
        self.inside(name, "systemctl", "reboot")
        wait_for(lambda: self.lab.status(name)["boots"] > boots and self.lab.status(name)["phase"] == "running", 60)


def start_hub(lab: Lab, root: Path, *, bridge: bool = False, arguments: Sequence[str] = ()) -> str:
    """Serve the models below ``root`` until the lab ends; answers the address as the hosts see it."""
    port_file = lab.state / "hub.port"
    port_file.unlink(missing_ok=True)
    lab.create()
    address = "10.66.0.1" if bridge else "127.0.0.1"
    service.start(lab, "hub", [sys.executable, "-m", "tests.fakes.hub", "--root", str(root), "--bind", address,
                               "--port-file", str(port_file), *arguments], bridge=bridge)  # fmt: skip
    service.await_until(lab, "hub", port_file.exists)
    return f"http://{address}:{port_file.read_text().strip()}"


def start_hosts(lab: Lab, names: Sequence[str], **options: Any) -> None:
    host.start(lab, names, **options)


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.1)
