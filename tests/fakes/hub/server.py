# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP side: both dialects, content with ranges, control routes under /__."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .control import Control
from .repositories import Blob, Repositories, Tree

MODEL = r"(?P<id>[^/]+(?:/[^/]+)?)"
CHUNK_BYTES = 64 << 10
QUICK_BYTES = 4 << 20
#: faults for which the content goes through our hands
FAULTS_OF_CONTENT = {"cut", "stall", "rate", "shared_rate", "flip", "length", "trickle"}
MODELSCOPE_CAP = 3000


class Hub(ThreadingHTTPServer):
    """Listens; ``page`` is how many files one page of a Hugging Face file list has."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], models: Repositories, token: str | None, page: int = 1000) -> None:
        self.models = models
        self.token = token
        self.page = page
        self.control = Control()
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub
    fault: dict[str, Any]

    ROUTES = (
        (rf"/api/models/{MODEL}/revision/(?P<rev>[^/]+)", "hf_revision"),
        (rf"/api/models/{MODEL}/tree/(?P<rev>[^/]+)", "hf_tree"),
        (rf"/api/models/{MODEL}", "hf_revision"),
        (r"/cdn/(?P<sha256>[0-9a-f]{64})", "cdn"),
        (rf"/api/v1/models/{MODEL}/commits", "ms_commits"),
        (rf"/api/v1/models/{MODEL}/repo/files", "ms_files"),
        (rf"/api/v1/models/{MODEL}/repo", "ms_content"),
        (rf"/api/v1/models/{MODEL}/revisions", "ms_revisions"),
        (rf"/api/v1/models/{MODEL}", "ms_model"),
        (r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "hf_content"),
    )

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the log is at /__log."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(parts.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query))
        if path == "/__log":
            return self.answer(200, self.server.control.report())
        byte_range = self.headers.get("Range")
        self.fault = self.server.control.seen(self.command, path, byte_range, "Authorization" in self.headers)
        if "status" in self.fault:
            return self.answer(self.fault["status"], {"error": "fault"}, self.fault.get("headers"))
        for pattern, name in self.ROUTES:
            found = re.fullmatch(pattern, path)
            if found:
                getattr(self, name)(**found.groupdict())
                return None
        return self.answer(404, {"error": "no such route"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/__faults":
            self.server.control.set_faults(json.loads(body))
            return self.answer(200, {})
        if self.path == "/__reset":
            self.server.control.reset()
            return self.answer(200, {})
        return self.answer(404, {"error": "no such route"})

    # -- answers

    def answer(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def denied(self) -> bool:
        """Whether the request has no good token where one is wanted. Then it is answered as huggingface.co does."""
        given = self.headers.get("Authorization", "")
        if self.server.token and given != "Bearer " + self.server.token:
            message = "Invalid credentials in Authorization header" if given else "Invalid username or password."
            self.answer(401, {"error": message}, {"X-Error-Message": message})
            return True
        return False

    def content(self, blob: Blob, headers: dict[str, str]) -> None:
        if self.fault.get("empty"):
            return self.answer(200, b"", headers)
        first, last, status = 0, blob.size - 1, 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if wanted and not self.fault.get("no_range"):
            first = int(wanted[1])
            last = min(int(wanted[2]), last) if wanted[2] else last
            if first > last:
                return self.answer(416, b"", {"Content-Range": "bytes */%d" % blob.size})
            status = 206
            headers["Content-Range"] = "bytes %d-%d/%d" % (first, last, blob.size)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(last - first + 1 + self.fault.get("length", 0)))
        self.end_headers()
        if self.command != "HEAD":
            self.server.control.sending(1)
            self.send_body(blob, first, last - first + 1)
            self.server.control.sending(-1)
        return None

    def send_body(self, blob: Blob, offset: int, left: int) -> None:
        if not FAULTS_OF_CONTENT & self.fault.keys():
            return self.send_quickly(blob, offset, left)
        fault, begun, done = self.fault, time.monotonic(), 0
        until = fault.get("cut", 0 if "stall" in fault else left)
        try:
            with blob.disk.open("rb") as handle:
                handle.seek(offset)
                while left and done < until:
                    chunk = handle.read(min(CHUNK_BYTES, left, until - done))
                    if fault.get("flip") and not done:
                        chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
                    if "trickle" in fault:
                        chunk = chunk[:1]
                        handle.seek(offset + done + 1)
                        time.sleep(fault["trickle"])
                    self.wfile.write(chunk)
                    done += len(chunk)
                    left -= len(chunk)
                    self.server.control.sent(len(chunk))
                    if "shared_rate" in fault:
                        time.sleep(self.server.control.turn(len(chunk), fault["shared_rate"]))
                    if "rate" in fault:
                        time.sleep(max(0.0, done / fault["rate"] - (time.monotonic() - begun)))
            self.wfile.flush()
            if left and "stall" in fault:
                time.sleep(fault["stall"])
        except OSError:
            left = 1
        if left or fault.get("length"):
            self.close_connection = True
        return None

    def send_quickly(self, blob: Blob, offset: int, left: int) -> None:
        """From the page cache into the socket without a copy: the hub must not be what a measurement measures."""
        self.wfile.flush()
        try:
            with blob.disk.open("rb") as handle:
                while left:
                    count = os.sendfile(self.connection.fileno(), handle.fileno(), offset, min(left, QUICK_BYTES))
                    if not count:
                        break
                    self.server.control.sent(count)
                    offset += count
                    left -= count
        except OSError:
            left = 1
        if left:
            self.close_connection = True

    # -- Hugging Face

    def hf_find(self, model_id: str, revision: str) -> Tree | None:
        """The tree, or None after having answered as huggingface.co does."""
        if self.denied():
            return None
        if not self.server.models.refs(model_id):
            if self.headers.get("Authorization"):
                self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            else:
                # Nobody without a token learns whether a private model exists.
                message = "Invalid username or password."
                self.answer(401, {"error": message}, {"X-Error-Message": message})
            return None
        tree = self.server.models.tree(model_id, revision)
        if tree is None:
            self.answer(404, {"error": "Invalid rev id: %s" % revision}, {"X-Error-Code": "RevisionNotFound"})
        return tree

    def hf_revision(self, id: str, rev: str = "main") -> None:
        tree = self.hf_find(id, rev)
        if tree:
            siblings = [{"rfilename": each} for each in tree.blobs]
            self.answer(
                200,
                {
                    "_id": "0",
                    "id": id,
                    "modelId": id,
                    "sha": tree.commit,
                    "private": False,
                    "gated": False,
                    "disabled": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "siblings": siblings,
                },
            )

    def hf_tree(self, id: str, rev: str) -> None:
        tree = self.hf_find(id, rev)
        if not tree:
            return
        entries = [self.hf_entry(each) for each in tree.blobs.values()]
        folders = {each.path.rpartition("/")[0] for each in tree.blobs.values()} - {""}
        entries += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": each} for each in sorted(folders)]
        first = int(self.query.get("cursor", 0))
        page, headers = entries[first : first + self.server.page], {}
        if first + self.server.page < len(entries):
            query = urllib.parse.urlencode({**self.query, "cursor": first + self.server.page})
            # The real hub's mirrors pass on its absolute links.
            headers["Link"] = '<https://huggingface.co/api/models/%s/tree/%s?%s>; rel="next"' % (id, rev, query)
        self.answer(200, page, headers)

    def hf_entry(self, blob: Blob) -> dict[str, Any]:
        kind = "symlink" if self.fault.get("symlink") == blob.path else "file"
        entry: dict[str, Any] = {"type": kind, "oid": blob.git_sha1, "size": blob.size, "path": self.listed(blob)}
        if blob.lfs:
            entry["lfs"] = {"oid": self.said(blob), "size": blob.size, "pointerSize": 134}
        return entry

    def listed(self, blob: Blob) -> str:
        replace = self.fault.get("replace", {})
        return replace["new"] if replace.get("old") == blob.path else blob.path

    def said(self, blob: Blob) -> str:
        """The SHA-256 that a list gives."""
        if self.fault.get("lost") == blob.path:
            return hashlib.sha256(b"").hexdigest()
        return hashlib.sha256(b"other").hexdigest() if self.fault.get("other_hash") == blob.path else blob.sha256

    def hf_content(self, id: str, rev: str, path: str) -> None:
        tree = self.hf_find(id, rev)
        if not tree:
            return
        blob = tree.blobs.get(path)
        headers = {"X-Repo-Commit": tree.commit}
        if not blob:
            return self.answer(404, {"error": "Entry not found"}, {**headers, "X-Error-Code": "EntryNotFound"})
        if not blob.lfs:
            return self.content(blob, {**headers, "ETag": '"%s"' % blob.git_sha1})
        # Large files come from another host, as from the real hub.
        host, _sep, port = self.headers.get("Host", "localhost").rpartition(":")
        other = "localhost" if host == "127.0.0.1" else host
        self.answer(
            302,
            b"",
            {
                **headers,
                "X-Linked-Size": str(blob.size),
                "X-Linked-Etag": '"%s"' % blob.sha256,
                "Location": "http://%s:%s/cdn/%s?signature=not-for-logs" % (other, port, blob.sha256),
            },
        )

    def cdn(self, sha256: str) -> None:
        """The store of large files: as another host it refuses a token, as the real one does next to a signed URL."""
        if "Authorization" in self.headers and self.headers.get("Host", "").startswith("localhost"):
            return self.answer(400, {"error": "only one authentication mechanism is allowed"})
        for found in self.server.models.root.glob("*/*"):
            name = found.relative_to(self.server.models.root).as_posix()
            model_id, _sep, ref = name.partition("@")
            tree = self.server.models.tree(model_id, ref or "main") if found.is_dir() else None
            for blob in tree.blobs.values() if tree else ():
                if blob.sha256 == sha256:
                    return self.content(blob, {"ETag": '"%s"' % sha256})
        return self.answer(404, {"error": "no such object"})

    # -- ModelScope

    def ms_find(self, model_id: str, revision: str) -> Tree | None:
        if self.server.token and self.headers.get("Authorization") != "Bearer " + self.server.token:
            self.ms_error(401, 10010103009, "access token is invalid")
            return None
        tree = self.server.models.tree(model_id, revision)
        if tree is None:
            self.ms_error(404, 10010205001, "record not found")
        return tree

    def ms_error(self, status: int, code: int, message: str) -> None:
        self.answer(status, {"Code": code, "Message": message, "RequestId": "0", "Success": False})

    def ms_data(self, data: Any) -> None:
        self.answer(200, {"Code": 200, "Data": data, "Message": "success", "RequestId": "0", "Success": True})

    def ms_commits(self, id: str) -> None:
        if not self.server.models.refs(id):
            return self.ms_error(404, 10010205001, "record not found")
        if self.query.get("Ref") not in self.server.models.refs(id):
            return self.ms_data({"Commit": None, "TotalCount": 0})
        tree = self.ms_find(id, self.query["Ref"])
        if tree:
            self.ms_data({"Commit": [{"Id": tree.commit, "ShortId": tree.commit[:8]}], "TotalCount": 1})
        return None

    def ms_revisions(self, id: str) -> None:
        if self.ms_find(id, "master"):
            self.ms_data({"RevisionMap": {"Branches": [{"Revision": "master"}], "Tags": []}})

    def ms_model(self, id: str) -> None:
        if self.ms_find(id, "master"):
            self.ms_data({"Name": id.rpartition("/")[2], "Path": id.partition("/")[0], "Revision": "master"})

    def ms_files(self, id: str) -> None:
        tree = self.ms_find(id, self.query.get("Revision", "master"))
        if not tree:
            return
        root = self.query.get("Root", "").strip("/")
        inside = [each for each in tree.blobs.values() if not root or each.path.startswith(root + "/")]
        parts = [each.path.split("/") for each in inside]
        folders = {"/".join(each[:depth]) for each in parts for depth in range(1, len(each))}
        entries: list[dict[str, Any]] = [
            {"Path": each, "Name": each.rpartition("/")[2], "Type": "tree", "Size": 0, "Sha256": ""}
            for each in sorted(folders)
            if each != root and each.startswith(root)
        ]
        entries += [self.ms_entry(each, tree.commit) for each in inside]
        if self.query.get("Recursive", "").lower() != "true":
            depth = root.count("/") + 1 if root else 0
            entries = [each for each in entries if each["Path"].count("/") == depth]
        # The real one cuts off without a word, and leaves the full commit empty.
        self.ms_data(
            {
                "Files": entries[:MODELSCOPE_CAP],
                "IsVisual": 0,
                "LatestCommitter": {"Id": "", "ShortId": tree.commit[:8]},
            }
        )

    def ms_entry(self, blob: Blob, commit: str) -> dict[str, Any]:
        path = self.listed(blob)
        return {
            "Path": path,
            "Name": path.rpartition("/")[2],
            "Type": "blob",
            "Revision": commit,
            "Sha256": self.said(blob),
            "Size": blob.size,
            "IsLFS": blob.lfs,
            "Mode": "40960" if self.fault.get("symlink") == blob.path else "33188",
        }

    def ms_content(self, id: str) -> None:
        tree = self.ms_find(id, self.query.get("Revision", "master"))
        if not tree:
            return
        blob = tree.blobs.get(self.query.get("FilePath", ""))
        if not blob:
            return self.ms_error(404, 10010205001, "file not found")
        self.content(blob, {"ETag": '"%s"' % blob.sha256})
