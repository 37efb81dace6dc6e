"""Parts of role and playbook that need no systemd, run by the real ansible-playbook on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory import deployment_schema

from tests.tools.tracked import ROOT

KEY = "sk-never-shown-0815"


def play(
    folder: Path, tasks: list[dict[str, Any]], *arguments: str, collections: Path | None = None
) -> tuple[int, str]:
    """Status and output of a play with these tasks on this machine, without privileges."""
    path = folder / "play.yml"
    path.write_text(json.dumps([{"name": "Test", "hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    program = Path(sys.executable).with_name("ansible-playbook")
    environment = dict(os.environ, ANSIBLE_NOCOLOR="1", ANSIBLE_PYTHON_INTERPRETER=sys.executable)
    if collections is not None:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
    command = [str(program), "-i", "localhost,", "-c", "local", "-v", *arguments, str(path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["open-webui", "a/b"])
def test_names_of_other_folders_are_refused(tmp_path: Path, name: str) -> None:
    role = {"name": "gpufleet.vllm.vllm_instance", "tasks_from": "assert"}
    spec = {"name": name, "state": "absent", "revision": "r1", "served_name": "x", "host": "h", "port": 1}
    task = {"ansible.builtin.include_role": role, "vars": {"vllm_instance_specs": [{**spec, "device": "cpu"}]}}
    status, output = play(tmp_path, [task])
    assert status != 0 and "[inventory.bad_type] localhost: an instance named '%s'" % name in output


def test_role_and_planner_refuse_the_same_names() -> None:
    variables = yaml.safe_load((ROOT / "roles/vllm_instance/vars/main.yml").read_text())
    assert tuple(variables["__vllm_instance_reserved"]) == deployment_schema.RESERVED_NAMES


def test_one_instance_that_cannot_be_restored_does_not_keep_the_next_from_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last_good.json").write_text('{"key": "%s", broken' % KEY)
    task = {
        "ansible.builtin.include_role": {"name": "gpufleet.vllm.vllm_instance", "tasks_from": "rollback"},
        "vars": {"vllm_instance_specs": [{"name": name, "state": "present"} for name in ("a", "b")]},
    }
    status, output = play(tmp_path, [task], "-e", "__vllm_instance_lib=%s" % tmp_path)
    last = output.partition("Tell which instances could not be restored")[2]
    assert status != 0 and "Instance 'a' could not be restored" in last and "Instance 'b' could not be restored" in last


def stand_in(folder: Path, rollback: list[dict[str, Any]]) -> Path:
    """A collection whose role fails at a file with a key; returns its collections path."""
    tasks = folder / "collections/ansible_collections/gpufleet/vllm/roles/vllm_instance/tasks"
    tasks.mkdir(parents=True)
    copy = {"content": "{{ item }}", "dest": "/nowhere/at/all", "mode": "0600"}
    fail = {"name": "Write", "ansible.builtin.copy": copy, "loop": ["KEY=%s" % KEY], "no_log": True}
    (tasks / "main.yml").write_text(yaml.safe_dump([fail]))
    (tasks / "rollback.yml").write_text(yaml.safe_dump(rollback))
    return folder / "collections"


@pytest.mark.parametrize("rollback_fails", [False, True])
def test_the_cause_is_told_first_and_without_the_key(tmp_path: Path, rollback_fails: bool) -> None:
    if rollback_fails:
        rollback = {"name": "Go back", "ansible.builtin.fail": {"msg": "Instance 'a' could not be restored"}}
    else:
        rollback = {"name": "Go back", "ansible.builtin.debug": {"msg": "restored"}}
    task = {
        "ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/deploy_host.yml"),
        "vars": {"__flow_secure_logging": True},
    }
    show = {"ansible.builtin.debug": {"var": "gpufleet_failure"}}
    tasks = [{"block": [task], "rescue": [show, {"ansible.builtin.fail": {"msg": "over"}}]}]
    status, output = play(tmp_path, tasks, "-vvv", collections=stand_in(tmp_path, [rollback]))
    assert status != 0 and KEY not in output, output
    told = output.partition("End with the cause")[2]
    first, also = (
        told.find("Destination directory /nowhere/at does not exist"),
        told.find("Instance 'a' could not be restored"),
    )
    assert first > 0 and (also > first) is rollback_fails, output
