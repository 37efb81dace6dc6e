# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Command line of the planner: the only place that reads or writes.

    PYTHONPATH=plugins/module_utils python3 -m _planner plan [FILE|-] [--format table]

Exit status: 0 planned, 3 something cannot be planned (the answer's ``errors`` say what), 2 invalid request.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Sequence

from .errors import InvalidRequest
from .plan import plan
from .report.table import render

MAX_REQUEST_BYTES = 64 * 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="_planner", description="Plan vLLM deployments.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("plan", help="answer a request")
    command.add_argument("file", nargs="?", default="-", help="request as JSON; - reads standard input")
    command.add_argument("--format", choices=("json", "table"), default="json")
    options = parser.parse_args(arguments)
    try:
        answer = plan(read(options.file))
    except InvalidRequest as error:
        sys.stderr.write("[%s] %s\n" % (error.code, error))
        return 2
    if options.format == "table":
        sys.stdout.write(render(answer))
    else:
        json.dump(answer, sys.stdout, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        sys.stdout.write("\n")
    return 3 if answer["errors"] else 0


def read(name: str) -> Any:
    """The JSON value in file ``name`` or on standard input; raises InvalidRequest."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_REQUEST_BYTES + 1)
        else:
            with open(name, "rb") as stream:
                data = stream.read(MAX_REQUEST_BYTES + 1)
    except OSError as error:
        raise InvalidRequest("cannot read the request: %s" % error) from None
    if len(data) > MAX_REQUEST_BYTES:
        raise InvalidRequest("the request is larger than %d bytes" % MAX_REQUEST_BYTES)
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        raise InvalidRequest("the request is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest("the request is not JSON: %s" % error) from None
