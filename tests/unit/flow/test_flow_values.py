"""What playbooks/vars/flow.yml makes of an inventory, templated by Ansible itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [str(ROOT / "playbooks/vars/flow.yml")],
        "vars": {"__flow_left_out": {"results": []}},
        "tasks": [
            {
                "ansible.builtin.copy": {
                    "content": "{{ {'bind': __flow_bind_address, 'allow': __flow_allow_from} | to_json }}",
                    "dest": "{{ lookup('env', 'ANSWERS') }}/{{ inventory_hostname }}.json",
                    "mode": "0600",
                }
            }
        ],
    }
]


def answers(tmp_path: Path, groups: dict[str, Any], **variables: Any) -> dict[str, Any]:
    """By host, where its engines listen and who may ask them."""
    inventory = {"all": {"children": groups, "vars": {"ansible_connection": "local", **variables}}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "play.yml").write_text(yaml.safe_dump(PLAYBOOK))
    program = str(Path(sys.executable).parent / "ansible-playbook")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSWERS": str(tmp_path)}
    environment["ANSIBLE_LOCAL_TEMP"] = environment["ANSIBLE_REMOTE_TEMP"] = str(tmp_path / "tmp")
    environment["ANSIBLE_PYTHON_INTERPRETER"] = sys.executable
    command = [program, "-i", str(tmp_path / "inventory.yml"), str(tmp_path / "play.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}


def hosts(**addresses: str) -> dict[str, Any]:
    return {"hosts": {name: {"gpufleet_host": {"default_ipv4": address}} for name, address in addresses.items()}}


def test_engines_let_in_the_pages_and_whom_the_inventory_names(tmp_path: Path) -> None:
    groups = {"gpu_hosts": hosts(gpu1="10.0.0.11"), "webui": hosts(web1="198.51.100.1", web2="198.51.100.2")}
    found = answers(tmp_path, groups, vllm_allow_from=["192.0.2.0/24"])
    assert found["gpu1"]["bind"] == "10.0.0.11"
    assert sorted(found["gpu1"]["allow"]) == ["10.0.0.11", "192.0.2.0/24", "198.51.100.1", "198.51.100.2", "localhost"]
    # Pages with public addresses and no engines of their own are none that cannot be reached.
    assert found["web1"]["bind"] == found["web2"]["bind"] == "127.0.0.1"


def test_an_engine_for_its_own_host_lets_in_nobody_else(tmp_path: Path) -> None:
    groups = {"gpu_hosts": hosts(one="10.0.0.11"), "webui": hosts(one="10.0.0.11")}
    assert answers(tmp_path, groups)["one"] == {"bind": "127.0.0.1", "allow": ["localhost"]}
