# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Whether a model is what its name says: the folder of another one may have been given."""

from __future__ import annotations

import re

from ..errors import warning

_QUANTISED = re.compile(r"(?i)(?:^|[-_./])(awq|gptq|fp8|nvfp4|mxfp4|w4a16|w8a8|w8a16|int4|int8|4bit|8bit)(?=$|[-_.])")


def name_warnings(model_id: str | None, quantization: str | None) -> list[str]:
    """A warning where the name of a model says that it is quantised and its config (``quantization``) does not."""
    found = _QUANTISED.search((model_id or "").rpartition("/")[2])
    if found is None or quantization is not None:
        return []
    return [
        warning(
            "plan.model_differs_from_id",
            "The model is called %s, and its config says nothing of %s: is this the folder of another model?"
            % (model_id, found.group(1)),
        )
    ]
