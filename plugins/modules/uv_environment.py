#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: uv_environment
short_description: A Python environment that is exactly what its lock says
version_added: "1.0.0"
author: gpufleet contributors (@gpufleet)
description:
  - Builds a virtual environment with uv from a lock in which every package has a version and a SHA-256, byte-compiles
    it and writes a completion marker last. An environment without that marker counts as never built and is built anew,
    so a run that was killed heals in the next one.
  - A finished environment is never altered. A changed lock wants another path, for services may be running from this
    one. Where the path cannot change, O(replace) builds anew in place.
  - Nothing is built from source, and no package is installed that the lock does not name.
  - Where packages come from is what the host's pip configuration says (files and E(PIP_INDEX_URL) and its like), which
    uv itself does not read. The options of this module add to it or replace it.
options:
  path:
    description: Folder of the environment, for example one that carries the version in its name.
    type: path
    required: true
  state:
    description: Whether the environment is there.
    type: str
    choices: [present, absent]
    default: present
  lock:
    description:
      - Text of the lock, as C(uv pip compile --generate-hashes) writes it. Comments do not count.
      - "A comment C(# installed-bytes: N) lets the free space be checked and the progress be told."
    type: str
  lock_file:
    description: Path of such a lock on the host, instead of O(lock).
    type: path
  uv:
    description: Path of uv on the host.
    type: path
    default: /opt/gpufleet/bin/uv
  requires_python:
    description: Range of Python versions that suit, for example V(>=3.11,<3.13). An empty one takes every version.
    type: str
    default: ""
  python:
    description: Path of the interpreter to build on. Empty takes the newest that suits in O(python_folders).
    type: str
    default: ""
  python_folders:
    description: Folders searched for C(python3) and C(python3.N).
    type: list
    elements: path
    default: [/usr/local/bin, /usr/bin]
  index_url:
    description: Package index that takes the place of those in pip's configuration. Empty keeps pip's configuration.
    type: str
    default: ""
  extra_index_urls:
    description: Further indexes.
    type: list
    elements: str
    default: []
  fallback_index_urls:
    description: Indexes that are asked only if the others do not have a file of the lock.
    type: list
    elements: str
    default: []
  find_links:
    description: Folders or pages with further files, as pip's option of that name.
    type: list
    elements: str
    default: []
  metadata_aliases:
    description:
      - Distributions whose metadata are to be found under a second name. Some programs ask for their own version under
        a name that a differently named build of them does not have.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The second name.
        type: str
        required: true
      provider:
        description: Name of the installed distribution.
        type: str
        required: true
      version:
        description: Version to answer.
        type: str
        required: true
  checks:
    description:
      - Programs of the environment, each with its arguments, that must succeed before it counts as complete.
    type: list
    elements: list
    default: []
  replace:
    description:
      - Build anew in place when the environment at O(path) was built from another lock. It is refused while a process
        runs from there.
    type: bool
    default: false
  cache_path:
    description: uv's cache on the host. On the file system of O(path) files are linked instead of copied.
    type: path
    default: /var/cache/gpufleet/uv
  progress_file:
    description: File on the host that is kept fresh with how far the work has come.
    type: path
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return changed status prediction without modifying the host.
  diff_mode:
    support: full
    description: Returns the sums of the locks before and after.
  platform:
    support: full
    platforms: linux
    description: Target operating system.
"""

EXAMPLES = r"""
- name: Build the environment of a tool
  gpufleet.vllm.uv_environment:
    path: /opt/gpufleet/runtimes/tool-1.2.3
    lock: "{{ lookup('ansible.builtin.file', 'tool-1.2.3.txt') }}"
    requires_python: ">=3.11,<3.14"

- name: Remove it
  gpufleet.vllm.uv_environment:
    path: /opt/gpufleet/runtimes/tool-1.2.3
    state: absent
"""

RETURN = r"""
path:
  description: The environment.
  returned: always
  type: str
