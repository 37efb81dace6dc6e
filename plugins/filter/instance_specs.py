# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: instance_specs
short_description: Turn a plan into the specs that role vllm_instance renders
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Joins the answer of the planner, the deployments and the models into one spec for each deployment, with its
    revision.
  - The revision is a SHA-256 over all of the spec but its state, and over O(key_digest) and O(unit_digest).
options:
  _input:
    description: The answer of P(gpufleet.vllm.vllm_plan#filter).
    type: dict
    required: true
  deployments:
    description: What P(gpufleet.vllm.merge_deployments#filter) returned.
    type: list
    elements: dict
    required: true
  models:
    description: By name of the deployment, the model that was found (C(id), C(source), C(revision), C(path)).
    type: dict
    required: true
  bind_address:
    description: Address on which the engines listen.
    type: str
    default: 127.0.0.1
  allow_from:
    description: Addresses that may talk to the ports.
    type: list
    elements: str
    default: [localhost]
  key_digest:
    description: Keyed hash of the API key, so that a new key gives a new revision.
    type: str
    default: ""
  unit_digest:
    description: Hash of the unit's template, so that a new template gives a new revision.
    type: str
    default: ""
  models_dir:
    description: Folder of the model store on the host.
    type: str
    default: /var/lib/gpufleet/models
  runtimes_dir:
    description: Folder of the runtimes on the host.
    type: str
    default: /opt/gpufleet/runtimes
"""

EXAMPLES = r"""
- name: Make the specs of this host
  ansible.builtin.set_fact:
    gpufleet_specs: >-
      {{ gpufleet_plan | gpufleet.vllm.instance_specs(deployments=gpufleet_deployments, models=gpufleet_models) }}
"""

RETURN = r"""
_value:
  description: One spec for each deployment.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest, InventoryError
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory import specs
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.values import plain


def instance_specs(answer, deployments, models, **options):
    """See DOCUMENTATION."""
    try:
        return specs.build_specs(plain(answer), plain(deployments), plain(models), **plain(options))
    except InventoryError as error:
        raise AnsibleFilterError(str(error)) from error
    except InvalidRequest as error:
        raise AnsibleFilterError("[%s] %s" % (error.code, error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"instance_specs": instance_specs}
