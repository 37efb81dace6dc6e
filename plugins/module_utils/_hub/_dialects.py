# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from .._errors import Problem
from ._http import Client, HttpFailure, public_url
from ._types import FileEntry, Listing, check_entries, is_commit

# ModelScope gives at most this many entries for one listing and does not say that there are more.
MODELSCOPE_PAGE = 3000
MAX_PAGES = 5000


class Hub:
    """One endpoint of one kind of hub. Raises Problem for answers that mean something, HttpFailure for the rest."""

    source = ""
    default_branch = ""

    def __init__(self, endpoint: str, token: str | None = None, timeout: float = 60.0) -> None:
        if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).netloc:
            raise Problem(
                "hub.bad_endpoint",
                "endpoint '%s' of %s" % (public_url(endpoint), self.source),
                "it is not an http or https URL",
                "Set it like https://huggingface.co in gpufleet_hub_endpoints",
            )
        self._base = endpoint.rstrip("/")
        self.endpoint = public_url(self._base)
        self._has_token = bool(token)
        self.client = Client(self._auth(token) if token else {}, timeout)

    def _auth(self, token: str) -> dict[str, str]:
        return {"Authorization": "Bearer " + token}

    def resolve(self, model_id: str, revision: str) -> str:
        """Return the commit (40 hex digits) that ``revision`` stands for at this moment."""
        raise NotImplementedError

    def entries(self, model_id: str, commit: str) -> list[FileEntry]:
        """Return every file of the model at ``commit``, unchecked."""
        raise NotImplementedError

    def file_url(self, model_id: str, commit: str, path: str) -> str:
        """Return where the content of one file is."""
        raise NotImplementedError

    def listing(self, model_id: str, revision: str | None) -> Listing:
        """Resolve ``revision`` (None: the default branch) and list its files, checked."""
        wanted = revision or self.default_branch
        try:
            commit = self.resolve(model_id, wanted)
            found = self.entries(model_id, commit)
        except HttpFailure as failure:
            raise self.problem(failure, model_id, wanted) from failure
        if not found:
            raise Problem(
                "model.empty",
                "model %s at %s" % (model_id, wanted),
                "%s lists no file" % self.endpoint,
                "Check the id, or use another source",
            )
        return Listing(model_id, self.source, self.endpoint, wanted, commit, check_entries(found, self.endpoint))

    def read_file(self, listing: Listing, path: str, limit: int = 16 << 20) -> bytes:
        """Return the content of a small file."""
        try:
            return self.client.read(self.file_url(listing.model_id, listing.revision, path), limit=limit)[0]
        except HttpFailure as failure:
            raise self.problem(failure, listing.model_id, listing.revision) from failure

    def problem(self, failure: HttpFailure, model_id: str, revision: str) -> Exception:
        """Turn ``failure`` into the Problem it means; what means nothing certain stays as it is."""
        asked = "model %s at revision %s from %s" % (model_id, revision, self.endpoint)
        if failure.status in (401, 403):
            return self._denied(failure, asked)
        if failure.status == 404:
            return self._missing(failure, asked, model_id, revision)
        return failure

    def _denied(self, failure: HttpFailure, asked: str) -> Problem:
        if self._has_token:
            found = "the hub refused the token (status %d)" % failure.status
            remedy = "Check gpufleet_hub_tokens['%s'], and that its owner may read this model" % self.source
        else:
            found = "the hub wants a token (status %d): the model is private or gated" % failure.status
            remedy = "Accept the model's terms on its page and set gpufleet_hub_tokens['%s']" % self.source
        return Problem("hub.unauthorized", asked, found, remedy)

    def _missing(self, failure: HttpFailure, asked: str, model_id: str, revision: str) -> Problem:
        return unknown_model(asked, "the hub does not know this model")


