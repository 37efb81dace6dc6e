# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The play that watches downloads, with hosts that go away or cannot share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.action import model_watch

REPOSITORY = Path(__file__).resolve().parents[3]
# Port 1 refuses at once; the watch itself is the real one.
HOSTS = """
h1 ansible_connection=local
h2 ansible_connection=local
dead ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1
[all:vars]
ansible_python_interpreter={python}
gpufleet_gpu_hosts=all
"""
PLAY = """
- name: Share
  hosts: all
  gather_facts: false
  any_errors_fatal: true
  vars_files: [{playbooks}/vars/fetch.yml]
  vars:
    __flow_fetch_run: abcd1234
    __flow_models_dir: {folder}/store
    __flow_gpu_hosts: [h1, h2, dead]
    gpufleet_fetch: {{rows: [], hosts: {{}}}}
  tasks:
    - name: Share
      any_errors_fatal: false
      ignore_unreachable: true
      block:
        - name: Begin
          ansible.builtin.command: {begin}
          register: __flow_fetch_begun
          changed_when: false
        - name: Watch
          ansible.builtin.include_tasks: {playbooks}/tasks/fetch_watch.yml
      rescue:
        - name: Tell
          ansible.builtin.debug:
            msg: "alone: {{{{ inventory_hostname }}}}"
- name: Next
  hosts: all
  gather_facts: false
  any_errors_fatal: true
  vars_files: [{playbooks}/vars/fetch.yml]
  tasks:
    - name: Go on
      ansible.builtin.debug:
        msg: "next play: {{{{ inventory_hostname }}}} {{{{ 'lost' if __flow_fetch_is_lost else 'here' }}}}"
"""


def play(tmp_path: Path, begin: str = "/bin/true") -> tuple[int, str]:
    (tmp_path / "hosts").write_text(HOSTS.format(python=sys.executable))
    (tmp_path / "play.yml").write_text(PLAY.format(playbooks=REPOSITORY / "playbooks", folder=tmp_path, begin=begin))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(tmp_path / "hosts"),
         str(tmp_path / "play.yml"), "-e", '{"__flow_fetch_patience": 4}'],
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "t"),
             "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.slow
def test_a_host_out_of_reach_is_tried_again_then_given_up_and_ends_nobody(tmp_path: Path) -> None:
    _status, output = play(tmp_path)
    assert "dead | model_snapshot | no connection for 0 s, trying again for 4 s" in output
    assert "the others go on without it" in output
    for words in ("h1 here", "h2 here", "dead lost"):
        assert "next play: " + words in output, output


@pytest.mark.slow
def test_a_host_that_cannot_share_ends_the_run_of_nobody(tmp_path: Path) -> None:
    begin = "/bin/{{ 'false' if inventory_hostname == 'h1' else 'true' }}"
    _status, output = play(tmp_path, json.dumps(begin))
    assert "fatal: [h1]" in output
    for words in ("h1 here", "h2 here", "dead lost"):
        assert "next play: " + words in output, output


def test_patience_counts_from_the_first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = model_watch.lost("refused", 1000.0, 0, 300)
    assert (first["done"], first["lost_since"]) == (False, 1000.0)
    assert model_watch.lost("refused", 1299.0, first["lost_since"], 300)["lost"] is False
    assert model_watch.lost("refused", 1300.0, first["lost_since"], 300)["done"] is True


def test_a_connection_that_is_silent_is_no_longer_waited_for() -> None:
    begun = time.monotonic()
    with pytest.raises(model_watch.SilenceError), model_watch.alarm(0.2):
        time.sleep(20)
    assert time.monotonic() - begun < 10
