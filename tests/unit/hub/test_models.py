# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The makers of the test models: formats by hand, so checked by other means than the code that writes them."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from tests.fakes.models import smollm2, tiny
from tests.fakes.models.gguf import Gguf
from tests.fakes.models.writing import byte_letters

ROOT = Path(__file__).resolve().parents[3]


def test_tiny_is_the_same_every_time_and_kept(tmp_path: Path) -> None:
    assert tiny.make(tmp_path / "a" / "one") and tiny.make(tmp_path / "two")
    for each in (tmp_path / "two").iterdir():
        assert each.read_bytes() == (tmp_path / "a" / "one" / each.name).read_bytes()
    assert not tiny.make(tmp_path / "two")
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_tiny_is_a_whole_model(tmp_path: Path) -> None:
    tiny.make(tmp_path / "model")
    data = (tmp_path / "model" / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
    assert (8 + length) % 8 == 0 and max(ends) == len(data) - 8 - length
    first, last = header["lm_head.weight"]["data_offsets"]
    head = numpy.frombuffer(data[8 + length + first : 8 + length + last], "<u2").reshape(320, 128)
    used = {row for row in range(320) if head[row].any()}
    assert used == set(range(0x20, 0x7F)), "every answer is printable"
    tokenizer = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    assert sorted(tokenizer["model"]["vocab"].values()) == list(range(320))


def test_byte_letters_are_those_of_gpt2() -> None:
    letters = byte_letters()
    assert len(set(letters)) == 256
    assert (letters[0x20], letters[0x0A], letters[0x41], letters[0xE9], letters[0xAD]) == ("Ġ", "Ċ", "A", "é", "Ń")


def test_rounding_to_bfloat16() -> None:
    def one(bits: int) -> int:
        (value,) = struct.unpack("<f", struct.pack("<I", bits))
        return int.from_bytes(smollm2.bf16(numpy.array([value], "<f4")), "little")

    assert one(0x3F800000) == 0x3F80
    assert one(0x3F807FFF) == 0x3F80 and one(0x3F808001) == 0x3F81
    assert one(0x3F808000) == 0x3F80 and one(0x3F818000) == 0x3F82, "ties go to the even one"


def write_gguf(path: Path, tensors: dict[str, tuple[tuple[int, ...], int, bytes]]) -> None:
    """A small GGUF file; shapes as in the file, innermost first."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2)
    head += text("a.list") + struct.pack("<IIQ", 9, 8, 2) + text("Ġa") + text("b")
    head += text("a.number") + struct.pack("<If", 6, 0.5)
    body = b""
    for name, (shape, kind, data) in tensors.items():
        head += text(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, kind, len(body))
        body += data + bytes(-len(data) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + body)


def test_gguf(tmp_path: Path) -> None:
    quants = bytes(low | (15 - low) << 4 for low in range(16))
    q4_1 = struct.pack("<ee", 0.5, -1.0) + quants
    q8_0 = struct.pack("<e", 0.25) + struct.pack("<32b", *range(-16, 16))
    write_gguf(
        tmp_path / "x.gguf",
        {
            "f": ((3, 2), 0, struct.pack("<6f", *range(6))),
            "q4": ((32, 1), 3, q4_1),
            "q8": ((32, 2), 8, q8_0 + q8_0),
        },
    )
    gguf = Gguf(tmp_path / "x.gguf")
    assert gguf.meta == {"a.list": ["Ġa", "b"], "a.number": 0.5}
    assert gguf.floats("f").tolist() == [[0, 1, 2], [3, 4, 5]]
    expected = [0.5 * low - 1 for low in range(16)] + [0.5 * (15 - low) - 1 for low in range(16)]
    assert gguf.floats("q4").tolist() == [expected]
    assert gguf.floats("q8").shape == (2, 32)
    assert gguf.floats("q8")[1].tolist() == [0.25 * each for each in range(-16, 16)]
    (tmp_path / "y.gguf").write_bytes(b"GGML" + bytes(40))
    with pytest.raises(ValueError, match="no GGUF"):
        Gguf(tmp_path / "y.gguf")


def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fakes.models", "tiny", str(tmp_path / "model")]
    said = [subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout for _time in range(2)]
    assert said[0].startswith("made ") and said[1].startswith("kept ")
