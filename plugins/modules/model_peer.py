#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_peer
short_description: Serve models to neighbours while a play runs
version_added: "1.0.0"
author:
  - gpufleet contributors (@gpufleet)
description:
  - Starts or ends a small read-only server on a private address of the host. It gives the files of the named snapshots,
    whole or still under way, to the named addresses, if they know the token of the run.
  - With systemd it is a transient unit C(gpufleet-peer-<run>.service) without rights but to read.
  - It ends with O(state=absent), and by itself when M(gpufleet.vllm.model_watch) has not renewed its lease for
    O(lease_seconds), so also when the control node dies.
options:
  run:
    description:
      - Name of the run, the same on all its hosts. Small letters and digits.
    type: str
    required: true
  state:
    description:
      - Whether it serves.
    type: str
    choices: [present, absent]
    default: present
  address:
    description:
      - Private address to listen on. Any other is refused.
      - Required with O(state=present).
    type: str
  port:
    description:
      - Port to listen on. V(0) takes a free one.
    type: int
    default: 0
  token:
    description:
      - Token that neighbours must know. It is in no log, argument list or file that others may read.
      - Required with O(state=present).
    type: str
  allow:
    description:
      - Addresses of the neighbours. Nobody else gets an answer.
    type: list
    elements: str
    default: []
  store:
    description:
      - Directory of all models.
    type: path
    default: /var/lib/gpufleet/models
  snapshots:
    description:
      - What may be given away, each with C(id), C(revision) (a commit) and C(files) as M(gpufleet.vllm.model_info)
        lists them.
    type: list
    elements: dict
    default: []
  lease_seconds:
    description:
      - How long it serves without a renewal.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode and says truthfully what it would do.
    support: full
  diff_mode:
    description: A server is no text that could be compared.
    support: none
  platform:
    description: Target operating system families.
    platforms: linux
    support: full
seealso:
  - module: gpufleet.vllm.model_snapshot
  - module: gpufleet.vllm.model_watch
"""

EXAMPLES = r"""
- name: Serve a model to two neighbours
  gpufleet.vllm.model_peer:
    run: k3v9x2
    address: 10.0.0.11
    token: "{{ fetch_token }}"
    allow: [10.0.0.12, 10.0.0.13]
    snapshots:
      - id: "{{ found.model.id }}"
        revision: "{{ found.model.revision }}"
        files: "{{ found.model.files }}"
  register: peer

- name: Serve no more
  gpufleet.vllm.model_peer:
    run: k3v9x2
    state: absent
"""

RETURN = r"""
port:
  description: Where it listens; 0 in check mode.
  returned: when O(state=present)
  type: int
  sample: 41207
unit:
  description: Its unit.
  returned: success
  type: str
  sample: gpufleet-peer-k3v9x2.service
code:
  description: Stable code of the error.
  returned: failure
  type: str
  sample: model.peer_address
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._errors import Problem
from ..module_utils._hub._peer_unit import PeerServer, check_address, served


def present(module: AnsibleModule, server: PeerServer) -> dict[str, object]:
    params = module.params
    check_address(params["address"])
    known = server.ready()
    if known:
        server.renew()
        return {"changed": False, "port": known["port"]}
    if module.check_mode:
        return {"changed": True, "port": 0}
    started = server.start(
        {
            "address": params["address"],
            "port": params["port"],
            "token": params["token"],
            "allow": params["allow"],
            "lease_seconds": params["lease_seconds"],
            "snapshots": served(params["store"], params["snapshots"]),
        }
    )
    return {"changed": True, "port": started["port"]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "run": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "address": {"type": "str"},
            "port": {"type": "int", "default": 0},
            "token": {"type": "str", "no_log": True},
            "allow": {"type": "list", "elements": "str", "default": []},
            "store": {"type": "path", "default": "/var/lib/gpufleet/models"},
            "snapshots": {"type": "list", "elements": "dict", "default": []},
            "lease_seconds": {"type": "int", "default": 120},
        },
        required_if=[("state", "present", ["address", "token"])],
        supports_check_mode=True,
    )
    try:
        server = PeerServer(module.params["run"], module.run_command)
        if module.params["state"] == "present":
            result = present(module, server)
        else:
            there = server.ready() is not None
            result = {"changed": there if module.check_mode else server.stop()}
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code)
    module.exit_json(unit=server.unit, **result)


if __name__ == "__main__":
    main()
