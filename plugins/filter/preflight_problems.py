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
  deployments:
    description: What P(gpufleet.vllm.merge_deployments#filter) returned. Empty on a host without engines.
    type: list
    elements: dict
    default: []
  models:
    description: By name of the deployment, what M(gpufleet.vllm.model_info) returned as C(model).
    type: dict
    default: {}
  plan:
    description: The answer of P(gpufleet.vllm.vllm_plan#filter).
    type: dict
    default: {}
  gpu:
    description: What M(gpufleet.vllm.gpu_facts) found.
    type: dict
    default: {}
  webui_hosts:
    description: Hosts with an Open-WebUI, which must reach the engines of this host.
    type: list
    elements: str
    default: []
  bind_address:
    description: Where the inventory wants the engines to listen; empty leaves it to the collection.
    type: str
    default: ""
  webui_port:
    description: Port of an Open-WebUI on this host; V(0) means that none is to run.
    type: int
    default: 0
  webui_marker:
    description: Completion marker of Open-WebUI's runtime.
    type: str
    default: ""
  pythons:
    description: Interpreters that the inventory asks for, for V(vllm-cpu), V(vllm-cuda) and V(open-webui).
    type: dict
    default: {}
  runtimes_dir:
    description: Folder of the runtimes on the host.
    type: str
    default: /opt/gpufleet/runtimes
  models_dir:
    description: Folder of the model store on the host.
    type: str
    default: /var/lib/gpufleet/models
  cache_dir:
    description: Cache of uv on the host. On another file system it holds what is installed a second time.
    type: str
    default: /var/cache/gpufleet/uv
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
- name: Judge a host
  ansible.builtin.set_fact:
    problems: >-
      {{ host.host | gpufleet.vllm.preflight_problems(inventory_hostname, deployments=gpufleet_deployments,
                                                      models=gpufleet_models, plan=gpufleet_plan) }}
"""

RETURN = r"""
_value:
  description: One entry for each problem, with C(code), C(host) and C(message), a line for a person.
  type: list
  elements: dict
"""

from ..module_utils import _preflight as preflight
from ..module_utils import _preflight_folders as folders
from ..module_utils import _preflight_wants as wants
from ..module_utils._deployment_problems import plan_problem
from ..module_utils._preflight_inventory import bind_problem


def problems_of(
    facts,
    host,
    deployments=(),
    models=None,
    plan=None,
    gpu=None,
    webui_hosts=(),
    bind_address="",
    webui_port=0,
    webui_marker="",
    pythons=None,
    runtimes_dir="/opt/gpufleet/runtimes",
    models_dir="/var/lib/gpufleet/models",
    cache_dir="/var/cache/gpufleet/uv",
    allow_untested_os=False,
    margin_bytes=1024**3,
):
    webui = bool(webui_port)
    disk = wants.disk_needs(deployments, models or {}, facts["markers"], webui_marker, runtimes_dir, models_dir)
    disk += wants.cache_needs(disk, facts["filesystems"], runtimes_dir, cache_dir)
    problems = preflight.system_problems(facts, allow_untested_os)
    for device in sorted({entry["device"] for entry in deployments if entry["state"] != "absent"}):
        problems.append(preflight.gpu_problem(device, gpu))
    if deployments and not bind_address:
        problems.append(bind_problem(host, webui_hosts, "", facts["default_ipv4"]))
    problems += [plan_problem(error) for error in (plan or {}).get("errors", ())]
    problems += folders.folder_problems(facts, folders.folder_claims(deployments, models_dir))
    problems += preflight.port_problems(facts, wants.port_claims(deployments, webui_port if webui else None))
    problems += preflight.python_problems(facts, wants.runtimes(deployments, webui), pythons or {})
    problems += preflight.disk_problems(facts, disk, margin_bytes)
    problems.append(preflight.memory_problem(facts, wants.memory_needs(plan or {}, webui)))
    return [preflight.named(host, problem) for problem in problems if problem is not None]


class FilterModule:
    def filters(self):
        return {"preflight_problems": problems_of}
