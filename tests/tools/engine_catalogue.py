# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the tables of all releases from what tests/tools/engine_arguments.py read of each.

    python3 tests/tools/engine_catalogue.py READ SOURCES

READ holds one <release>.json each, SOURCES the unpacked source distributions vllm-<release>. The oldest release stands
in full, every later one as what came and what went, so that one more release adds few lines.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "plugins/module_utils/_planner/arguments"
HEADER = '''# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""%s.

Made from vLLM's own sources by tests/tools/engine_catalogue.py; not to be edited.
"""

from __future__ import annotations

TEXT = """
'''
WHAT = {
    "data_arguments": "Arguments of `vllm serve` by release, as name:kind",
    "data_short": "Other spellings and deprecated arguments by release, as spelling:name and name:deprecated",
    "data_values": "Values that arguments take by release, as argument=value",
    "data_environment": "Environment variables that vLLM reads, by release",
    "data_models": "Architectures that vLLM has a model for, by release, as architecture:use",
}


def order(name: str) -> tuple[int, ...]:
    """0.8.5.post1 follows 0.8.5."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", name))


def tables(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The content of each module for one release, as key -> value."""
    short = dict(found["short"])
    short.update((name, "deprecated") for name in found["deprecated"])
    values = {}
    for name, entries in found["choices"].items():
        values.update(("%s=%s" % (name, entry), "") for entry in entries)
    return {
        "data_arguments": found["kinds"],
        "data_short": short,
        "data_values": values,
        "data_environment": dict.fromkeys(found["environment"], ""),
        "data_models": {name: use for name, use in found["architectures"].items() if use != "gone"},
    }


def words(sign: str, entries: list[str]) -> list[str]:
    if not entries:
        return []
    return textwrap.wrap(
        " ".join(entries), 118, initial_indent=sign + " ", subsequent_indent=sign + " ", break_on_hyphens=False
    )


def history(states: list[tuple[str, dict[str, str]]]) -> str:
    """The oldest state and the changes after it."""
    lines: list[str] = []
    before: dict[str, str] = {}
    for release, state in states:
        came = [
            name + (":" + value if value else "") for name, value in sorted(state.items()) if before.get(name) != value
        ]
        went = sorted(name for name in before if name not in state)
        changes = words("+", came) + words("-", went)
        if changes:
            lines += [release, *changes]
        before = state
    return "\n".join(lines)


def facts(release: str, folder: Path, found: dict[str, Any], before: list[str]) -> list[str]:
    """Release, CUDA of the wheel, CUDA of the image, torch, Python from and below, default utilisation."""

    def grep(pattern: str, *names: str) -> str | None:
        for name in names:
            path = folder / name
            match = re.search(pattern, path.read_text(), re.MULTILINE) if path.is_file() else None
            if match:
                return match.group(1)
        return None

    wheel = grep(r'VLLM_MAIN_CUDA_VERSION: str = "([0-9.]+)"', "vllm/envs.py")
    wheel = wheel or grep(r'^MAIN_CUDA_VERSION = "([0-9.]+)"', "setup.py")
    image = grep(r"^ARG CUDA_VERSION=([0-9.]+)", "docker/Dockerfile", "Dockerfile")
    torch = grep(r"^torch==([0-9.]+)", "requirements/cuda.txt", "requirements/cuda/cuda.txt")
    torch = torch or grep(r"^Requires-Dist: torch==([0-9.]+)", "METADATA")
    python = grep(r'^requires-python = "(.*)"', "pyproject.toml") or grep(r"^Requires-Python: (.*)$", "METADATA")
    low, high = (re.search(sign + r"([0-9.]+)", python or "") for sign in (">=", "<(?!=)"))
    row = [release, wheel, image, torch, low and low.group(1), high and high.group(1), str(found["utilization"])]
    # A wheel holds no Dockerfile; what the release before it had is the best answer.
    return [str(cell) if cell else before[i] for i, cell in enumerate(row)]


def main() -> None:
    read, sources = Path(sys.argv[1]), Path(sys.argv[2])
    releases = sorted((path.stem for path in read.glob("*.json")), key=order)
    found = {release: json.loads((read / (release + ".json")).read_text()) for release in releases}
    states = {release: tables(entry) for release, entry in found.items()}
    for module, what in WHAT.items():
        text = history([(release, states[release][module]) for release in releases])
        (FOLDER / (module + ".py")).write_text(HEADER % what + text + '\n"""\n')
    rows: list[list[str]] = []
    for release in releases:
        rows.append(facts(release, sources / ("vllm-" + release), found[release], rows[-1] if rows else []))
    text = "\n".join(" ".join(row) for row in rows)
    what = "Release, CUDA of its wheel and image, torch, Python from and below, default utilisation"
    (FOLDER / "data_releases.py").write_text(HEADER % what + text + '\n"""\n')


if __name__ == "__main__":
    main()
