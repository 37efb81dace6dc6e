# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads GGUF files: metadata, and tensors of the few types that our model uses. Needs numpy for the tensors."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STRING, ARRAY, BOOL = 8, 9, 7
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
F32, Q4_1, Q8_0 = 0, 3, 8
BLOCK = 32  # values per block of the quantised types
BLOCK_BYTES = {Q4_1: 2 + 2 + 16, Q8_0: 2 + 32}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor is. ``shape`` is row-major, as everybody but GGUF writes it."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def count(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count


class Gguf:
    """A GGUF file of version 3, little-endian."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as handle:
            self._data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 0
        magic, version, tensors, entries = self._unpack("<4sIQQ")
        if magic != b"GGUF" or version != 3:
            raise ValueError("%s is no GGUF file of version 3" % path)
        self.meta: dict[str, Any] = {}
        for _index in range(entries):
            key = self._string()
            self.meta[key] = self._value(self._unpack("<I")[0])
        found = [self._tensor() for _index in range(tensors)]
        align = self.meta.get("general.alignment", 32)
        self._base = (self._at + align - 1) // align * align
        self.tensors = {each.name: each for each in found}

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values

    def _string(self) -> str:
        (length,) = self._unpack("<Q")
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            inner, count = self._unpack("<IQ")
            return [self._value(inner) for _index in range(count)]
        return self._unpack(SCALARS[kind])[0]

    def _tensor(self) -> Tensor:
        name = self._string()
        (dimensions,) = self._unpack("<I")
        shape = self._unpack("<%dQ" % dimensions)
        kind, offset = self._unpack("<IQ")
        return Tensor(name, tuple(reversed(shape)), kind, offset)

    def floats(self, name: str) -> Any:
        """The tensor as a numpy array of 32-bit floats."""
        import numpy

        tensor = self.tensors[name]
        at = self._base + tensor.offset
        if tensor.kind == F32:
            return numpy.frombuffer(self._data, "<f4", tensor.count, at).reshape(tensor.shape)
        if tensor.kind not in BLOCK_BYTES:
            raise ValueError("%s has the unknown type %d" % (name, tensor.kind))
        size = BLOCK_BYTES[tensor.kind]
        blocks = tensor.count // BLOCK
        raw = numpy.frombuffer(self._data, "u1", blocks * size, at).reshape(blocks, size)
        scale = raw[:, 0:2].copy().view("<f2").astype("f4")
        if tensor.kind == Q8_0:
            values = raw[:, 2:].view("i1").astype("f4") * scale
        else:
            # Low halves of the 16 bytes are the first 16 values, high halves the others; value = scale * q + minimum.
            minimum = raw[:, 2:4].copy().view("<f2").astype("f4")
            quants = numpy.concatenate([raw[:, 4:] & 15, raw[:, 4:] >> 4], axis=1)
            values = quants.astype("f4") * scale + minimum
        return values.reshape(tensor.shape)
