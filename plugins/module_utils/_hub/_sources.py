# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

from typing import Any, Callable, TypeVar

from .._errors import Problem
from ._dialects import HUBS, Hub
from ._folder import FolderHub, is_folder
from ._http import HttpFailure
from ._types import DEFAULT_ENDPOINTS, FileEntry, Listing, check_entries, check_model_id

Result = TypeVar("Result")

# Which of several failures a person should hear about first: the one that is most surely the cause.
_WEIGHT = {
    "hub.unauthorized": 5,
    "hub.unsafe_path": 4,
    "hub.bad_listing": 4,
    "hub.unreachable": 3,
    "model.revision_not_found": 2,
    "model.empty": 2,
    "model.not_found": 1,
}
# What one endpoint says about these holds for its mirrors too, so they are not asked.
_FINAL_FOR_SOURCE = ("hub.unauthorized", "model.not_found", "model.revision_not_found", "model.empty")


def endpoints_of(source: str, endpoints: dict[str, Any] | None) -> list[str]:
    """Ranked endpoint URLs of ``source``: those given, or the public ones."""
    given = (endpoints or {}).get(source) or DEFAULT_ENDPOINTS[source]
    return [given] if isinstance(given, str) else [str(url) for url in given]


def hubs_of(
    sources: list[str], endpoints: dict[str, Any] | None, tokens: dict[str, str] | None, timeout: float
) -> list[Hub]:
    """Every endpoint of every source, in the order in which they are tried. ``timeout`` in seconds.

    A token goes to the endpoints that were given, or else to the source's own: a mirror that nobody named gets none.
    """
    hubs: list[Hub] = []
    for source in sources:
        token = (tokens or {}).get(source) or None
        trusted = endpoints_of(source, endpoints) if (endpoints or {}).get(source) else DEFAULT_ENDPOINTS[source][:1]
        for url in endpoints_of(source, endpoints):
            secret = token if url in trusted else None
            hubs.append(FolderHub(url, source) if is_folder(url) else HUBS[source](url, secret, timeout))
    return hubs


def find(hubs: list[Hub], model_id: str, revision: str | None) -> tuple[Hub, Listing]:
    """Return the first endpoint that has the model, and its listing.

    An endpoint that cannot be reached gives way to the next; one that says no (unknown model, wrong token) speaks for
    its source. Raises the Problem that most surely is the cause, with what every endpoint said.
    """
    check_model_id(model_id)
    return _first(hubs, "model %s" % model_id, lambda hub: hub.listing(model_id, revision))


def _first(hubs: list[Hub], asked: str, work: Callable[[Hub], Result]) -> tuple[Hub, Result]:
    problems: list[Problem] = []
    closed: set[str] = set()
    for hub in hubs:
        if hub.source in closed:
            continue
        try:
            return hub, work(hub)
        except HttpFailure as failure:
            problems.append(unreachable(hub, asked, failure))
        except Problem as problem:
            problems.append(problem)
            # A folder speaks for itself only: it holds what somebody put there.
            if problem.code in _FINAL_FOR_SOURCE and not isinstance(hub, FolderHub):
                closed.add(hub.source)
    raise _worst(problems, asked)


def agreeing(hubs: list[Hub], hub: Hub, listing: Listing) -> tuple[Hub, Listing, list[Hub]]:
    """Compare what ``hub`` lists with other endpoints of its source, until two agree about every size and hash.

    Gives the hub and the listing to go by, and the hubs without those that say something else about the same commit. An
    endpoint that does not answer says nothing. Raises Problem if all that answer contradict each other: nobody knows
    then which of them lies.
    """
    if isinstance(hub, FolderHub):
        return hub, listing, hubs
    heard: list[tuple[Hub, list[FileEntry]]] = [(hub, listing.files)]
    for other in hubs:
        if other is hub or other.source != hub.source or isinstance(other, FolderHub):
            continue
        try:
            files = check_entries(other.entries(listing.model_id, listing.revision), other.endpoint)
        except (HttpFailure, Problem):
            continue
        for known, said in heard:
            if _difference(said, files) is None:
                wrong = [each for each, its in heard if _difference(its, files)]
                agreed = Listing(
                    listing.model_id, listing.source, known.endpoint, listing.requested_revision, listing.revision, said
                )
                return known, agreed, [each for each in hubs if each not in wrong]
        heard.append((other, files))
    if len(heard) == 1:
        return hub, listing, hubs
    raise _disagreement(listing, hub, heard[1][0], _difference(listing.files, heard[1][1]))


def nobody_disagrees(hubs: list[Hub], hub: Hub, listing: Listing) -> None:
    """Raise Problem if other endpoints list something else than ``listing``, which all hosts of a run go by.

    Also where two agree against it: the other hosts of the run could not be told.
    """
    other, agreed, _hubs = agreeing(hubs, hub, listing)
    path = _difference(listing.files, agreed.files)
    if path is not None:
        raise _disagreement(listing, hub, other, path)


def _disagreement(listing: Listing, hub: Hub, other: Hub, path: str | None) -> Problem:
    return Problem(
        "hub.disagreement",
        "model %s at %s" % (listing.model_id, listing.revision),
        "%s and %s list %s with another size or hash, at the same commit" % (hub.endpoint, other.endpoint, path),
        "One of them is wrong: keep only the one you trust in gpufleet_hub_endpoints. Nothing was fetched",
    )


def _difference(one: list[FileEntry], other: list[FileEntry]) -> str | None:
    """The first path about which two lists differ; a hash that only one of them knows is no difference."""
    left, right = ({each.path: each for each in files} for files in (one, other))
    for path in sorted(left.keys() | right.keys()):
        mine, theirs = left.get(path), right.get(path)
        if mine is None or theirs is None or mine.size != theirs.size:
            return path
        pairs = ((mine.sha256, theirs.sha256), (mine.git_sha1, theirs.git_sha1))
        if any(known and said and known != said for known, said in pairs):
            return path
    return None


def unreachable(hub: Hub, asked: str, failure: HttpFailure) -> Problem:
    return Problem(
        "hub.unreachable",
        asked,
        "%s (%s) %s" % (hub.endpoint, hub.source, failure.cause),
        "Check the network and proxy of this host, or set gpufleet_hub_endpoints to a hub or mirror it can reach",
    )


def _worst(problems: list[Problem], asked: str) -> Problem:
    """One Problem for several: the heaviest one's code and remedy, and everything that was found."""
    if len(problems) == 1:
        return problems[0]
    worst = max(problems, key=lambda problem: _WEIGHT.get(problem.code, 0))
    found = "; ".join(
        problem.found if problem.code == "hub.unreachable" else "%s: %s" % (problem.asked, problem.found)
        for problem in problems
    )
    return Problem(worst.code, asked, found, worst.remedy)
