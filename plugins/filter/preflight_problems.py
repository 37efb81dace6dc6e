# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: preflight_problems
short_description: What keeps a host from carrying what the inventory wants
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Compares what M(gpufleet.vllm.host_info) read with what is to run there. It asks the host nothing.
options:
  _input:
    description: What M(gpufleet.vllm.host_info) returned as C(host).
    type: dict
    required: true
  host:
    description: The host's name in the inventory.
    type: str
    required: true
  wants:
    description:
      - What is to run. C(devices) lists V(cuda) and V(cpu), C(gpu) is what M(gpufleet.vllm.gpu_facts) found,
        C(ports) are dictionaries of C(who), C(port), C(unit) and C(remedy),
        C(disk) of C(what), C(path) and C(bytes), C(memory) of C(what) and C(bytes),
        C(runtimes) lists V(vllm) and V(open-webui), C(pythons) names an interpreter for some of them.
    type: dict
    required: true
  allow_untested_os:
    description: Whether an operating system that the roles are not tested on will do.
    type: bool
    default: false
  margin_bytes:
    description: Disk space to keep free beyond what is written.
    type: int
    default: 1073741824
"""

EXAMPLES = r"""
- name: Judge the host
  ansible.builtin.set_fact:
    problems: "{{ host.host | gpufleet.vllm.preflight_problems(inventory_hostname, wants) }}"
  vars:
    wants:
      devices: [cpu]
      runtimes: [vllm]
      ports:
        - {who: deployment 'a', port: 8000, unit: vllm@a.service, remedy: Choose another port}
"""

RETURN = r"""
_value:
  description: One entry for each problem, with C(code), C(host), C(asked), C(found), C(remedy) and the C(message) of these.
  type: list
  elements: dict
"""

from ..module_utils import _preflight as preflight


def problems_of(facts, host, wants, allow_untested_os=False, margin_bytes=1024**3):
    problems = preflight.system_problems(facts, allow_untested_os)
    for device in sorted(set(wants.get("devices", []))):
        problems.append(preflight.gpu_problem(device, wants.get("gpu")))
    problems += preflight.port_problems(facts, wants.get("ports", []))
    problems += preflight.python_problems(facts, wants.get("runtimes", []), wants.get("pythons", {}))
    problems += preflight.disk_problems(facts, wants.get("disk", []), margin_bytes)
    problems.append(preflight.memory_problem(facts, wants.get("memory", [])))
    return [preflight.named(host, problem) for problem in problems if problem is not None]


class FilterModule:
    def filters(self):
        return {"preflight_problems": problems_of}
