#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_store_info
short_description: Tell which models a host has, and which are on their way
version_added: "1.0.0"
author:
  - gpufleet contributors (@gpufleet)
description:
  - Reads the store of M(gpufleet.vllm.model_snapshot) from beside. It waits for no lock and never changes anything, so
    it may run at any time, also while models are fetched.
options:
  store:
    description:
      - Directory of all models.
    type: path
    default: /var/lib/gpufleet/models
  seconds:
    description:
      - How long to watch what is on its way, for its rate. Nothing is waited for where nothing is on its way.
    type: int
    default: 4
attributes:
  check_mode:
    support: full
    description: Can run in check mode without changing anything.
  diff_mode:
    support: N/A
    description: Does not change anything.
seealso:
  - module: gpufleet.vllm.model_snapshot
"""

EXAMPLES = r"""
- name: See what is there and what is on its way
  gpufleet.vllm.model_store_info:
  register: store
"""

RETURN = r"""
whole:
  description:
    - Published snapshots, each with C(id), C(revision), C(source), C(path), C(total_bytes) and C(damaged), the files
      that are missing or have another size.
  returned: success
  type: list
  elements: dict
under_way:
  description:
    - Snapshots that are being fetched, or were when their run was killed, each with C(id), C(revision), C(state)
      (V(running) or V(stopped)), C(stage), C(done_bytes), C(total_bytes) and C(rate) in bytes per second.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._hub._peer_status import whole, with_rates


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "default": "/var/lib/gpufleet/models"},
            "seconds": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
    )
    store = module.params["store"]
    try:
        under_way = with_rates(store, module.params["seconds"])
        module.exit_json(changed=False, whole=whole(store), under_way=under_way)
    except OSError as error:
        module.fail_json(msg="[model.unreadable] the store %s: %s" % (store, error), code="model.unreadable")


if __name__ == "__main__":
    main()
