# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: keyed_digest
short_description: Fingerprint of a secret that only the holder of a salt can compute
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - HMAC-SHA256 of the input under O(salt). It lets a revision change with a secret without giving the secret away.
options:
  _input:
    description: The secret.
    type: str
    required: true
  salt:
    description: A second secret, the key of the HMAC.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Notice a new key
  ansible.builtin.set_fact:
    key_digest: "{{ api_key | gpufleet.vllm.keyed_digest(salt) }}"
"""

RETURN = r"""
_value:
  description: 64 hexadecimal digits.
  type: str
"""

import hashlib
import hmac


def keyed_digest(secret, salt):
    return hmac.new(str(salt).encode(), str(secret).encode(), hashlib.sha256).hexdigest()


class FilterModule:
    def filters(self):
        return {"keyed_digest": keyed_digest}
