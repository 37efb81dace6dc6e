# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a question the way the chat page does: sign in, pick the model, send it to Open-WebUI's API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.lab.lab import LabError


def post(url: str, body: dict[str, Any], token: str = "", seconds: float = 180) -> dict[str, Any]:
    """Send JSON, answer JSON. Raises LabError with the server's words."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    # The host is on this machine: no proxy has a part in it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise LabError(f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}") from error
    except OSError as error:
        raise LabError(f"{url}: {error}") from error


def ask(page: str, email: str, password: str, model: str, question: str) -> str:
    """The model's answer to ``question``, through the chat page at ``page``."""
    token = post(f"{page}/api/v1/auths/signin", {"email": email, "password": password})["token"]
    answer = post(
        f"{page}/api/chat/completions",
        {
            "model": model,
            "stream": False,
            "temperature": 0,
            "max_tokens": 60,
            "messages": [{"role": "user", "content": question}],
        },
        token,
    )
    return str(answer["choices"][0]["message"]["content"]).strip()