class HuggingFace(Hub):
    """The API of huggingface.co and its mirrors."""

    source = "huggingface"
    default_branch = "main"

    def _model(self, model_id: str) -> str:
        return "%s/api/models/%s" % (self._base, quote(model_id, safe="/"))

    def resolve(self, model_id: str, revision: str) -> str:
        answer, _headers = self.client.json("%s/revision/%s" % (self._model(model_id), quote(revision, safe="")))
        commit = answer.get("sha") if isinstance(answer, dict) else None
        return _commit_or_refuse(commit, self.endpoint, revision)

    def entries(self, model_id: str, commit: str) -> list[FileEntry]:
        url = "%s/tree/%s?recursive=true" % (self._model(model_id), commit)
        found: list[FileEntry] = []
        for _page in range(MAX_PAGES):
            answer, headers = self.client.json(url)
            if not isinstance(answer, list):
                raise HttpFailure(url, 502, "did not answer with a list of files")
            found += [_huggingface_entry(item, self.endpoint) for item in answer if item.get("type") != "directory"]
            following = _next_link(headers.get("Link"))
            if not following:
                return found
            # A mirror may pass on the original hub's absolute link: stay at this endpoint.
            target = urlsplit(urljoin(url, following))
            base = urlsplit(self._base)
            url = "%s://%s%s?%s" % (base.scheme, base.netloc, target.path, target.query)
        raise HttpFailure(url, 502, "lists more than %d pages of files" % MAX_PAGES)

    def file_url(self, model_id: str, commit: str, path: str) -> str:
        return "%s/%s/resolve/%s/%s" % (self._base, quote(model_id, safe="/"), commit, quote(path, safe="/"))

    def _denied(self, failure: HttpFailure, asked: str) -> Problem:
        gated = failure.headers.get("X-Error-Code") == "GatedRepo"
        if failure.status == 401 and not self._has_token and not gated:
            return unknown_model(
                asked, "the hub answers 401 without a token, which it does for unknown and for private models alike"
            )
        return super()._denied(failure, asked)

    def _missing(self, failure: HttpFailure, asked: str, model_id: str, revision: str) -> Problem:
        code = failure.headers.get("X-Error-Code")
        if code == "RevisionNotFound":
            return unknown_revision(asked, revision)
        return super()._missing(failure, asked, model_id, revision)


