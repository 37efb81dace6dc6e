# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The request: frozen dataclasses and their strict reader. All sizes are bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import Any, Mapping

from . import values
from .errors import InvalidRequest
from .memory.cards import reserved_bytes

_GPU_FACTS = ("uuid", "display", "processes", "mig", "ecc", "numa_node", "pci", "pci_bus_id", "persistence", "state")
_MAX_SIZE = 2**50
_MAX_SIDE = 2**40
_MAX_TENSORS = 2**20


@dataclass(frozen=True)
class Gpu:
    """One GPU as gpu_facts reports it; sizes in bytes, ``capability`` as (major, minor)."""

    index: int
    name: str
    usable_bytes: int
    free_bytes: int
    capability: tuple[int, int] | None = None
    uuid: str | None = None
    display: bool = False
    mig: bool = False


@dataclass(frozen=True)
class Host:
    memory_bytes: int | None = None
    cpus: int | None = None


@dataclass(frozen=True)
class Model:
    """A model to load: its config.json and, where known, its weights as bytes of all ranks or as tensor headers."""

    config: Mapping[str, Any]
    id: str | None = None
    weights_bytes: int | None = None
    tensors: tuple[tuple[str, str, tuple[int, ...]], ...] | None = None


@dataclass(frozen=True)
class GpuWish:
    """Which GPUs a deployment asks for; ``share`` is the part of each of them that it may have (None: not said)."""

    count: int | None = None
    uuids: tuple[str, ...] = ()
    indices: tuple[int, ...] = ()
    share: float | None = None

    @property
    def named(self) -> bool:
        return bool(self.uuids or self.indices)


@dataclass(frozen=True)
class Link:
    """How two GPUs (indices ``a`` and ``b``) are joined; ``p2p`` is None where the driver does not say."""

    a: int
    b: int
    kind: str
    p2p: bool | None = None


@dataclass(frozen=True)
class Measured:
    """What an engine of ``deployment`` printed at its last start: bytes of one GPU, None where it did not say."""

    deployment: str
    vllm_version: str
    fingerprint: str | None = None
    weights_bytes: int | None = None
    activation_peak_bytes: int | None = None
    non_torch_bytes: int | None = None
    cuda_graph_bytes: int | None = None


@dataclass(frozen=True)
class Deployment:
    name: str
    model: Model
    gpus: GpuWish = field(default_factory=GpuWish)
    max_model_len: int | None = None
    concurrency: int | None = None
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    vllm_version: str | None = None
    build: str | None = None
    provider: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    kept_uuids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    vllm_version: str
    gpus: tuple[Gpu, ...]
    deployments: tuple[Deployment, ...]
    driver_version: str | None = None
    host: Host = field(default_factory=Host)
    device: str = "cuda"
    gpu_reason: str | None = None
    gpu_remedy: str | None = None
    links: tuple[Link, ...] = ()
    measured: tuple[Measured, ...] = ()


def parse_request(raw: Any) -> Request:
    """Read a request; raises InvalidRequest with one sentence that names the path of the mistake."""
    data = values.mapping(
        values.plain(raw),
        "request",
        ("vllm_version", "gpus", "deployments"),
        ("driver_version", "host", "links", "placement", "measured", "runtime", "gpu_reason", "gpu_remedy", "units"),
    )
    deployments = values.sequence(data["deployments"], "deployments", 256)
    placement = _placement(data.get("placement"))
    parsed = tuple(_deployment(entry, "deployments[%d]" % i, placement) for i, entry in enumerate(deployments))
    names = [entry.name for entry in parsed]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest("deployments has the name '%s' twice" % name)
    units = _units(data.get("units"), names)
    gpus = tuple(
        _gpu(entry, "gpus[%d]" % i, units) for i, entry in enumerate(values.sequence(data["gpus"], "gpus", 1024))
    )
    for what, keys in (("index", [gpu.index for gpu in gpus]), ("uuid", [gpu.uuid for gpu in gpus if gpu.uuid])):
        if len(set(keys)) != len(keys):
            raise InvalidRequest("gpus has one %s twice" % what)
    runtime = _section(data, "runtime", ("device", "provider", "version", "build"))
    return Request(
        vllm_version=values.text(data["vllm_version"], "vllm_version"),
        driver_version=_optional_text(data, "driver_version", ""),
        gpus=gpus,
        deployments=parsed,
        host=_host(data),
        device=_device(runtime, "runtime.device") or "cuda",
        gpu_reason=_optional_text(data, "gpu_reason", ""),
        gpu_remedy=_optional_text(data, "gpu_remedy", ""),
        links=tuple(_link(entry, "links[%d]" % i) for i, entry in enumerate(_list(data, "links", 2**16))),
        measured=tuple(_measured(entry, "measured[%d]" % i) for i, entry in enumerate(_list(data, "measured", 1024))),
    )


