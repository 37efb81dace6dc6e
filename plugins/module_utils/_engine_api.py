# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""The engine's HTTP API, asked on its own host."""

from __future__ import annotations

import json
import socket
import typing as t
from urllib.error import HTTPError, URLError

from ansible_collections.gpufleet.vllm.plugins.module_utils._instance import ApiError


class HttpApi:
    """The engine's API at ``base_url``. Proxies of the environment are not used: the engine is on this host."""

    def __init__(self, base_url: str, key: str | None, open_url: t.Callable[..., t.Any]) -> None:
        """``open_url`` is that of ansible.module_utils.urls."""
        self.open_url = open_url
        self.base_url = base_url.rstrip("/")
        self.headers = {"Content-Type": "application/json"}
        if key:
            self.headers["Authorization"] = "Bearer " + key

    def __call__(self, path: str, body: dict[str, t.Any] | None, timeout: float) -> dict[str, t.Any]:
        url = self.base_url + path
        try:
            response = self.open_url(
                url,
                data=None if body is None else json.dumps(body),
                headers=self.headers,
                method="GET" if body is None else "POST",
                use_proxy=False,
                timeout=timeout,
            )
            answer = json.loads(response.read())
        except HTTPError as error:
            text = error.read(300).decode("utf-8", "replace").strip()
            raise ApiError("%s answers %d %s" % (url, error.code, text), error.code) from error
        except (URLError, socket.timeout, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ApiError("%s does not answer (%s)" % (url, reason)) from error
        except ValueError as error:
            raise ApiError("%s answers something that is no JSON" % url) from error
        if not isinstance(answer, dict):
            raise ApiError("%s answers something that is no JSON object" % url)
        return answer
