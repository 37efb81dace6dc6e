# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let every release read a config.yaml that the collection wrote, and compare what arrives with what was meant.

    env/bin/python tests/tools/engine_config.py vllm-0.8.5 vllm-0.19.1 ...

The environment and the folders are those of tests/tools/engine_arguments.py. Prints what differs, if anything.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "plugins/module_utils")]

from _planner.arguments.config_file import config_file  # noqa: E402
from _planner.arguments.lint import lint  # noqa: E402
from _planner.releases import resolve  # noqa: E402
from engine_arguments import first, preload, prepare  # noqa: E402

MEANT = {
    "max-num-seqs": 7,
    "max-model-len": 4096,
    "gpu-memory-utilization": 0.55,
    "enable-prefix-caching": False,
    "enable-chunked-prefill": True,
    "enforce-eager": True,
    "disable-custom-all-reduce": False,
    "disable-log-stats": True,
    "allowed-origins": ["https://a.example", "https://b.example"],
    "compilation-config": {"cudagraph_capture_sizes": [1, 2]},
    "override-generation-config": {"do_sample": False, "stop": ["a b", "'"]},
    "hf-overrides": {"rope_theta": 1000.5},
    "kv-cache-dtype": "fp8",
    "seed": 3,
}


def differences(release: str) -> list[str]:
    version, _warning = resolve(release)
    user, _remarks = lint({**MEANT, "hf-overrides.max_position_embeddings": 64}, version)
    parser = first("vllm.utils.argparse_utils:FlexibleArgumentParser", "vllm.utils:FlexibleArgumentParser")
    make = first(
        "vllm.entrypoints.common.cli_args:make_arg_parser",
        "vllm.entrypoints.launchers.cli_args:make_arg_parser",
        "vllm.entrypoints.openai.cli_args:make_arg_parser",
    )
    top = parser()
    serve = top.add_subparsers(dest="subparser").add_parser("serve")
    make(serve)
    if not any(action.dest == "model_tag" for action in serve._actions):
        serve.add_argument("model_tag", nargs="?")  # older releases add it where they make the sub-command
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config_file(user, release)))
        read = vars(top.parse_args(["serve", "/model", "--config", str(path)]))
    meant = {**MEANT, "hf-overrides": {"rope_theta": 1000.5, "max_position_embeddings": 64}}
    out = []
    for name, value in meant.items():
        found = read[name.replace("-", "_")]
        if isinstance(value, dict) and not isinstance(found, dict):
            found = {key: getattr(found, key, None) for key in value}
            found = {key: getattr(entry, "value", entry) for key, entry in found.items()}
        if found != value:
            out.append("%s: %s is %r, not %r" % (release, name, found, value))
    return out


def main() -> None:
    prepare()
    preload()
    for folder in [Path(entry).resolve() for entry in sys.argv[1:]]:
        child = os.fork()
        if child == 0:
            sys.path.insert(0, str(folder))
            status = 2
            try:
                release = folder.name.partition("-")[2]
                found = differences(release)
                print("\n".join(found) or release + ": as meant", flush=True)
                status = 1 if found else 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1] >> 8 == 2:
            print("%s could not be read" % folder.name, flush=True)


if __name__ == "__main__":
    main()
