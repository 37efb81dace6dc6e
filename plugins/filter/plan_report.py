# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_report
short_description: The plan of a host as text for people
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - One table for the host, with its GPUs, and one block for each instance, with where it listens, its memory by part,
    and every setting with its value, its source and the reason; then what is wrong and what else would fit.
options:
  _input:
    description: What P(gpufleet.vllm.plan_artifact#filter) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ gpufleet_plan | gpufleet.vllm.plan_artifact(request, inventory_hostname) | gpufleet.vllm.plan_report }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from ..module_utils._plan_report import report


class FilterModule:
    def filters(self):
        return {"plan_report": report}
