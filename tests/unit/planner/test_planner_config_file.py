"""config.yaml: what is written for each release's reader, and what the reader makes of it."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.catalogue import kind_of
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.config_file import config_file
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.arguments.lint import lint
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.releases import KNOWN, resolve


def command_line(content: dict[str, Any], version: tuple[int, ...]) -> list[str]:
    """What the reader of ``version`` makes of the file: true stays as a name, false vanishes, the rest is text."""
    out: list[str] = []
    for name, value in content.items():
        if isinstance(value, bool):
            out += ["--" + name] if value else []
        elif isinstance(value, list) and version >= (0, 10, 2):
            out += ["--" + name, *map(str, value)] if value else []
        elif isinstance(value, dict) and version >= (0, 16, 0):
            out += ["--" + name, json.dumps(value)]
        else:
            out += ["--" + name, str(value)]
    return out


def understood(words: list[str], version: tuple[int, ...]) -> dict[str, Any]:
    """What argparse makes of the command line, by the kinds of the release."""
    out: dict[str, Any] = {}
    position = 0
    while position < len(words):
        name = words[position][2:]
        position += 1
        if name.startswith("no-") and kind_of(name[3:], version) == "flag":
            out[name[3:]] = False
            continue
        kind = kind_of(name, version)
        assert kind is not None, name
        if kind in ("flag", "switch"):
            out[name] = True
            continue
        values = []
        while position < len(words) and not words[position].startswith("--"):
            values.append(words[position])
            position += 1
        if kind.startswith("list_"):
            out[name] = values
            continue
        (text,) = values
        literal = name == "compilation-config" and version < (0, 9)
        out[name] = (ast.literal_eval(text) if literal else json.loads(text)) if kind.startswith("json") else text
    return out


@pytest.mark.parametrize("release", KNOWN)
def test_each_reader_is_told_what_it_can_read(release: str) -> None:
    version, _warning = resolve(release)
    user, _remarks = lint(
        {
            "enable-prefix-caching": False,
            "enable-chunked-prefill": True,
            "disable-log-stats": False,
            "max-num-seqs": 7,
            "allowed-origins": ["https://a.example", "https://b.example"],
            "compilation-config": {"use_inductor": False, "backend": None},
            "hf-overrides": {"a": [1, "it's"]},
            "hf-overrides.b.c": True,
            "lora-modules": ["one=/srv/one"],
        },
        version,
    )
    assert understood(command_line(config_file(user, release), version), version) == {
        "enable-prefix-caching": False,
        "enable-chunked-prefill": True,
        "max-num-seqs": "7",
        "allowed-origins": ["https://a.example", "https://b.example"],
        "compilation-config": {"use_inductor": False, "backend": None},
        "hf-overrides": {"a": [1, "it's"], "b": {"c": True}},
        "lora-modules": ["one=/srv/one"],
    }


def test_the_users_mapping_is_not_changed() -> None:
    mapping = {"b": {"d": 1}}
    assert config_file({"hf-overrides": mapping, "hf-overrides.b.c": True}, "0.33.0") == {
        "hf-overrides": {"b": {"d": 1, "c": True}}
    }
    assert mapping == {"b": {"d": 1}}
