# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Settings as vLLM's configuration file must spell them, so that they arrive as they are meant."""

from __future__ import annotations

import json
from typing import Any, Mapping

from .. import releases
from .lint import kind_of


def config_file(settings: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The content of config.yaml for ``settings``, sorted by name.

    vLLM turns the file into a command line before it knows its sub-command's options, and so loses two things: a
    false flag is dropped without a word (it must be written ``no-<name>: true``), and a list is spread over several
    arguments where one JSON text is expected.
    """
    release, _warning = releases.resolve(version)
    out: dict[str, Any] = {}
    for name, value in settings.items():
        kind = kind_of(name, release)
        if kind == "flag" and value is False:
            out["no-" + name] = True
        elif kind is not None and kind.startswith("json") and isinstance(value, list):
            out[name] = json.dumps(value)
        else:
            out[name] = value
    return {name: out[name] for name in sorted(out)}