environment:
  description: What the completion marker says. Empty if there is none.
  returned: success
  type: dict
  contains:
    schema:
      description: Version of this structure.
      type: int
      sample: 1
    lock_sha256:
      description: Sum of the lock without its comments.
      type: str
    python:
      description: Version of the interpreter.
      type: str
      sample: 3.11.2
    interpreter:
      description: Path of the interpreter that it was built on.
      type: str
      sample: /usr/bin/python3.11
    uv:
      description: Version of uv that built it.
      type: str
    packages:
      description: Number of packages.
      type: int
    installed_bytes:
      description: Bytes of its files.
      type: int
actions:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [remove incomplete environment, build]
code:
  description: Stable code of the problem.
  returned: failure
  type: str
  sample: runtime.python_unsuitable
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _pip_config as pip_config
from ..module_utils import _python_env as python_env
from ..module_utils._errors import Problem
from ..module_utils._host.pythons import interpreters
from ..module_utils._hub._progress import Progress
from ..module_utils._uv_build import Builder, exclusive


def runner(module):
    def run(command):
        return module.run_command(command)[:2]

    return run


def read_lock(module):
    if module.params["lock"] is not None:
        return python_env.Lock(module.params["lock"])
    try:
        with open(module.params["lock_file"], encoding="utf-8") as stream:
            return python_env.Lock(stream.read())
    except OSError as error:
        raise Problem(
            "runtime.bad_lock",
            "The lock is to be read from %s" % module.params["lock_file"],
            str(error),
            "Copy it there first",
        ) from None


def wanted_sum(module, lock):
    """Sum of all that goes into the environment: with aliases it is more than the lock."""
    aliases = ["%(name)s=%(provider)s=%(version)s" % alias for alias in module.params["metadata_aliases"]]
    return python_env.combined_sum(lock, aliases)


def is_whole(path, marker):
    """Whether the environment is complete and its interpreter has not been taken away from under it."""
    return bool(marker) and os.path.exists(os.path.join(path, "bin", "python"))


def judge(module, lock, marker):
    """The actions that lead from what is there to what is wanted; raises Problem if it must not be done."""
    path = module.params["path"]
    if is_whole(path, marker):
        if marker.get("lock_sha256") == wanted_sum(module, lock):
            return []
        if not module.params["replace"]:
            raise Problem(
                "runtime.environment_differs",
                "The environment %s is to be built from the lock %s" % (path, wanted_sum(module, lock)[:12]),
                "it is there, built from the lock %s, and services may be running from it"
                % str(marker.get("lock_sha256"))[:12],
                "Give the new one another path, or stop what runs from it and set replace (in a role <role>_replace)",
            )
        python_env.require_unused(path)
        return ["remove environment of another lock", "build"]
    return ["remove incomplete environment", "build"] if os.path.lexists(path) else ["build"]


def build(module, lock, interpreter, progress, descriptor):
    params = module.params
    path = params["path"]
    # Whoever runs services from here is not root; a login may have a umask that shuts everybody else out.
    os.umask(0o022)
    os.makedirs(params["cache_path"], exist_ok=True)
    environment = dict(os.environ, UV_CACHE_DIR=params["cache_path"], UV_PYTHON_DOWNLOADS="never", NO_COLOR="1")
    sources = pip_config.uv_environment(
        pip_config.read(os.environ), params["index_url"], params["extra_index_urls"], params["find_links"], os.environ
    )
    environment.update(sources)
    secrets = pip_config.passwords([*sources.values(), *params["fallback_index_urls"]])
    module.no_log_values.update(secrets)
    builder = Builder(params["uv"], environment, progress, lambda text: pip_config.scrub(text, secrets), descriptor)
    uv_version = builder.version()
    progress.stage("remove", path)
    python_env.remove_tree(path)
    python_env.require_space(path, lock.installed_bytes)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    site_packages = builder.create(path, interpreter["path"])
    builder.install(path, lock, params["fallback_index_urls"])
    for alias in params["metadata_aliases"]:
        python_env.write_metadata_alias(site_packages, alias["name"], alias["version"], alias["provider"])
    for command in params["checks"]:
        builder.prove(path, [str(word) for word in command])
    python_env.write_marker(
        path,
        {
            "lock_sha256": wanted_sum(module, lock),
            "python": interpreter["version"],
            "interpreter": interpreter["path"],
            "uv": uv_version,
            "packages": len(python_env.distributions(site_packages)),
            "installed_bytes": python_env.tree_bytes(path),
        },
    )