class ModelScope(Hub):
    """The API of modelscope.cn."""

    source = "modelscope"
    default_branch = "master"

    def _auth(self, token: str) -> dict[str, str]:
        # Older routes know only the cookie, newer ones only the header.
        return {"Authorization": "Bearer " + token, "Cookie": "m_session_id=" + token}

    def _url(self, model_id: str, route: str, **query: str) -> str:
        return "%s/api/v1/models/%s/%s?%s" % (self._base, quote(model_id, safe="/"), route, urlencode(query))

    def _data(self, url: str) -> dict[str, Any]:
        answer, headers = self.client.json(url)
        if not isinstance(answer, dict):
            raise HttpFailure(url, 502, "did not answer with an object")
        if answer.get("Success") is False or answer.get("Code", 200) != 200:
            # Some errors come with status 200; the code inside is then a business code such as 10010205001.
            code = answer.get("Code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 404
            raise HttpFailure(url, status, "answered code %s" % code, headers)
        data = answer.get("Data")
        return data if isinstance(data, dict) else {}

    def resolve(self, model_id: str, revision: str) -> str:
        if is_commit(revision):
            return revision
        commits = self._data(self._url(model_id, "commits", Ref=revision, PageNumber="1", PageSize="1")).get("Commit")
        if not commits:
            # An unknown ref of a known model is answered with an empty history.
            asked = "model %s at revision %s from %s" % (model_id, revision, self.endpoint)
            raise unknown_revision(asked, revision)
        return _commit_or_refuse(commits[0].get("Id"), self.endpoint, revision)

    def entries(self, model_id: str, commit: str) -> list[FileEntry]:
        """The whole tree in one answer; where that is cut off, directory by directory."""
        files: list[FileEntry] = []
        waiting = [""]
        for _page in range(MAX_PAGES):
            if not waiting:
                return files
            root = waiting.pop()
            items = self._tree(model_id, commit, root, "True")
            if len(items) >= MODELSCOPE_PAGE:
                items = self._tree(model_id, commit, root, "False")
                if len(items) >= MODELSCOPE_PAGE:
                    raise HttpFailure(self._base, 502, "cannot list a directory of more than %d files" % len(items))
                waiting += [str(item["Path"]) for item in items if item.get("Type") == "tree"]
            files += [_modelscope_entry(item, self.endpoint) for item in items if item.get("Type") != "tree"]
        raise HttpFailure(self._base, 502, "lists more than %d directories" % MAX_PAGES)

    def _tree(self, model_id: str, commit: str, root: str, recursive: str) -> list[dict[str, Any]]:
        query = {"Revision": commit, "Recursive": recursive}
        if root:
            query["Root"] = root
        items = self._data(self._url(model_id, "repo/files", **query)).get("Files") or []
        return [item for item in items if isinstance(item, dict)]

    def file_url(self, model_id: str, commit: str, path: str) -> str:
        return self._url(model_id, "repo", Revision=commit, FilePath=path)

    def _missing(self, failure: HttpFailure, asked: str, model_id: str, revision: str) -> Problem:
        # A wrong commit and a wrong id both give 404 on the listing; the default branch's history tells them apart.
        if is_commit(revision):
            try:
                self.resolve(model_id, self.default_branch)
                return unknown_revision(asked, revision)
            except (HttpFailure, Problem):
                pass
        return super()._missing(failure, asked, model_id, revision)


HUBS: dict[str, type[Hub]] = {"huggingface": HuggingFace, "modelscope": ModelScope}


def unknown_model(asked: str, found: str) -> Problem:
    return Problem("model.not_found", asked, found, "Check the id's spelling and the source")


def unknown_revision(asked: str, revision: str) -> Problem:
    return Problem(
        "model.revision_not_found",
        asked,
        "the model is there, but it has no branch, tag or commit '%s'" % revision,
        "Take a commit from the model's page at this source; the same model has other commits at another source",
    )


def _commit_or_refuse(commit: Any, endpoint: str, revision: str) -> str:
    if not isinstance(commit, str) or not is_commit(commit):
        raise HttpFailure(endpoint, 502, "gave no commit for revision %s" % revision)
    return commit


def _huggingface_entry(item: dict[str, Any], endpoint: str) -> FileEntry:
    if item.get("type") != "file":
        raise _no_file(item.get("path"), endpoint)
    try:
        lfs = item.get("lfs")
        if lfs:
            return FileEntry(str(item["path"]), int(lfs["size"]), sha256=str(lfs["oid"]).lower())
        return FileEntry(str(item["path"]), int(item["size"]), git_sha1=str(item["oid"]).lower())
    except (KeyError, TypeError, ValueError):
        raise HttpFailure(endpoint, 502, "lists a file in an unknown form: %s" % json.dumps(item)[:200]) from None


def _no_file(path: Any, endpoint: str) -> Problem:
    """A link or another repository: what it leads to is nowhere in the list."""
    return Problem(
        "hub.unsafe_path",
        "the file list from %s" % endpoint,
        "entry %r is a symbolic link or another thing that is no file" % path,
        "Do not use this endpoint; nothing was written",
    )


def _modelscope_entry(item: dict[str, Any], endpoint: str) -> FileEntry:
    # A git mode, in decimal or as git writes it.
    if str(item.get("Mode")) in ("40960", "120000", "57344", "160000"):
        raise _no_file(item.get("Path"), endpoint)
    try:
        return FileEntry(str(item["Path"]), int(item["Size"]), sha256=str(item.get("Sha256") or "").lower() or None)
    except (KeyError, TypeError, ValueError):
        raise HttpFailure(endpoint, 502, "lists a file in an unknown form: %s" % json.dumps(item)[:200]) from None


def _next_link(header: str | None) -> str | None:
    """The target of ``rel="next"`` in a Link header."""
    for part in (header or "").split(","):
        target, _sep, rest = part.partition(";")
        if 'rel="next"' in rest:
            return target.strip().strip("<>")
    return None
