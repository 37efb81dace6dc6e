# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Names of engine arguments: the one that a release has for what the user wrote, or why it has none."""

from __future__ import annotations

import difflib
from typing import Any

from ..errors import PlanError, warning
from .catalogue import Catalogue, dotted, first_with, gone_since
from .retired import NEVER, REMEDIES, RESERVED


def long_name(
    raw: str, value: Any, release: Catalogue, version: tuple[int, ...], remarks: list[str]
) -> tuple[str, Any]:
    """The release's own long name for ``raw``, and the value that it then takes.

    What argparse would understand on a command line is corrected, and said in ``remarks``. Raises PlanError where the
    argument is not the user's, gone, not there yet or unknown.
    """
    base, dot, rest = raw.partition(".")
    name = base.replace("_", "-")  # vLLM takes both
    _check_reserved(raw, name)
    if name in release.kinds and (not dot or release.kinds[name].startswith("json")):
        return name + dot + rest, value
    stripped = name.lstrip("-")
    _check_reserved(raw, stripped)
    found, changed = _completed(stripped, value, release)
    if found is None:
        raise _unknown(raw, stripped, release, version)
    _check_reserved(raw, found)
    if dot and not release.kinds[found].startswith("json"):
        raise _unknown(raw, stripped, release, version)
    shown = "%s: %s" % (found, "true" if changed else "false") if changed is not value else found
    text = "engine_args: %s is written as %s, its full name in vLLM %s." % (raw, shown, dotted(version))
    remarks.append(warning("plan.corrected_engine_argument", text))
    return found + dot + rest, changed


def remedy(name: str, release: Catalogue) -> str | None:
    """What to do where ``name`` is gone or going; None where nothing better than leaving it out is known."""
    text = REMEDIES.get(name)
    if text is None or not text.startswith("Use "):
        return text
    successor = text[4:].split(":")[0].split(" ")[0]
    # What is to be used instead may not be there yet, or be a key of the inventory rather than an argument.
    return text if successor in release.kinds or successor in ("vllm_device,", "runner") else None


def _check_reserved(raw: str, name: str) -> None:
    if name in RESERVED:
        reason, instead = RESERVED[name]
        raise PlanError("plan.reserved_engine_argument", "engine_args has %s. %s." % (raw, reason), (instead + ".",))


def _completed(stripped: str, value: Any, release: Catalogue) -> tuple[str | None, Any]:
    """The long name of which ``stripped`` is the short form, the negation or the only completion."""
    kinds = release.kinds
    if stripped in kinds:
        return stripped, value
    if stripped in release.short:
        long = release.short[stripped]
        return (long[1:], _negated(value)) if long.startswith("!") else (long, value)
    if stripped.startswith("no-") and kinds.get(stripped[3:]) == "flag":
        return stripped[3:], _negated(value)
    if len(stripped) < 4:
        return None, value
    # As argparse does: --max-num-seq is --max-num-seqs as long as nothing else begins like it.
    near = [name for name in kinds if name.startswith(stripped)]
    near += [name for name, long in release.short.items() if len(name) > 4 and name.startswith(stripped)]
    if len(near) == 1 and stripped not in REMEDIES:
        return _completed(near[0], value, release)
    return None, value


def _negated(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off"):
        value = value.lower() in ("true", "yes", "on")
    return not value if isinstance(value, bool) else value


def _unknown(raw: str, name: str, release: Catalogue, version: tuple[int, ...]) -> PlanError:
    """Why there is no ``name``: gone, not there yet, ambiguous, or a slip."""
    since = gone_since("arguments", name, version)
    if since is None and name in REMEDIES and first_with("arguments", name, version) is None:
        since = (0, 8, 5)
    if since is not None:
        never = name in NEVER
        return PlanError(
            "plan.removed_engine_argument",
            "engine_args has %s, which vLLM %s does not know%s."
            % (raw, dotted(version), "" if never or since == (0, 8, 5) else "; %s dropped it" % dotted(since)),
            ((remedy(name, release) or REMEDIES.get(name) or "Leave it out") + ".",),
        )
    later = first_with("arguments", name, version)
    if later is not None:
        return PlanError(
            "plan.early_engine_argument",
            "engine_args has %s, which vLLM %s does not know yet." % (raw, dotted(version)),
            ("Use vLLM %s or newer, the first that has it." % dotted(later), "Leave it out."),
        )
    near = sorted(entry for entry in release.kinds if len(name) > 3 and entry.startswith(name))[:4]
    near = near or difflib.get_close_matches(name, release.kinds, 1, 0.6)
    return PlanError(
        "plan.unknown_engine_argument",
        "engine_args has %s, which no vLLM knows; release %s was asked for." % (raw, dotted(version)),
        ("Did you mean %s?" % " or ".join(near) if near else "Remove it.",),
    )
