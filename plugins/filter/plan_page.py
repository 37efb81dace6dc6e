# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_page
short_description: The plan of a host as a page for a browser
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - One HTML page that opens from a file, loads nothing and needs no script. It shows the memory of each GPU by part,
    every setting with its reason, what is wrong, what else would fit, and predicted figures beside measured ones.
options:
  _input:
    description: What P(gpufleet.vllm.plan_artifact#filter) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Keep the page
  ansible.builtin.copy:
    content: "{{ gpufleet_plan | gpufleet.vllm.plan_artifact(request, inventory_hostname) | gpufleet.vllm.plan_page }}"
    dest: plan.html
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.page import render_page


class FilterModule:
    """Filters of this file."""

    def filters(self):
        return {"plan_page": render_page}
