# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Command line of the planner: the only place that reads or writes.

    PYTHONPATH=plugins/module_utils python3 -m _planner plan [FILE|-] [--format table]
    PYTHONPATH=plugins/module_utils python3 -m _planner size MODEL.json [--context N] [--users N]

Exit status: 0 planned, 3 something cannot be planned (the answer's ``errors`` say what), 2 invalid request: a key, a
type or a number that is wrong as such, an engine argument's value included. Then one sentence, and no answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, Sequence

from .errors import InvalidRequest
from .inventory.merge import DEFAULT_VERSION
from .plan import plan
from .report.cards import CARDS, matching
from .report.size import size
from .report.size_table import render_size
from .report.table import render

MAX_REQUEST_BYTES = 64 * 2**20
PLANNED, INVALID, INFEASIBLE = 0, 2, 3
_WRONG = ("plan.bad_engine_argument",)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        raw = read(options.file)
        if options.command == "plan":
            answer, text = plan(raw), render
        else:
            answer, text = _size(raw, options), render_size
        wrong = next((error for error in answer["errors"] if error["code"] in _WRONG), None)
        if wrong is not None:
            sys.stderr.write("[%s] %s\n" % (wrong["code"], " ".join([wrong["message"], *wrong["remedies"]])))
            return INVALID
        shown = text(answer) if options.format == "table" else _json(answer)
    except InvalidRequest as error:
        sys.stderr.write("[%s] %s\n" % (error.code, error))
        return INVALID
    status = INFEASIBLE if answer["errors"] else PLANNED
    return _write(shown, status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="_planner", description="Plan vLLM deployments.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("plan", help="answer a request")
    command.add_argument("file", nargs="?", default="-", help="request as JSON; - reads standard input")
    command.add_argument("--format", choices=("json", "table"), default="json")
    command = commands.add_parser("size", help="say which GPUs hold a model, and how many tokens and users")
    command.add_argument("file", metavar="MODEL", help="config.json, or what model_info found; - reads standard input")
    command.add_argument("--context", type=_count, metavar="N", help="tokens of each request (default: what fits)")
    command.add_argument("--users", type=_count, metavar="N", help="requests at once")
    command.add_argument("--gpu", metavar="NAME", help="only the cards of this name")
    command.add_argument("--vllm-version", default=DEFAULT_VERSION, metavar="X", help="default: %(default)s")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an engine argument; may be given again"
    )
    command.add_argument("--format", choices=("json", "table"), default="table")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError("%r is not a number from 1 to 999999999" % text[:40])
    return int(text)


def _size(raw: Any, options: argparse.Namespace) -> dict[str, Any]:
    cards = CARDS if options.gpu is None else matching(options.gpu)
    if not cards:
        raise InvalidRequest("no GPU is named %r; known: %s" % (options.gpu[:40], ", ".join(c.key for c in CARDS)))
    arguments = {}
    for entry in options.set:
        name, found, value = entry.partition("=")
        if not (name and found):
            raise InvalidRequest("--set takes NAME=VALUE, not %r" % entry[:60])
        arguments[name] = value
    return size(raw, options.vllm_version, options.context, options.users, arguments, cards)


def _json(answer: Any) -> str:
    return json.dumps(answer, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _write(text: str, status: int) -> int:
    """Write all of ``text``; a reader who has had enough (``| head``) is no error."""
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.stderr.write("the answer cannot be written: %s\n" % error)
        return INVALID
    return status


def read(name: str) -> Any:
    """The JSON value in file ``name`` or on standard input; raises InvalidRequest."""
    try:
        if name == "-":
            if sys.stdin is None:
                raise OSError("standard input is closed")
            data = sys.stdin.buffer.read(MAX_REQUEST_BYTES + 1)
        else:
            with open(name, "rb") as stream:
                data = stream.read(MAX_REQUEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidRequest("cannot read the request: %s" % error) from None
    if len(data) > MAX_REQUEST_BYTES:
        raise InvalidRequest("the request is larger than %d bytes" % MAX_REQUEST_BYTES)
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        raise InvalidRequest("the request is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest("the request is not JSON: %s" % error) from None
