#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_facts
short_description: Read the NVIDIA GPUs of a host
version_added: "1.0.0"
author:
  - gpufleet contributors (@gpufleet)
description:
  - Reads driver, memory, compute capability, processes and links of every NVIDIA GPU through NVML, or through
    C(nvidia-smi) where the Python package C(nvidia-ml-py) is not installed on the host.
  - A host without a usable GPU is no failure. The list of GPUs is then empty, and RV(ansible_facts.gpufleet.reason)
    holds a class, a sentence and a remedy.
  - What RV(ansible_facts.gpufleet.gpus) holds is what the planner takes as C(gpus).
options:
  backend:
    description:
      - Where to read from. V(auto) takes NVML where it answers and C(nvidia-smi) otherwise.
    type: str
    choices: [auto, nvml, nvidia_smi]
    default: auto
attributes:
  check_mode:
    description: Can run in check mode and says truthfully what it would do.
    support: full
  diff_mode:
    description: Shows what changes, or would change, in diff mode.
    support: N/A
    details:
      - Changes nothing.
  facts:
    description: Returns facts.
    support: full
  platform:
    description: Target operating system families.
    platforms: linux
    support: full
"""

EXAMPLES = r"""
- name: Read the GPUs
  gpufleet.vllm.gpu_facts:

- name: Say why there are none
  ansible.builtin.debug:
    msg: "{{ ansible_facts['gpufleet']['reason']['message'] }}. {{ ansible_facts['gpufleet']['reason']['remedy'] }}."
  when: ansible_facts['gpufleet']['reason'] is not none
"""

RETURN = r"""
ansible_facts:
  description: The facts; all of them stand under one name.
  returned: always
  type: dict
  contains:
    gpufleet:
      description: What is known of the GPUs.
      returned: always
      type: dict
      contains:
        schema:
          description: Version of this shape.
          type: int
          returned: always
          sample: 1
        backend:
          description: Where it was read from, V(nvml) or V(nvidia_smi). Null where neither answered.
          type: str
          returned: always
          sample: nvml
        driver_version:
          description: Version of the driver; of the loaded kernel module where the library does not answer.
          type: str
          returned: always
          sample: 580.95.05
        cuda_version:
          description: Newest CUDA that the driver serves.
          type: str
          returned: always
          sample: "13.0"
        gpus:
          description: The GPUs that can be used, by index. A value that the card or its driver cannot tell is null.
          type: list
          elements: dict
          returned: always
          contains:
            index:
              description: Place in the driver's list.
              type: int
              returned: always
            uuid:
              description: Name that stays with the card.
              type: str
              returned: always
            name:
              description: Product name.
              type: str
              returned: always
            pci_bus_id:
              description: PCI address as the kernel writes it.
              type: str
              returned: always
            memory_total_bytes:
              description: All memory; less C(memory_reserved_bytes) it is what CUDA sees.
              type: int
              returned: when the driver tells it
            memory_reserved_bytes:
              description: Memory the driver keeps.
              type: int
              returned: with driver 510 and later
            memory_free_bytes:
              description: Memory nobody uses.
              type: int
              returned: when the driver tells it
            compute_capability:
              description: Compute capability.
              type: str
              returned: always
              sample: "9.0"
            mig:
              description: Whether the card is cut into MIG devices.
              type: bool
              returned: always
            ecc:
              description: Whether the memory is error-corrected.
              type: bool
              returned: always
            display:
              description: Whether a display is drawn on it.
              type: bool
              returned: always
            numa_node:
              description: NUMA node it hangs on.
              type: int
              returned: always
            processes:
              description: Who uses it.
              type: list
              elements: dict
              returned: always
              contains:
                pid:
                  description: Process.
                  type: int
                  returned: always
                kind:
                  description: V(compute) or V(graphics).
                  type: str
                  returned: always
                memory_bytes:
                  description: Memory it holds.
                  type: int
                  returned: always
                unit:
                  description: The unit C(vllm@<name>.service) it belongs to; null for all others.
                  type: str
                  returned: always
        links:
          description: How each two GPUs are joined.
          type: list
          elements: dict
          returned: always
          contains:
            a:
              description: Index of the one.
              type: int
              returned: always
            b:
              description: Index of the other.
              type: int
              returned: always
            kind:
              description: V(nvlink), or the PCI topology between them in the words of C(nvidia-smi topo).
              type: str
              returned: always
            p2p:
              description: Whether the one can read the other's memory.
              type: bool
              returned: always
        faults:
          description: Cards that answered with an error while others answered well.
          type: list
          elements: dict
          returned: always
          contains:
            index:
              description: Place in the driver's list; null where it concerns the links.
              type: int
              returned: always
            code:
              description: Class, as in RV(ansible_facts.gpufleet.reason.code).
              type: str
              returned: always
            message:
              description: What was found.
              type: str
              returned: always
            remedy:
              description: What would fix it.
              type: str
              returned: always
            nvml_code:
              description: NVML's return code.
              type: int
              returned: always
        reason:
          description: Why RV(ansible_facts.gpufleet.gpus) is empty; null where it is not.
          type: dict
          returned: always
          contains:
            code:
              description: Class of the reason.
              type: str
              returned: always
              sample: gpu.driver_mismatch
            message:
              description: What was found.
              type: str
              returned: always
            remedy:
              description: What would fix it.
              type: str
              returned: always
            nvml_code:
              description: NVML's return code; null where NVML was not reached.
              type: int
              returned: always
        pci_devices:
          description: NVIDIA cards on the PCI bus, with or without a driver.
          type: list
          elements: dict
          returned: always
          contains:
            pci_bus_id:
              description: PCI address.
              type: str
              returned: always
            device_id:
              description: Product, as four hexadecimal digits.
              type: str
              returned: always
              sample: "2330"
            numa_node:
              description: NUMA node it hangs on.
              type: int
              returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._gpu import probe


def main():
    module = AnsibleModule(
        argument_spec={"backend": {"type": "str", "choices": ["auto", "nvml", "nvidia_smi"], "default": "auto"}},
        supports_check_mode=True,
    )

    def run(command):
        # a program that is missing is an answer here, not a failure
        status, out, err = module.run_command(command, check_rc=False, handle_exceptions=True)
        return status, out, err

    module.exit_json(changed=False, ansible_facts={"gpufleet": probe(run, module.params["backend"])})


if __name__ == "__main__":
    main()
