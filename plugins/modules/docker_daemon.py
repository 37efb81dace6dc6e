#!/usr/bin/python
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Merge settings into Docker's daemon.json
version_added: "1.0.0"
description:
  - Lays settings over the C(daemon.json) that the host has. What others wrote there stays; the file is never replaced.
  - The result is checked by the daemon's own C(--validate) before it is put into place (Docker 23 and later), and
    against the options on the command line of its unit, because Docker does not start with one setting in both places.
  - What was there before is kept in a record, so that O(state=absent) gives it back, and in a backup beside the file.
  - Neither starts nor restarts Docker, but says whether it needs a restart, also after a run that was killed before it.
author:
  - gpufleet contributors (@gpufleet)
options:
  settings:
    description:
      - What is to stand in the file. Objects are merged with those of the file, lists and values replace them, and a
        null takes the key away.
    type: dict
    default: {}
  state:
    description:
      - With V(absent) all that this module ever set is taken out again, and what stood there before is put back.
    type: str
    choices: [present, absent]
    default: present
  path:
    description: The file.
    type: path
    default: /etc/docker/daemon.json
  record:
    description: Where it is remembered what the file held before.
    type: path
    default: /var/lib/gpufleet/docker-daemon.json
  unit:
    description: Unit of the daemon, whose command line is looked at.
    type: str
    default: docker.service
attributes:
  check_mode:
    support: full
    description: Can run in check mode without changing anything.
  diff_mode:
    support: full
    description: Returns what changed when in diff mode.
"""

EXAMPLES = r"""
- name: Keep logs small and containers alive over a restart of Docker
  gpufleet.vllm.docker_daemon:
    settings:
      log-driver: local
      live-restore: true
  register: docker_settings

- name: Restart Docker for them
  ansible.builtin.systemd_service:
    name: docker.service
    state: restarted
  when: docker_settings.restart_needed
"""

RETURN = r"""
validated:
  description: Whether the daemon's own check ran. False where Docker is missing or older than 23.
  returned: always
  type: bool
restart_needed:
  description: Whether Docker runs with settings older than the file.
  returned: always
  type: bool
installed:
  description: Whether there is a daemon on the host.
  returned: always
  type: bool
backup:
  description: Copy of the file as it was; empty where nothing was overwritten.
  returned: always
  type: str
settings:
  description: What the file holds now, or would hold in check mode.
  returned: always
  type: dict
code:
  description: Stable code of the failure.
  returned: failure
  type: str
  sample: docker.bad_config
"""

import os
import tempfile
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gpufleet.vllm.plugins.module_utils import _docker_daemon as daemon
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem

SPEC = {
    "settings": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "path": {"type": "path", "default": "/etc/docker/daemon.json"},
    "record": {"type": "path", "default": "/var/lib/gpufleet/docker-daemon.json"},
    "unit": {"type": "str", "default": "docker.service"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        module.exit_json(**apply(module))
    except Problem as problem:
        module.fail_json(msg=str(problem), code=problem.code)
    except OSError as error:
        module.fail_json(msg="[docker.failed] %s: %s" % (module.params["path"], error), code="docker.failed")


def apply(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring file and record to what is wanted; raises Problem before anything is written."""
    params = module.params
    path, record = Path(params["path"]), Path(params["record"])
    current, kept = daemon.read(path), daemon.read(record).get("before", {})
    if params["state"] == "absent":
        wanted, kept_then = daemon.restored(current, kept), {}
    else:
        wanted = daemon.merged(current, params["settings"])
        kept_then = daemon.before(current, params["settings"], kept)
        refuse_conflicts(module, set(params["settings"]) & set(wanted))
    changed = wanted != current
    validated = validate(module, path, wanted) if changed and wanted else False
    backup = ""
    if not module.check_mode:
        if kept_then != kept:
            # first, so that a run that is killed in between can still be undone
            put(module, record, daemon.text_of({"schema": 1, "before": kept_then}) if kept_then else "")
        if changed:
            backup = (module.backup_local(str(path)) or "") if path.exists() and current else ""
            put(module, path, daemon.text_of(wanted))
    diff = {"before_header": str(path), "after_header": str(path)}
    diff.update(before=daemon.text_of(current), after=daemon.text_of(wanted))
    return {
        "changed": changed,
        "validated": validated,
        "restart_needed": outdated(module, path, changed),
        "installed": bool(module.get_bin_path("dockerd")),
        "backup": backup,
        "settings": wanted,
        "diff": diff,
    }


def outdated(module: AnsibleModule, path: Path, changed: bool) -> bool:
    """Whether the daemon runs, and has started before the file became what it is."""
    status, out, _err = module.run_command(
        ["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", module.params["unit"]],
        check_rc=False,
        handle_exceptions=True,
    )
    shown = dict(line.split("=", 1) for line in out.splitlines() if "=" in line) if status == 0 else {}
    if shown.get("ActiveState") != "active":
        return False
    if changed or not path.exists():
        return changed
    age_of_file = time.time() - path.stat().st_mtime
    age_of_daemon = time.clock_gettime(time.CLOCK_MONOTONIC) - int(shown["ActiveEnterTimestampMonotonic"]) / 1e6
    return age_of_file < age_of_daemon


def refuse_conflicts(module: AnsibleModule, names: set[str]) -> None:
    """Raises Problem where a setting stands on the daemon's command line too."""
    status, out, _err = module.run_command(
        ["systemctl", "cat", module.params["unit"]], check_rc=False, handle_exceptions=True
    )
    lines = [line for line in out.splitlines() if line.startswith("ExecStart=")] if status == 0 else []
    # an empty ExecStart= of a drop-in takes back those before it
    while "ExecStart=" in lines:
        lines = lines[lines.index("ExecStart=") + 1 :]
    both = daemon.conflicts(lines, names)
    if both:
        raise Problem(
            "docker.flag_conflict",
            "%s for Docker in %s" % (" and ".join(both), module.params["path"]),
            "The command line of %s sets it too (%s), and Docker starts with it in one place only"
            % (module.params["unit"], " ".join(lines)),
            "Take the option out of the unit's drop-in, or leave it out of the settings",
        )


def validate(module: AnsibleModule, path: Path, wanted: dict[str, t.Any]) -> bool:
    """Have the daemon read the new text. False where it cannot; raises Problem where it refuses."""
    program = module.get_bin_path("dockerd")
    status, out, _err = module.run_command([program, "--version"]) if program else (1, "", "")
    version = daemon.version_of(out) if status == 0 else None
    if version is None or version < (23, 0):
        return False
    with tempfile.NamedTemporaryFile("w", dir=module.tmpdir, suffix=".json", encoding="utf-8") as stream:
        stream.write(daemon.text_of(wanted))
        stream.flush()
        status, out, err = module.run_command([program, "--validate", "--config-file=" + stream.name])
    if status:
        raise Problem(
            "docker.bad_config",
            "settings for Docker are to be merged into %s" % path,
            "Docker refuses the result: %s" % " ".join((err or out).split())[:400],
            "Correct the settings or the file; it was left as it is",
        )
    return True


def put(module: AnsibleModule, path: Path, text: str) -> None:
    """Write the file by one rename, or remove it where there is nothing to say."""
    if not text:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(scratch, 0o644)
    module.atomic_move(scratch, str(path))


if __name__ == "__main__":
    main()