def present(module, progress):
    path = module.params["path"]
    lock = read_lock(module)
    before = python_env.read_marker(path)
    actions = judge(module, lock, before)
    if actions:
        found = interpreters(runner(module), candidate_folders(module))
        interpreter = python_env.choose_interpreter(
            found, module.params["requires_python"], module.params["python"], path
        )
        if not module.check_mode:
            with exclusive(path, progress) as descriptor:
                # Whoever had the lock before may have built it meanwhile.
                actions = judge(module, lock, python_env.read_marker(path))
                if actions:
                    build(module, lock, interpreter, progress, descriptor)
    after = python_env.read_marker(path)
    wanted = {"lock_sha256": wanted_sum(module, lock)}
    had = {"lock_sha256": before["lock_sha256"]} if before else {}
    return actions, after, {"before": had if actions else wanted, "after": wanted}


def candidate_folders(module):
    request = module.params["python"]
    return [os.path.dirname(request)] if request else module.params["python_folders"]


def absent(module, progress):
    path = module.params["path"]
    marker = python_env.read_marker(path)
    if not os.path.lexists(path):
        return [], {}, {"before": {}, "after": {}}
    if not module.check_mode:
        with exclusive(path, progress):
            progress.stage("remove", path)
            python_env.remove_tree(path)
    return ["remove"], {}, {"before": marker or {"path": path}, "after": {}}


def main():
    alias_spec = {name: {"type": "str", "required": True} for name in ("name", "provider", "version")}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "lock": {"type": "str"},
            "lock_file": {"type": "path"},
            "uv": {"type": "path", "default": "/opt/gpufleet/bin/uv"},
            "requires_python": {"type": "str", "default": ""},
            "python": {"type": "str", "default": ""},
            "python_folders": {"type": "list", "elements": "path", "default": ["/usr/local/bin", "/usr/bin"]},
            "index_url": {"type": "str", "default": ""},
            "extra_index_urls": {"type": "list", "elements": "str", "default": []},
            "fallback_index_urls": {"type": "list", "elements": "str", "default": []},
            "find_links": {"type": "list", "elements": "str", "default": []},
            "metadata_aliases": {"type": "list", "elements": "dict", "default": [], "options": alias_spec},
            "checks": {"type": "list", "elements": "list", "default": []},
            "replace": {"type": "bool", "default": False},
            "cache_path": {"type": "path", "default": "/var/cache/gpufleet/uv"},
            "progress_file": {"type": "path"},
        },
        mutually_exclusive=[("lock", "lock_file")],
        required_if=[("state", "present", ("lock", "lock_file"), True)],
        supports_check_mode=True,
    )
    # Addresses may carry a password, which must not come back among the arguments.
    for name in ("index_url", "extra_index_urls", "fallback_index_urls", "find_links"):
        module.no_log_values.update(pip_config.passwords(module.params[name]))
    progress = Progress(module.params["progress_file"])
    path = module.params["path"]
    try:
        work = present if module.params["state"] == "present" else absent
        actions, environment, diff = work(module, progress)
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code, path=path)
    except ValueError as error:
        module.fail_json(msg="[inventory.bad_type] requires_python: %s." % error, code="inventory.bad_type", path=path)
    except OSError as error:
        module.fail_json(msg="[host.io] The environment %s: %s." % (path, error), code="host.io", path=path)
    module.exit_json(changed=bool(actions), path=path, environment=environment, actions=actions, diff=diff)


if __name__ == "__main__":
    main()
