# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""What systemd says about a unit, and how to check a unit before it lands.

Nothing here imports Ansible: callers pass a ``run`` callable with the signature of ``AnsibleModule.run_command``
(list of arguments in, ``(rc, stdout, stderr)`` out), so that tests can script it.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

Run = t.Callable[..., "tuple[int, str, str]"]

_SHOWN = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "Job",
    "MainPID",
    "NRestarts",
    "ExecMainCode",
    "ExecMainStatus",
    "InvocationID",
    "NeedDaemonReload",
    "UnitFileState",
    "FragmentPath",
    "Environment",
    "ActiveEnterTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
)


class UnitError(Exception):
    """systemctl, journalctl or systemd-analyze answered something that cannot be used; the text says what."""


def parse_show(text: str) -> dict[str, str]:
    """``systemctl show`` output (``Key=value`` lines) as a dict; a line without ``=`` is ignored."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, sep, value = line.partition("=")
        if sep:
            values[key] = value
    return values


def show(run: Run, unit: str) -> dict[str, str]:
    """The properties of ``unit`` that this collection reads. Raises UnitError when systemd does not answer."""
    rc, out, err = run(["systemctl", "show", "--no-pager", "--property=" + ",".join(_SHOWN), "--", unit])
    if rc != 0:
        raise UnitError(err.strip() or out.strip() or "systemctl show ended with %d" % rc)
    return parse_show(out)


def number(values: t.Mapping[str, str], key: str) -> int:
    """A property that is a whole number; 0 when systemd has none (empty, ``[not set]``)."""
    value = values.get(key, "").split(" ")[0]
    return int(value) if value.isdigit() else 0


def environment_value(values: t.Mapping[str, str], name: str) -> str | None:
    """One assignment from the ``Environment`` property of a unit; values with blanks are quoted by systemd."""
    match = re.search(r'(?:^| )"?%s=([^" ]*)' % re.escape(name), values.get("Environment", ""))
    return match.group(1) if match else None


def journal(run: Run, unit: str, invocation: str = "", lines: int = 200) -> list[str]:
    """The last journal lines of ``unit``, oldest first; only of one start when ``invocation`` is given.

    A host without a readable journal gives an empty list: the journal explains a failure, it does not decide it.
    """
    # Lines of the unit's processes carry _SYSTEMD_INVOCATION_ID, lines of PID 1 about the unit carry INVOCATION_ID.
    if invocation:
        match = ["_SYSTEMD_INVOCATION_ID=" + invocation, "+", "INVOCATION_ID=" + invocation]
    else:
        match = ["--unit=" + unit]
    rc, out, _err = run(["journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=%d" % lines] + match)
    return out.splitlines() if rc == 0 else []


def version(run: Run) -> int:
    """The major version of systemd, 0 when it cannot be told."""
    rc, out, _err = run(["systemctl", "--version"])
    match = re.match(r"systemd (\d+)", out)
    return int(match.group(1)) if rc == 0 and match else 0


def verify(run: Run, stage: str, unit: str) -> list[str]:
    """Check ``unit`` composed from the files under ``stage`` and the host's own unit folders.

    ``stage`` holds the unit's text under its own name and drop-ins in ``<unit>.d``. Returns what is wrong, one
    sentence a line, empty when the unit is sound. ``--recursive-errors=no`` (systemd >= 250) is what turns a mistyped
    key, which systemd only warns about, into a failure; it also keeps other units' faults out of the verdict.
    """
    command = ["systemd-analyze", "verify", "--man=no"]
    if version(run) >= 250:
        command.append("--recursive-errors=no")
    path = str(Path(stage) / unit)
    rc, out, err = run(command + [path], environ_update={"SYSTEMD_UNIT_PATH": stage + ":", "SYSTEMD_COLORS": "0"})
    if rc == 0:
        return []
    lines = [line.replace(stage + "/", "") for line in (err + out).splitlines() if line.strip()]
    # Other units of the host may be faulty too; their lines are kept only when nothing names ours.
    ours = [line for line in lines if unit in line or line.split(":")[0].endswith(".conf")]
    return ours or lines or ["systemd-analyze verify ended with %d" % rc]
