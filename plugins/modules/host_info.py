#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Read what a deployment needs to know about a host
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Reads the operating system, the init system, memory, processors, the space on chosen paths, listening ports with
    their owners, the Python interpreters and the engines that were set up before, in one call.
  - It never changes anything, and judges nothing. What is missing is V(null) or an empty list.
options:
  paths:
    description:
      - Paths whose file system is wanted. A path that does not exist yet is answered by its nearest parent.
    type: list
    elements: path
    default: []
  markers:
    description:
      - Files whose presence is wanted, for example the completion marker of a runtime that may be installed already.
    type: list
    elements: path
    default: []
  folders:
    description:
      - Folders that services must be able to read. A service has a user of its own, without rights in private folders.
    type: list
    elements: path
    default: []
  python_folders:
    description:
      - Folders searched for C(python3) and C(python3.N).
    type: list
    elements: path
    default: [/usr/local/bin, /usr/bin]
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return the same as in a real run, for it changes nothing.
  diff_mode:
    support: full
    description: Nothing changes, so the difference is always empty.
  platform:
    support: full
    platforms: linux
    description: Target operating system.
"""

EXAMPLES = r"""
- name: Read the host
  gpufleet.vllm.host_info:
    paths:
      - /opt/gpufleet
      - /var/lib/gpufleet/models
    markers:
      - /opt/gpufleet/runtimes/venv-0.32.0-cpu/.gpufleet.json
  register: host

- name: Show who listens where
  ansible.builtin.debug:
    msg: "{{ host.host.listeners }}"
"""

RETURN = r"""
host:
  description: The host as it is now.
  returned: success
  type: dict
  contains:
    schema:
      description: Version of this structure.
      type: int
      sample: 1
    os:
      description: C(id), C(version) and C(name) of os-release.
      type: dict
      sample: {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"}
    arch:
      description: Machine type as the kernel names it.
      type: str
      sample: x86_64
    kernel:
      description: Kernel release.
      type: str
      sample: 6.1.0-25-amd64
    systemd:
      description: Whether systemd is the init system, and its version or V(null).
      type: dict
      sample: {"running": true, "version": 252}
    memory:
      description: Total and available memory in bytes.
      type: dict
      sample: {"total_bytes": 25769803776, "available_bytes": 21474836480}
    cpus:
      description: Processors that this host may use.
      type: int
      sample: 16
    filesystems:
      description: By path, the file system that it lies on.
      type: dict
      sample:
        /opt/gpufleet:
          nearest: /opt
          device: 65024
          total_bytes: 105553116266
          free_bytes: 63565402112
          read_only: false
    markers:
      description: By path, whether the file exists.
      type: dict
      sample: {"/opt/gpufleet/runtimes/venv-0.32.0-cpu/.gpufleet.json": false}
    folders:
      description:
        - By path, the path without symbolic links, and the first path that keeps other users from reading the folder or
          the files in it, or V(null). What does not exist yet keeps nobody out.
      type: dict
      sample: {"/srv/models/chat": {"real": "/srv/models/chat", "closed": "/srv/models"}}
    instances:
      description:
        - Engines that were set up here, with the port and the GPUs that their files name, and what was recorded of the
          memory of their last start (C(measured), V(null) where there is no record).
      type: list
      elements: dict
      sample: [{"name": "qwen3-4b", "port": 8000, "gpu_uuids": [], "measured": null}]
    listeners:
      description: Listening TCP sockets. C(pid), C(process) and C(unit) are V(null) where the owner cannot be seen.
      type: list
      elements: dict
      sample: [{"address": "0.0.0.0", "port": 22, "pid": 612, "process": "sshd", "unit": "ssh.service"}]
    pythons:
      description: Interpreters, newest first.
      type: list
      elements: dict
      sample: [{"path": "/usr/bin/python3.11", "version": "3.11.2", "implementation": "cpython"}]
    default_ipv4:
      description: Address toward the default route, or V(null).
      type: str
      sample: 10.0.0.11
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _host


def main():
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "markers": {"type": "list", "elements": "path", "default": []},
            "folders": {"type": "list", "elements": "path", "default": []},
            "python_folders": {"type": "list", "elements": "path", "default": ["/usr/local/bin", "/usr/bin"]},
        },
        supports_check_mode=True,
    )

    def run(command):
        code, out, _err = module.run_command(command, handle_exceptions=True)
        return code, out

    system = os.uname()
    module.exit_json(
        changed=False,
        host={
            "schema": 1,
            "os": _host.os_release(),
            "arch": system.machine,
            "kernel": system.release,
            "systemd": _host.systemd_state(run),
            "memory": _host.memory_bytes(),
            "cpus": len(os.sched_getaffinity(0)),
            "filesystems": {path: _host.filesystem_of(path) for path in module.params["paths"]},
            "markers": {path: Path(path).exists() for path in module.params["markers"]},
            "folders": {path: _host.readable_by_all(path) for path in module.params["folders"]},
            "instances": _host.instances(),
            "listeners": _host.listeners(),
            "pythons": _host.interpreters(run, module.params["python_folders"]),
            "default_ipv4": _host.default_ipv4(),
        },
    )


if __name__ == "__main__":
    main()