def _section(data: Mapping[str, Any], key: str, optional: tuple[str, ...], path: str = "") -> dict[str, Any]:
    """The object under ``key``, empty where it is absent or null."""
    return values.mapping(data[key], path + key, (), optional) if data.get(key) is not None else {}


def _list(data: Mapping[str, Any], key: str, maximum: int) -> list[Any]:
    return values.sequence(data[key], key, maximum) if data.get(key) is not None else []


def _placement(raw: Any) -> dict[str, tuple[str, ...]]:
    """GPUs that deployments have now, by the name of the deployment."""
    if raw is None:
        return {}
    out = {}
    for name, entry in values.mapping(raw, "placement", (), None).items():
        out[name] = _uuids(values.mapping(entry, "placement.%s" % name, (), ("uuids",)), "placement.%s." % name)
    return out


def _link(raw: Any, path: str) -> Link:
    data = values.mapping(raw, path, ("a", "b"), ("kind", "p2p"))
    p2p = data.get("p2p")
    return Link(
        a=values.integer(data["a"], path + ".a", 0, 4096),
        b=values.integer(data["b"], path + ".b", 0, 4096),
        kind=_optional_text(data, "kind", path + ".") or "unknown",
        p2p=None if p2p is None else values.boolean(p2p, path + ".p2p"),
    )


def _measured(raw: Any, path: str) -> Measured:
    sizes = ("weights_bytes", "activation_peak_bytes", "non_torch_bytes", "cuda_graph_bytes")
    others = ("fingerprint", "kv_available_bytes", "kv_tokens")
    data = values.mapping(raw, path, ("deployment", "vllm_version"), sizes + others)
    prefix = path + "."
    for key in others[1:]:
        _optional_integer(data, key, prefix, -_MAX_SIZE, _MAX_SIZE)
    return Measured(
        deployment=values.text(data["deployment"], prefix + "deployment"),
        vllm_version=values.text(data["vllm_version"], prefix + "vllm_version"),
        fingerprint=_optional_text(data, "fingerprint", prefix),
        **{key: _optional_integer(data, key, prefix, 0, _MAX_SIZE) for key in sizes},
    )


def _optional_text(data: Mapping[str, Any], key: str, path: str) -> str | None:
    return values.text(data[key], path + key) if data.get(key) is not None else None


def _optional_integer(data: Mapping[str, Any], key: str, path: str, minimum: int, maximum: int) -> int | None:
    return values.integer(data[key], path + key, minimum, maximum) if data.get(key) is not None else None


def _device(data: Mapping[str, Any], path: str) -> str | None:
    return values.text(data["device"], path, ("cuda", "cpu")) if data.get("device") is not None else None


def _host(data: Mapping[str, Any]) -> Host:
    host = _section(data, "host", ("memory_bytes", "cpus"))
    return Host(
        memory_bytes=_optional_integer(host, "memory_bytes", "host.", 1, _MAX_SIZE),
        cpus=_optional_integer(host, "cpus", "host.", 1, 2**16),
    )


