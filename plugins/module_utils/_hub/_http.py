# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

from __future__ import annotations

import email.utils
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

USER_AGENT = "gpufleet.vllm"
MAX_JSON_BYTES = 64 << 20
# A hub that does not answer a small question in this time is given up for the next one.
SMALL_TIMEOUT_SECONDS = 20.0

SECRET_HEADERS = ("Authorization", "Cookie")


class HttpFailure(Exception):
    """A request that did not give what was asked.

    ``status`` is the HTTP status, or 0 when no answer came; ``cause`` is one clause without any secret;
    ``retry_after`` is in seconds; ``headers`` are those of the answer.
    """

    def __init__(self, url: str, status: int, cause: str, headers: Any = None) -> None:
        super().__init__(url, status, cause)
        self.url = public_url(url)
        self.status = status
        self.cause = cause
        self.headers = headers if headers is not None else {}

    def __str__(self) -> str:
        return "%s: %s" % (self.url, self.cause)

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (0, 408, 425, 429) or self.status >= 500

    @property
    def retry_after(self) -> float | None:
        value = self.headers.get("Retry-After") if self.headers else None
        if not value:
            return None
        if value.strip().isdigit():
            return float(value)
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return None
        return max(0.0, moment.timestamp() - time.time())


def public_url(url: str) -> str:
    """``url`` without query and user info: redirect targets carry signatures, and people put passwords in URLs."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never hands the token to another origin, nor goes from https to http."""

    # Python 3.9 and 3.10 know no 308.
    def http_error_308(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return self.http_error_302(req, fp, 307, msg, headers)

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        before, after = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after != "https"):
            cause = "redirects from %s to %s" % (before, after)
            raise urllib.error.HTTPError(public_url(newurl), 502, cause, headers, fp)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            if _origin(req.full_url) != _origin(newurl):
                for secret in SECRET_HEADERS:
                    following.remove_header(secret)
            # urllib turns HEAD into GET.
            following.method = req.get_method()
        return following


class Client:
    """HTTP with a token, for one hub endpoint. Proxies come from the environment, certificates from the system."""

    def __init__(self, headers: dict[str, str] | None = None, timeout: float = 60.0) -> None:
        """``headers`` go with every request; ``timeout`` is the longest silence in seconds, not the whole duration."""
        self._headers = dict(headers or {})
        self._headers["User-Agent"] = USER_AGENT
        # Some servers would compress text and so break sizes and ranges.
        self._headers["Accept-Encoding"] = "identity"
        self.timeout = timeout
        self._opener = urllib.request.build_opener(_Redirects())

    def open(self, url: str, extra: dict[str, str] | None = None, timeout: float | None = None) -> Any:
        """Return the open answer to a GET (status 200 or 206). Raises HttpFailure."""
        # Endpoints are checked to be http or https, and so are redirects.
        return self._open(url, {**self._headers, **(extra or {})}, url, timeout)

    def open_elsewhere(self, url: str, location: str, extra: dict[str, str] | None = None) -> Any:
        """Like ``open``, but at the address that ``url`` redirected to before, which is no place for the token."""
        headers = {**self._headers, **(extra or {})}
        if _origin(url) != _origin(location):
            headers = {name: value for name, value in headers.items() if name not in SECRET_HEADERS}
        return self._open(location, headers, url, None)

    def _open(self, url: str, headers: dict[str, str], named: str, timeout: float | None) -> Any:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        try:
            return self._opener.open(request, timeout=timeout or self.timeout)
        except urllib.error.HTTPError as error:
            failure = HttpFailure(named, error.code, "answered %d %s" % (error.code, error.reason or ""), error.headers)
            error.close()
            raise failure from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpFailure(named, 0, explain(error)) from None

    def read(self, url: str, extra: dict[str, str] | None = None, limit: int = MAX_JSON_BYTES) -> tuple[bytes, Any]:
        """Return body and headers of a small answer. Raises HttpFailure, also for an answer cut short."""
        with self.open(url, extra, min(self.timeout, SMALL_TIMEOUT_SECONDS)) as answer:
            try:
                body = answer.read(limit + 1)
            except (OSError, http.client.HTTPException) as error:
                raise HttpFailure(url, 0, explain(error)) from None
            if len(body) > limit:
                raise HttpFailure(url, 502, "sent more than %d bytes where a small answer was expected" % limit)
            return body, answer.headers

    def json(self, url: str) -> tuple[Any, Any]:
        """Return the parsed JSON answer and its headers. Raises HttpFailure."""
        body, headers = self.read(url)
        try:
            return json.loads(body.decode("utf-8")), headers
        except ValueError:
            # A captive portal or a proxy's login page answers 200 with HTML.
            raise HttpFailure(url, 502, "did not answer with JSON (%d bytes)" % len(body)) from None


def explain(error: BaseException) -> str:
    """One clause a person understands for a network error."""
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.error.URLError) and isinstance(reason, BaseException):
        error = reason
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve (%s)" % error.strerror
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its TLS certificate is not trusted (%s)" % error.verify_message
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was cut in the middle of the answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
