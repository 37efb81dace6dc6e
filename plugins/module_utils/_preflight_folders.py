# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Whether engines can see the folders of their models. Pure.

An engine has a user of its own, and its unit hides the folders of people and everything temporary. What root reads
without trouble, an engine may not find at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._errors import Problem

# ProtectHome, PrivateTmp and InaccessiblePaths of the unit.
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (nothing is written there)


def folder_claims(deployments: Sequence[Mapping[str, Any]], models_dir: str) -> list[dict[str, str]]:
    """Folders that engines read: {who, path, remedy}. The store counts where a model is to lie in it."""
    wanted = [entry for entry in deployments if entry["state"] != "absent"]
    claims = [
        {
            "who": "Deployment '%s' reads its model" % entry["name"],
            "path": entry["model"]["path"],
            "remedy": "its model.path",
        }
        for entry in wanted
        if entry["model"].get("path")
    ]
    if len(claims) < len(wanted):
        claims.append({"who": "Engines read their models", "path": models_dir, "remedy": "model_store_path"})
    return claims


def folder_problems(facts: Mapping[str, Any], claims: Iterable[Mapping[str, str]]) -> list[Problem]:
    """Folders that lie where no service looks, or that only their owner may read."""
    problems = []
    for claim in claims:
        path, found = claim["path"], facts["folders"][claim["path"]]
        asked = "%s in %s" % (claim["who"], path)
        hidden = next((place for place in HIDDEN if _within(path, place) or _within(found["real"], place)), None)
        if hidden is not None:
            real = "" if found["real"] == path else " (%s)" % found["real"]
            problems.append(
                Problem(
                    "model.hidden",
                    asked,
                    "That folder%s lies below %s, which services do not see" % (real, hidden),
                    "Move it, for example below /srv, and set %s" % claim["remedy"],
                )
            )
        elif found["closed"] is not None:
            problems.append(
                Problem(
                    "model.unreadable",
                    asked,
                    "%s keeps other users out, and engines have a user of their own" % found["closed"],
                    "Let all users read it: chmod o+rX %s" % found["closed"],
                )
            )
    return problems


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(place + "/")
