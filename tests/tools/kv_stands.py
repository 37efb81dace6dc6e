# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-ins for what vLLM's model classes want of a GPU while they are built; nothing of it takes part in KV sizes.

Used by kv_oracle.py. Absent libraries import as empty ones, CUDA events and streams do nothing, and sparse latent
attention gets the CPU's latent backend, whose pages have the same size. A config that vLLM reads only with code from a
hub is read by a plain class. What is changed in a config itself is told in the row (``asked_as``).
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import inspect
import sys
import types
from typing import Any
from unittest import mock

# Their builds need CUDA; vLLM imports them for kernels and image processing.
ABSENT = frozenset(("torchvision", "cutlass", "cuda", "quack", "flashinfer", "flashinfer_cubin"))


class _Absent(types.ModuleType):
    """A module that is not installed: whatever is asked of it is there, and does nothing."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.split(".")[0] not in ABSENT:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: Any) -> Any:
        return _Absent(spec.name)

    def exec_module(self, module: Any) -> None:
        pass


def install() -> None:
    """Put the stand-ins in place. Call it after vLLM is imported, so that it does not believe to have a GPU."""
    import torch
    import vllm.platforms.cpu as cpu

    sys.meta_path.append(_Finder())
    torch.cuda.Event = mock.MagicMock()
    torch.cuda.Stream = mock.MagicMock()
    plain = cpu.CpuPlatform.get_attn_backend_cls.__func__

    def dense(cls: Any, *given: Any, **named: Any) -> Any:
        return plain(cls, *map(_not_sparse, given), **{key: _not_sparse(value) for key, value in named.items()})

    cpu.CpuPlatform.get_attn_backend_cls = classmethod(dense)
    _accept_sparse()
    _register_configs()


def _accept_sparse() -> None:
    """The dense implementation that stands in for the sparse one is told of parts that it does not have."""
    from vllm.model_executor.layers.attention import mla_attention

    plain = mla_attention.MLACommonImpl.__init__

    known = inspect.signature(plain).parameters

    def dense(self: Any, *given: Any, **named: Any) -> None:
        plain(self, *given, **{key: value for key, value in named.items() if key in known})

    mla_attention.MLACommonImpl.__init__ = dense


def _register_configs() -> None:
    from transformers import AutoConfig, LlamaConfig, Qwen2Config

    class DeciLMConfig(LlamaConfig):
        """Nemotron's per-layer blocks as attributes, as the class on the hub has them."""

        model_type = "nemotron-nas"

        def __init__(self, block_configs: Any = None, **rest: Any) -> None:
            rest["num_key_value_heads"] = rest.get("num_key_value_heads") or rest.get("num_attention_heads", 1)
            rest["intermediate_size"] = rest.get("intermediate_size") or 1
            super().__init__(**rest)
            self.block_configs = [_named(block) for block in block_configs or []]

    class MiMoConfig(Qwen2Config):
        """Qwen 2 with a layer for drafts."""

        model_type = "mimo"

    AutoConfig.register("nemotron-nas", DeciLMConfig)
    AutoConfig.register("mimo", MiMoConfig)


class _Block(dict):
    """An object of the config, read by key or by attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _named(value: Any) -> Any:
    return _Block({key: _named(entry) for key, entry in value.items()}) if isinstance(value, dict) else value


def _not_sparse(value: Any) -> Any:
    return value._replace(use_sparse=False) if hasattr(value, "use_sparse") else value


def adapted(config: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """``config`` as the CPU classes can build it, and what was changed. Neither change touches what is cached."""
    if config.get("model_type") == "nemotron_h":
        for key, expert, net in (("hybrid_override_pattern", "E", "-"), ("layers_block_type", "moe", "mlp")):
            value = config.get(key)
            if isinstance(value, str) and expert in value:
                return {**config, key: value.replace(expert, net)}, "dense nets in place of experts"
            if isinstance(value, list) and expert in value:
                return {**config, key: [net if entry == expert else entry for entry in value]}, "dense nets for experts"
    if config.get("model_type") == "kimi_k3":
        text = {**config["text_config"], "first_k_dense_replace": config["text_config"]["num_hidden_layers"]}
        return {**config, "text_config": text}, "dense nets for experts"
    if config.get("model_type") == "minimax_m3_vl":
        text = {**config["text_config"], "moe_layer_freq": [0] * config["text_config"]["num_hidden_layers"]}
        return {**config, "text_config": text}, "dense nets for experts"
    if config.get("model_type") == "kimi_k25":
        text = dict(config["text_config"])
        return text, "its language model"
    return config, None