def _gpu(raw: Any, path: str, units: frozenset[str]) -> Gpu:
    sizes = ("memory_total_bytes", "memory_reserved_bytes", "memory_usable_bytes", "memory_free_bytes")
    data = values.mapping(raw, path, ("index", "name"), sizes + ("compute_capability",) + _GPU_FACTS)
    prefix = path + "."
    size = {key: _optional_integer(data, key, prefix, 0, _MAX_SIZE) for key in sizes}
    usable = size["memory_usable_bytes"]
    if usable is None:
        # What CUDA sees is the card less what its firmware and driver keep for themselves.
        if size["memory_total_bytes"] is None:
            raise InvalidRequest("%s needs memory_usable_bytes or memory_total_bytes" % path)
        reserved = size["memory_reserved_bytes"]
        if reserved is None and isinstance(data["name"], str):
            reserved = reserved_bytes(data["name"], size["memory_total_bytes"])
        usable = size["memory_total_bytes"] - (reserved or 0)
    if usable <= 0:
        raise InvalidRequest("%s has no usable memory" % path)
    free = size["memory_free_bytes"]
    if free is not None:
        free = _free_bytes(free, usable, data.get("processes"), units, prefix + "processes")
    return Gpu(
        index=values.integer(data["index"], prefix + "index", 0, 4096),
        name=values.text(data["name"], prefix + "name"),
        usable_bytes=usable,
        free_bytes=usable if free is None else free,
        capability=_capability(data.get("compute_capability"), prefix + "compute_capability"),
        uuid=_optional_text(data, "uuid", prefix),
        display=values.boolean(data["display"], prefix + "display") if data.get("display") is not None else False,
        mig=values.boolean(data["mig"], prefix + "mig") if data.get("mig") is not None else False,
    )


def _units(raw: Any, names: list[str]) -> frozenset[str]:
    """Units whose memory is given back before the planned ones need it; those of the deployments unless told."""
    if raw is None:
        return frozenset("vllm@%s.service" % name for name in names)
    return frozenset(values.text(entry, "units") for entry in values.sequence(raw, "units"))


def _free_bytes(free: int, usable: int, raw: Any, units: frozenset[str], path: str) -> int:
    """Free memory of a card once ``units`` have ended, in bytes; ``free`` is what is free while they run.

    The driver does not always say how much a process holds. Where that is so for one of ``units``, the card counts as
    full of nothing but what others are known to hold.
    """
    own = others = 0
    unknown = False
    for position, entry in enumerate(values.sequence(raw, path, 65536) if raw is not None else []):
        where = "%s[%d]" % (path, position)
        process = values.mapping(entry, where, (), None)
        size = _optional_integer(process, "memory_bytes", where + ".", 0, _MAX_SIZE)
        unit = process.get("unit")
        if not isinstance(unit, str) or unit not in units:
            others += size or 0
        elif size is None:
            unknown = True
        else:
            own += size
    freed = usable - others if unknown else free + own
    return max(0, min(usable, max(free, freed)))


def _capability(raw: Any, path: str) -> tuple[int, int] | None:
    if raw is None:
        return None
    match = re.fullmatch(r"([0-9]{1,2})\.([0-9]{1,2})", values.text(raw, path))
    if match is None:
        raise InvalidRequest("%s must look like '9.0', not %s" % (path, values.shown(raw)))
    return int(match.group(1)), int(match.group(2))


def _deployment(raw: Any, path: str, placement: Mapping[str, tuple[str, ...]]) -> Deployment:
    data = values.mapping(
        raw, path, ("name", "model"), ("gpus", "workload", "engine_args", "runtime", "device", "env", "placement")
    )
    prefix = path + "."
    name = values.text(data["name"], prefix + "name")
    workload = _section(data, "workload", ("max_model_len", "concurrency"), prefix)
    runtime = _section(data, "runtime", ("provider", "version", "device", "build"), prefix)
    engine_args = values.mapping(
        {} if data.get("engine_args") is None else data["engine_args"], prefix + "engine_args", (), None
    )
    return Deployment(
        name=name,
        model=_model(data["model"], prefix + "model"),
        gpus=_wish(data, prefix),
        max_model_len=_optional_integer(workload, "max_model_len", prefix + "workload.", 1, 2**31),
        concurrency=_optional_integer(workload, "concurrency", prefix + "workload.", 1, 2**20),
        engine_args=engine_args,
        device=_device(data, prefix + "device") or _device(runtime, prefix + "runtime.device"),
        vllm_version=_optional_text(runtime, "version", prefix + "runtime."),
        build=_optional_text(runtime, "build", prefix + "runtime."),
        provider=_optional_text(runtime, "provider", prefix + "runtime."),
        env=_env(data.get("env"), prefix + "env"),
        kept_uuids=_uuids(_section(data, "placement", ("uuids",), prefix), prefix + "placement.")
        or placement.get(name, ()),
    )


