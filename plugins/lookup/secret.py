# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
short_description: A secret that is generated once and kept on the control node
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Reads a secret from its file in a folder on the control node. A secret without a file is generated at random.
  - The folder gets mode 0700 and a C(.gitignore) that hides all of it, the file 0600.
  - When several Ansible processes ask at once, all of them get the same secret.
options:
  _terms:
    description: Names of secrets. Each is a file name in O(folder).
    type: list
    elements: str
    required: true
  folder:
    description: Folder on the control node.
    type: path
    required: true
  create:
    description:
      - Whether to generate a missing secret. Pass C(not ansible_check_mode) so that check mode writes nothing.
      - Otherwise a missing secret is answered by O(placeholder).
    type: bool
    default: true
  placeholder:
    description: Answer for a missing secret that may not be generated.
    type: str
    default: not-generated-yet
notes:
  - The value is not masked in output. Use it in tasks with C(no_log) only.
"""

EXAMPLES = r"""
- name: Write the key where the service reads it
  ansible.builtin.copy:
    content: "KEY={{ lookup('gpufleet.vllm.secret', 'api_key', folder=inventory_dir ~ '/.secrets') }}\n"
    dest: /etc/example/secrets.env
    mode: "0600"
  no_log: true
"""

RETURN = r"""
_raw:
  description: One text for each name, of 43 characters that need no quoting in a shell, a URL or a unit file.
  type: list
  elements: str
"""

import contextlib
import os
import re
import secrets
import tempfile
from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        folder = Path(self.get_option("folder"))
        placeholder = None if self.get_option("create") else self.get_option("placeholder")
        return [read_or_create(folder, str(term), placeholder) for term in terms]


def read_or_create(folder, name, placeholder=None):
    """The secret `name` of `folder`. A missing one is generated, or answered by `placeholder` if that is given."""
    if not re.match(r"^[a-z][a-z0-9_]*$", name):
        raise AnsibleLookupError("A secret's name is lower-case letters, digits and underscores, not %r" % name)
    path = folder / name
    try:
        if not path.exists():
            if placeholder is not None:
                return placeholder
            _prepare(folder)
            _create(path)
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise AnsibleLookupError("Cannot read or write the secret %s: %s" % (path, error.strerror)) from error
    if not value:
        raise AnsibleLookupError("The secret %s is empty. Remove the file to have a new one generated" % path)
    return value


def _prepare(folder):
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")


def _create(path):
    """Written aside, then linked: a link fails where another process was faster, and then that one's secret counts."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mkstemp gives 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secrets.token_urlsafe(32) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
