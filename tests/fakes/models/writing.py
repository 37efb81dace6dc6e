# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes model directories: safetensors by hand, JSON, and the whole by one rename."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def save_tensors(path: Path, tensors: Iterable[tuple[str, tuple[int, ...], Callable[[], bytes]]]) -> None:
    """Write BF16 tensors ``(name, shape, content)``; each ``content`` is called when its turn comes, to save memory.

    The format: 8 bytes with the header's length, a JSON header, then the contents in the header's order.
    """
    todo = list(tensors)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape, _content in todo:
        size = 2
        for length in shape:
            size *= length
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as handle:
        handle.write(len(head).to_bytes(8, "little") + head)
        for name, _shape, content in todo:
            data = content()
            first, last = header[name]["data_offsets"]
            if len(data) != last - first:
                raise ValueError("%s has %d bytes, not %d" % (name, len(data), last - first))
            handle.write(data)


def save_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def publish(outdir: Path, write: Callable[[Path], None]) -> bool:
    """Let ``write`` fill a new directory, then make it ``outdir`` by a rename. False if ``outdir`` is there already."""
    if (outdir / "config.json").is_file():
        return False
    outdir.parent.mkdir(parents=True, exist_ok=True)
    # The hidden sibling starts with a dot, so a hub that serves the parent does not list it as a model.
    work = Path(tempfile.mkdtemp(prefix=".%s." % outdir.name, dir=outdir.parent))
    try:
        write(work)
        work.chmod(0o755)
        work.rename(outdir)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        if (outdir / "config.json").is_file():  # another run was first
            return False
        raise
    return True


def byte_letters() -> list[str]:
    """For each byte the letter that stands for it in the vocabulary of a byte-level tokenizer.

    Printable Latin-1 stands for itself; the others get the letters from U+0100 on, in order.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    letters, following = [], 0x100
    for byte in range(256):
        if byte in visible:
            letters.append(chr(byte))
        else:
            letters.append(chr(following))
            following += 1
    return letters


def tokenizer_json(
    vocab: dict[str, int], merges: list[str], special: dict[str, int], split_digits: bool
) -> dict[str, Any]:
    """A ``tokenizer.json`` for a byte-level BPE tokenizer. ``special`` tokens are never split or merged."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    before: dict[str, Any] = byte_level
    if split_digits:
        digits = {"type": "Digits", "individual_digits": True}
        before = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": text, **flags} for text, number in special.items()],
        "normalizer": None,
        "pre_tokenizer": before,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    }