def _env(raw: Any, path: str) -> dict[str, str]:
    # Only the text of a variable is read; what else an inventory may hold is the business of who writes the file.
    entries = values.mapping({} if raw is None else raw, path, (), None)
    return {key: entry for key, entry in entries.items() if isinstance(entry, str)}


def _uuids(data: Mapping[str, Any], prefix: str) -> tuple[str, ...]:
    path = prefix + "uuids"
    return tuple(values.text(entry, path) for entry in values.sequence(data.get("uuids") or [], path))


def _share(raw: Any, path: str) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not 0 < raw <= 1:
        raise InvalidRequest("%s must be a number above 0 and at most 1, not %s" % (path, values.shown(raw)))
    return float(raw)


def _wish(data: Mapping[str, Any], prefix: str) -> GpuWish:
    wish = _section(data, "gpus", ("count", "uuids", "indices", "share"), prefix)
    path = prefix + "gpus."
    uuids = _uuids(wish, path)
    indices = tuple(
        values.integer(entry, path + "indices", 0, 4096)
        for entry in values.sequence(wish.get("indices") or [], path + "indices")
    )
    count = _optional_integer(wish, "count", path, 1, 1024)
    if sum((bool(uuids), bool(indices), count is not None)) > 1:
        raise InvalidRequest("%sgpus takes one of count, uuids and indices" % prefix)
    return GpuWish(count=count, uuids=uuids, indices=indices, share=_share(wish.get("share"), path + "share"))


def _model(raw: Any, path: str) -> Model:
    data = values.mapping(raw, path, ("config",), ("id", "weights_bytes", "tensors", "source", "revision", "path"))
    return Model(
        config=values.mapping(data["config"], path + ".config", (), None),
        id=_optional_text(data, "id", path + "."),
        weights_bytes=_optional_integer(data, "weights_bytes", path + ".", 1, _MAX_SIZE),
        tensors=_tensors(data.get("tensors"), path + ".tensors"),
    )


def _tensors(raw: Any, path: str) -> tuple[tuple[str, str, tuple[int, ...]], ...] | None:
    """Read safetensors headers: ``{name: {dtype, shape}}``. A large model has a hundred thousand of them."""
    if not raw:
        return None
    headers = values.mapping(raw, path, (), None)
    if len(headers) > _MAX_TENSORS:
        raise InvalidRequest("%s has %d entries, more than %d" % (path, len(headers), _MAX_TENSORS))
    out = []
    for name, entry in headers.items():
        if name == "__metadata__":
            continue
        if not isinstance(name, str):
            raise InvalidRequest("%s: key %s is not a string" % (path, values.shown(name)))
        try:
            dtype, shape = entry["dtype"], entry["shape"]
        except (TypeError, KeyError, IndexError):
            dtype = shape = None
        if dtype.__class__ is not str or shape.__class__ is not list or len(entry) > 3 or not _plain_shape(shape):
            dtype, shape = _strict_header(entry, "%s['%s']" % (path, values.shown(name)))
        out.append((str(name), dtype, tuple(shape)))
    return tuple(out)


def _plain_shape(shape: list[Any]) -> bool:
    whole = len(shape) <= 16 and all(size.__class__ is int and 0 <= size <= _MAX_SIDE for size in shape)
    return whole and int(prod(shape)) <= _MAX_SIZE


def _strict_header(entry: Any, path: str) -> tuple[str, list[int]]:
    """The same with every check, for the sentence that says what is wrong, and for values that Ansible has tagged."""
    header = values.mapping(entry, path, ("dtype", "shape"), ("data_offsets",))
    sizes = values.sequence(header["shape"], path + ".shape", 16)
    shape = [int(values.integer(size, path + ".shape", 0, _MAX_SIDE)) for size in sizes]
    if prod(shape) > _MAX_SIZE:
        raise InvalidRequest("%s.shape has more than %d elements" % (path, _MAX_SIZE))
    return str(values.text(header["dtype"], path + ".dtype")), shape
