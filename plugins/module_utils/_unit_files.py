# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Unit files and drop-ins on disk: compare, check in a scratch folder, write, reload, enable."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.gpufleet.vllm.plugins.module_utils import _systemd
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem

_UNIT_NAME = re.compile(r"^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|timer|socket|path|slice|target|mount)$")
#: where systemd looks after the managed folder, in its order
_FOLDERS = (Path("/etc/systemd/system"), Path("/usr/local/lib/systemd/system"), Path("/usr/lib/systemd/system"))
_DROPIN_NAME = re.compile(r"^[A-Za-z0-9_.-]+\.conf$")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def template_of(name: str) -> str | None:
    """``vllm@chat.service`` -> ``vllm@.service``; None for a unit that is no instance of a template."""
    stem, _dummy, suffix = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return "%s@.%s" % (prefix, suffix) if at and instance else None


class UnitFiles:
    """One unit in one folder. ``run`` and ``move`` are AnsibleModule's run_command and atomic_move."""

    def __init__(
        self,
        run: _systemd.Run,
        move: t.Callable[[str, str], t.Any],
        scratch: str,
        directory: str,
        name: str,
        check: bool,
    ) -> None:
        if not _UNIT_NAME.match(name):
            raise Problem(
                "unit.bad_name",
                "a unit named '%s'" % name,
                "this is no name of a systemd unit",
                "Give the name with its suffix, such as hello.service",
            )
        self.run = run
        self.move = move
        self.scratch = scratch
        self.directory = Path(directory)
        self.name = name
        self.check = check
        self.path = self.directory / name
        self.dropin_dir = self.directory / (name + ".d")
        self.actions: list[str] = []
        self.before: list[str] = []
        self.after: list[str] = []

    # -- what is wanted against what is there ---------------------------------------------------------------------

    def _wanted(self, content: str, dropins: list[dict[str, t.Any]]) -> dict[Path, str | None]:
        """Path -> text, or None for a file that must not be there."""
        wanted: dict[Path, str | None] = {}
        if content:
            wanted[self.path] = content if content.endswith("\n") else content + "\n"
        for dropin in dropins:
            if not _DROPIN_NAME.match(dropin["name"]):
                raise Problem(
                    "unit.bad_name",
                    "drop-in '%s' of unit '%s'" % (dropin["name"], self.name),
                    "its name is no plain file name that ends in .conf",
                    "Name it like 10-limits.conf",
                )
            text = dropin["content"]
            path = self.dropin_dir / dropin["name"]
            wanted[path] = None if dropin["state"] == "absent" else text if text.endswith("\n") else text + "\n"
        return wanted

    def _base_text(self, content: str) -> str | None:
        """Text of the unit file that the drop-ins are laid over: given, on disk, or the template's on disk."""
        if content:
            return content
        names = [self.name, template_of(self.name)]
        for folder in (self.directory, *_FOLDERS):
            for name in names:
                text = _read(folder / name) if name else None
                if text is not None:
                    return text
        return None

    def _verify(self, content: str, wanted: dict[Path, str | None], instance: str) -> bool:
        """Check the composed unit in a scratch folder. False if there is nothing yet to compose it with."""
        base = self._base_text(content)
        if base is None:
            if self.check:
                return False
            raise Problem(
                "unit.not_found",
                "drop-ins for unit '%s'" % self.name,
                "the host has no such unit",
                "Install the unit first, or give its text",
            )
        stem, _dummy, suffix = self.name.rpartition(".")
        composed = "%s%s.%s" % (stem, instance, suffix) if stem.endswith("@") else self.name
        stage = Path(tempfile.mkdtemp(prefix="unit-", dir=self.scratch))
        try:
            dropin_dir = stage / (composed + ".d")
            dropin_dir.mkdir()
            (stage / composed).write_text(base, encoding="utf-8")
            for path, text in wanted.items():
                if path != self.path:
                    # An empty drop-in hides the one of that name that is still on the host.
                    (dropin_dir / path.name).write_text(text or "", encoding="utf-8")
            faults = _systemd.verify(self.run, str(stage), composed)
        finally:
            shutil.rmtree(stage)
        if self.check:
            faults = [fault for fault in faults if "is not executable" not in fault]
        if faults:
            raise Problem(
                "unit.invalid",
                "unit '%s'" % self.name,
                "; ".join(faults).rstrip("."),
                "Correct the unit or its drop-in; nothing was changed on the host",
            )
        return True

    # -- changing the host ----------------------------------------------------------------------------------------

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.scratch)
        os.close(handle)
        temporary = Path(name)
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)
        self.move(name, str(path))

    def _apply(self, path: Path, text: str | None) -> None:
        old = _read(path)
        if old == text:
            return
        self.actions.append(("write %s" if text is not None else "remove %s") % path)
        self.before.append("# %s\n%s" % (path, old or ""))
        self.after.append("# %s\n%s" % (path, text or ""))
        if self.check:
            return
        if text is not None:
            self._write(path, text)
        else:
            path.unlink()

    def _reload(self) -> None:
        changed = any(action.startswith(("write", "remove")) for action in self.actions)
        # A template cannot be asked; its instances tell the same when they are installed.
        if not changed and not self.name.rpartition(".")[0].endswith("@"):
            changed = _systemd.show(self.run, self.name).get("NeedDaemonReload") == "yes"
        if changed:
            self._systemctl("daemon-reload")

    def _systemctl(self, *arguments: str) -> None:
        self.actions.append(" ".join(arguments))
        if self.check:
            return
        rc, out, err = self.run(["systemctl"] + list(arguments))
        if rc != 0:
            raise _systemd.UnitError("systemctl %s: %s" % (" ".join(arguments), (err or out).strip()))

    def _is_enabled(self) -> bool:
        _rc, out, _err = self.run(["systemctl", "is-enabled", "--", self.name])
        return out.strip() in ("enabled", "enabled-runtime")

    def _result(self, verified: bool) -> dict[str, t.Any]:
        return {
            "changed": bool(self.actions),
            "actions": self.actions,
            "verified": verified,
            "diff": {"before": "\n".join(self.before), "after": "\n".join(self.after)},
        }

    def install(
        self, content: str, dropins: list[dict[str, t.Any]], instance: str, enabled: bool | None
    ) -> dict[str, t.Any]:
        """Check, write what differs, reload, enable or disable. Raises Problem before anything was changed."""
        wanted = self._wanted(content, dropins)
        verified = self._verify(content, wanted, instance)
        for path, text in wanted.items():
            self._apply(path, text)
        self._reload()
        if enabled is not None and enabled != self._is_enabled():
            self._systemctl("enable" if enabled else "disable", self.name)
        return self._result(verified)

    def remove(self) -> dict[str, t.Any]:
        """Disable the unit, remove its file and its drop-in folder, reload."""
        if self._is_enabled():
            self._systemctl("disable", self.name)
        if self.dropin_dir.is_dir():
            for entry in sorted(self.dropin_dir.iterdir()):
                self._apply(entry, None)
            if not self.check:
                self.dropin_dir.rmdir()
        self._apply(self.path, None)
        self._reload()
        return self._result(False)
