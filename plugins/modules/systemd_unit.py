#!/usr/bin/python
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_unit
short_description: Keep a checked systemd unit and its drop-ins
version_added: "1.0.0"
description:
  - Puts a unit file and its drop-ins into place, or takes them away.
  - The unit is composed with its drop-ins in a scratch folder and checked there by C(systemd-analyze verify) first.
    A unit with a fault, even a mistyped key that systemd itself would only warn about, never reaches the host.
  - Reloads systemd when a file changed, and also when systemd says that it still needs a reload, which is what a run
    that was killed half way leaves behind.
  - Neither starts nor stops the unit.
author:
  - gpufleet contributors (@gpufleet)
options:
  name:
    description:
      - Name of the unit with its suffix, for example V(open-webui.service), V(vllm@.service) or V(vllm@chat.service).
    type: str
    required: true
  content:
    description:
      - Whole text of the unit file.
      - Empty if the unit file is not to be managed, only drop-ins. For an instance such as V(vllm@chat.service) its
        template is then read from the host.
    type: str
    default: ""
  dropins:
    description:
      - Drop-ins of the unit.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - File name, which ends in C(.conf).
        type: str
        required: true
      content:
        description:
          - Whole text of the drop-in.
        type: str
        default: ""
      state:
        description:
          - Whether this drop-in is there.
        type: str
        choices: [present, absent]
        default: present
  instance:
    description:
      - Instance name with which a template is checked.
    type: str
    default: probe
  enabled:
    description:
      - Whether the unit starts at boot. Left alone when not given.
    type: bool
  state:
    description:
      - With V(absent) the unit is disabled, and its file and its whole drop-in folder are removed.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description:
      - Folder of the unit files.
    type: path
    default: /etc/systemd/system
attributes:
  check_mode:
    support: full
    description: Can run in check mode without changing anything.
    details:
      - A missing program in C(ExecStart) is tolerated in check mode, as an earlier task would have put it there.
  diff_mode:
    support: full
    description: Returns what changed when in diff mode.
"""

EXAMPLES = r"""
- name: Keep a service
  gpufleet.vllm.systemd_unit:
    name: hello.service
    enabled: true
    content: |
      [Unit]
      Description=Hello

      [Service]
      ExecStart=/usr/bin/sleep infinity

      [Install]
      WantedBy=multi-user.target

- name: Give one instance its own limits
  gpufleet.vllm.systemd_unit:
    name: vllm@chat.service
    dropins:
      - name: 20-limits.conf
        content: |
          [Service]
          LimitNOFILE=65536
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: ["write /etc/systemd/system/hello.service", "daemon-reload", "enable hello.service"]
verified:
  description: Whether the composed unit was checked. False where its template is not there yet in check mode.
  returned: always
  type: bool
code:
  description: Stable code of the failure.
  returned: failure
  type: str
  sample: unit.invalid
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem
from ansible_collections.gpufleet.vllm.plugins.module_utils._systemd import UnitError
from ansible_collections.gpufleet.vllm.plugins.module_utils._unit_files import UnitFiles


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "content": {"type": "str", "default": ""},
            "dropins": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "content": {"type": "str", "default": ""},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                },
            },
            "instance": {"type": "str", "default": "probe"},
            "enabled": {"type": "bool"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "directory": {"type": "path", "default": "/etc/systemd/system"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        unit = UnitFiles(
            run=module.run_command,
            move=module.atomic_move,
            scratch=module.tmpdir,
            directory=params["directory"],
            name=params["name"],
            check=module.check_mode,
        )
        if params["state"] == "absent":
            result = unit.remove()
        else:
            result = unit.install(params["content"], params["dropins"], params["instance"], params["enabled"])
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code)
    except (UnitError, OSError) as error:
        module.fail_json(msg="[unit.failed] unit '%s': %s" % (params["name"], error), code="unit.failed")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
