# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A random Qwen3 of a few hundred thousand parameters: real architecture, gibberish answers. Standard library only."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from .writing import byte_letters, publish, save_json, save_tensors, tokenizer_json

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, HEAD = 128, 384, 2, 4, 2, 64
VOCAB = 320  # 256 bytes, the special tokens, and some nobody uses
SPECIAL = {"<|endoftext|>": 256, "<|im_start|>": 257, "<|im_end|>": 258}
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make(outdir: Path) -> bool:
    """Make the model; False if it is there already. The same bytes every time."""
    return publish(outdir, _write)


def _write(directory: Path) -> None:
    save_json(
        directory / "config.json",
        {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "torch_dtype": "bfloat16",
            "hidden_size": HIDDEN,
            "intermediate_size": INNER,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD,
            "vocab_size": VOCAB,
            "max_position_embeddings": 4096,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "rope_scaling": None,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "tie_word_embeddings": False,
            "use_cache": True,
            "use_sliding_window": False,
            "sliding_window": None,
            "max_window_layers": LAYERS,
            "bos_token_id": None,
            "eos_token_id": SPECIAL["<|im_end|>"],
            "pad_token_id": SPECIAL["<|endoftext|>"],
        },
    )
    save_json(
        directory / "generation_config.json",
        {
            "eos_token_id": SPECIAL["<|im_end|>"],
            "pad_token_id": SPECIAL["<|endoftext|>"],
            "do_sample": True,
            "temperature": 0.2,
            "top_p": 0.9,
        },
    )
    vocab = {letter: byte for byte, letter in enumerate(byte_letters())}
    # The model's own vocabulary has to cover the unused rows too.
    vocab.update(SPECIAL)
    vocab.update({"<|unused_%d|>" % number: number for number in range(256 + len(SPECIAL), VOCAB)})
    save_json(directory / "tokenizer.json", tokenizer_json(vocab, [], SPECIAL, split_digits=False))
    save_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 4096,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    save_tensors(directory / "model.safetensors", _tensors())


def _tensors() -> Iterator[tuple[str, tuple[int, ...], Callable[[], bytes]]]:
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN), _random("embed", VOCAB * HIDDEN, 1.0)
    for layer in range(LAYERS):
        prefix = "model.layers.%d." % layer
        shapes = {
            "self_attn.q_proj": (HEADS * HEAD, HIDDEN),
            "self_attn.k_proj": (KV_HEADS * HEAD, HIDDEN),
            "self_attn.v_proj": (KV_HEADS * HEAD, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HEADS * HEAD),
            "mlp.gate_proj": (INNER, HIDDEN),
            "mlp.up_proj": (INNER, HIDDEN),
            "mlp.down_proj": (HIDDEN, INNER),
        }
        for name, (rows, columns) in shapes.items():
            yield prefix + name + ".weight", (rows, columns), _random(prefix + name, rows * columns, 0.1)
        for name, length in (
            ("self_attn.q_norm", HEAD),
            ("self_attn.k_norm", HEAD),
            ("input_layernorm", HIDDEN),
            ("post_attention_layernorm", HIDDEN),
        ):
            yield prefix + name + ".weight", (length,), _ones(length)
    yield "model.norm.weight", (HIDDEN,), _ones(HIDDEN)
    yield "lm_head.weight", (VOCAB, HIDDEN), _head


def _head() -> bytes:
    """Rows of printable ASCII are random, all others zero.

    So the answer is always printable text, also when it is one token long, and never ends before max_tokens.
    """
    rows = []
    for token in range(VOCAB):
        rows.append(_random("head %d" % token, HIDDEN, 0.5)() if 0x20 <= token < 0x7F else bytes(2 * HIDDEN))
    return b"".join(rows)


def _random(seed: str, count: int, deviation: float) -> Callable[[], bytes]:
    def content() -> bytes:
        source = random.Random(seed)
        return bf16([source.gauss(0.0, deviation) for _index in range(count)])

    return content


def _ones(count: int) -> Callable[[], bytes]:
    return lambda: bf16([1.0] * count)


def bf16(values: list[float]) -> bytes:
    """The upper halves of little-endian 32-bit floats; cutting off is exact enough for random numbers."""
    wide = struct.pack("<%df" % len(values), *values)
    out = bytearray(2 * len(values))
    out[0::2] = wide[2::4]
    out[1::2] = wide[3::4]
    return bytes(out)
