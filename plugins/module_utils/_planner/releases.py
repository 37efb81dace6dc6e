# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Releases of vLLM: reading a version, the nearest known one, and what each was built with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .arguments import data_releases
from .errors import InvalidRequest


@dataclass(frozen=True)
class CudaBuild:
    """A build of a release: ``name`` as in cu130; ``driver`` is the oldest branch of the driver that carries it.

    ``origin``: ``wheel`` is what the Python index has and what the default image holds, ``release`` stands beside the
    release's source (wheel) or as a tag of its own (image). ``compat_drivers`` are older branches on which the image
    runs with its compatibility libraries, on data-centre and professional cards only.
    """

    name: str
    cuda: tuple[int, int]
    origin: str
    driver: int
    compat_drivers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Release:
    """What one release was built with; ``python`` is the oldest version and the first that is too new."""

    name: str
    version: tuple[int, ...]
    wheel_cuda: tuple[int, int]
    image_cuda: tuple[int, ...]
    torch: str
    python: tuple[tuple[int, int], tuple[int, int]]
    utilization: float


def parse(text: str) -> tuple[int, ...]:
    """``0.8.5.post1`` as (0, 8, 5); ``0.19.x`` as the last release that 0.19 could have."""
    match = re.fullmatch(r"v?(\d{1,4})\.(\d{1,4})((?:\.\d{1,4})*)(\.x)?(?:[.+-]?[a-z][a-z0-9.+]*)?", text, re.ASCII)
    if match is None:
        raise InvalidRequest("vllm_version %r is not a version such as '0.32.0'" % text[:60])
    numbers = [int(match.group(1)), int(match.group(2))] + [int(part) for part in match.group(3).split(".")[1:]]
    return tuple(numbers + [9999]) if match.group(4) else tuple(numbers)


def _pair(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _row(line: str) -> Release:
    name, wheel, image, torch, low, high, utilization = line.split()
    return Release(name, parse(name), _pair(wheel), parse(image), torch, (_pair(low), _pair(high)), float(utilization))


RELEASES = tuple(_row(line) for line in data_releases.TEXT.split("\n") if line)
KNOWN = tuple(release.name for release in RELEASES)
_VERSIONS = tuple(release.version for release in RELEASES)
# Branch of the driver that each CUDA demands. Within one major version a newer CUDA runs on the driver of the first.
_DRIVERS = {11: 450, 12: 525, 13: 580}
_COMPAT_DRIVERS = {13: (535, 570)}
# First release -> builds that stand beside the default one.
_BESIDE = (
    ((0, 8, 5), ((11, 8), (12, 1))),
    ((0, 9, 0), ((11, 8), (12, 6))),
    ((0, 12, 0), ((12, 8), (13, 0))),
    ((0, 20, 0), ((12, 9),)),
)


def resolve(text: str) -> tuple[tuple[int, ...], str | None]:
    """The release to plan as, and a warning where ``text`` itself is not a known release."""
    asked = parse(text)
    if len(asked) == 2:
        asked = asked + (0,)
    lower = [entry for entry in _VERSIONS if entry <= asked]
    if not lower:
        raise InvalidRequest("vllm_version %s is older than %s, the oldest release known" % (text[:60], KNOWN[0]))
    nearest = max(lower)
    dotted = ".".join(str(part) for part in nearest)
    if nearest == asked:
        if re.search(r"[0-9](a|b|rc|\.dev)[0-9]", text.partition("+")[0]):
            return nearest, "vLLM %s is not a release; planned as %s, which it led to." % (text[:60], dotted)
        return nearest, None
    return nearest, "vLLM %s is not known; planned as %s, the nearest lower release." % (text[:60], dotted)


def facts(version: tuple[int, ...]) -> Release:
    """What ``version`` was built with; of a release that is not known, what the nearest lower one was."""
    lower = [release for release in RELEASES if release.version <= version]
    return lower[-1] if lower else RELEASES[0]


def default_utilization(version: tuple[int, ...]) -> float:
    """vLLM's own gpu-memory-utilization."""
    return facts(version).utilization


def cuda_builds(version: tuple[int, ...]) -> tuple[CudaBuild, ...]:
    """Builds of ``version`` for NVIDIA cards, the default one first."""
    release = facts(version)
    beside = [cudas for since, cudas in _BESIDE if since <= release.version][-1]
    return tuple(
        [_build(release.wheel_cuda, "wheel")]
        + [_build(cuda, "release") for cuda in sorted(beside, reverse=True) if cuda != release.wheel_cuda]
    )


def builds_for_driver(version: tuple[int, ...], branch: int) -> tuple[CudaBuild, ...]:
    """Those of the builds that a driver of ``branch`` (such as 535) carries without compatibility libraries."""
    return tuple(build for build in cuda_builds(version) if build.driver <= branch)


def newest_for_driver(branch: int) -> Release | None:
    """The newest release whose default build runs on a driver of ``branch``."""
    fitting = [release for release in RELEASES if _DRIVERS[release.wheel_cuda[0]] <= branch]
    return fitting[-1] if fitting else None


def _build(cuda: tuple[int, int], origin: str) -> CudaBuild:
    return CudaBuild("cu%d%d" % cuda, cuda, origin, _DRIVERS[cuda[0]], _COMPAT_DRIVERS.get(cuda[0], ()))
