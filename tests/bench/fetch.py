# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times model_snapshot beside the usual tools: the same model, from the same hub on loopback, in turns.

    python -m tests.bench.fetch                   # one file of 2 GiB
    python -m tests.bench.fetch --files 4         # the same in four files
    python -m tests.bench.fetch --memory          # peak memory of ours for 0.5 and 2 GiB and a sparse file of 51 GB
    python -m tests.bench.fetch --json FILE

Each round lets every client fetch once, in another order; the medians count. model_snapshot verifies and flushes what
it writes; aria2c (--checksum) and ModelScope's client verify; curl and hf do not. Beside the seconds stand those of the
processor, which others on the machine change less. Everything lies in memory (/dev/shm) where there is room, so that no
disk is measured. A client that is not there is left out, and said so. Ends with 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.hub.repositories import SIDECAR
from tests.tools.debian import need

ROOT = Path(__file__).resolve().parents[2]
MODEL = "bench/model"
MODULE = "ansible_collections.gpufleet.vllm.plugins.modules.model_snapshot"
GIB = 1 << 30
# ours against curl without a checksum, and against hf
AIMS = {"curl": 0.9, "hf": 2.0}
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "no_proxy": "*",
    "PYTHONPATH": str(ROOT / ".cache" / "collections"),
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@dataclass
class Run:
    """How one process went. Seconds, and bytes of its largest resident size."""

    seconds: float
    processor: float
    memory: int


Client = Callable[[str, Path, Path], list[str]]


def ours(url: str, root: Path, target: Path) -> list[str]:
    arguments = {"id": MODEL, "source": "huggingface", "endpoints": {"huggingface": url}, "store": str(target)}
    program = (
        "import ansible.module_utils.basic as basic, io, runpy, sys\n"
        "basic._ANSIBLE_PROFILE = 'legacy'\n"
        "basic._ANSIBLE_ARGS = %r\n"
        "runpy.run_module(%r, run_name='__main__')"
    ) % (json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode(), MODULE)
    return [sys.executable, "-c", program]


def curl(url: str, root: Path, target: Path) -> list[str]:
    files = [each.name for each in sorted((root / MODEL).iterdir()) if not each.name.endswith(SIDECAR)]
    command = [need("curl"), "--silent", "--fail", "--location"]
    for name in files:
        command += ["--output", str(target / name), "%s/%s/resolve/main/%s" % (url, MODEL, name)]
    return command


def aria2c(url: str, root: Path, target: Path) -> list[str]:
    lines = []
    for each in sorted((root / MODEL).glob("*.safetensors")):
        digest = each.with_name(each.name + SIDECAR).read_text().strip()
        lines.append("%s/%s/resolve/main/%s\n checksum=sha-256=%s\n" % (url, MODEL, each.name, digest))
    listed = target / "list"
    listed.write_text("".join(lines))
    options = [
        "--quiet",
        "--max-connection-per-server=8",
        "--split=8",
        "--file-allocation=none",
        "--check-integrity=true",
    ]
    return [need("aria2c", "aria2"), *options, "--dir=%s" % target, "--input-file=%s" % listed]


def hf(url: str, root: Path, target: Path) -> list[str]:
    program = "import huggingface_hub as h; h.snapshot_download(%r, local_dir=%r, endpoint=%r)"
    return [sys.executable, "-c", program % (MODEL, str(target), url)]


def modelscope(url: str, root: Path, target: Path) -> list[str]:
    program = (
        "import os; os.environ['MODELSCOPE_ENDPOINT'] = %r\n"
        "import modelscope_hub as m; m.HubApi().download_repo(%r, 'model', local_dir=%r)"
    )
    return [sys.executable, "-c", program % (url, MODEL, str(target))]


CLIENTS: dict[str, Client] = {"ours": ours, "curl": curl, "aria2c": aria2c, "modelscope": modelscope, "hf": hf}


def available() -> list[str]:
    """The clients that are here; aria2c is brought by apt where it can be."""
    found = ["ours", "curl"]
    try:
        need("aria2c", "aria2")
        found.append("aria2c")
    except (OSError, subprocess.CalledProcessError) as error:
        print("aria2c is left out: %s" % error)
    for name, package in (("modelscope", "modelscope_hub"), ("hf", "huggingface_hub")):
        if subprocess.run([sys.executable, "-c", "import " + package], check=False, capture_output=True).returncode:
            print("%s is left out: this Python has no %s" % (name, package))
        else:
            found.append(name)
    return found


def run(command: list[str], home: Path) -> Run:
    begun = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**ENVIRONMENT, "HOME": str(home)}, cwd=ROOT
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        if process.returncode:
            output.seek(0)
            raise SystemExit("%s ended with %d:\n%s" % (command[0], process.returncode, output.read().decode()[-2000:]))
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def make_model(root: Path, size: int, files: int, sparse: bool = False) -> None:
    """Weights of ``size`` bytes in ``files`` files, with their hashes beside them."""
    folder = root / MODEL
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    for number in range(files):
        path, digest, left = folder / ("model-%05d.safetensors" % number), hashlib.sha256(), size // files
        with path.open("wb", buffering=0) as handle:
            if sparse:
                handle.truncate(left)
            while left:
                block = bytes(min(left, 1 << 22)) if sparse else os.urandom(min(left, 1 << 22))
                digest.update(block)
                left -= len(block) if sparse else handle.write(block)
        path.with_name(path.name + SIDECAR).write_text(digest.hexdigest())


@contextmanager
def hub(root: Path, scratch: Path) -> Iterator[str]:
    """The hub of the tests, as a process of its own; gives its URL."""
    port_file = scratch / "port"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.fakes.hub", "--root", str(root), "--port-file", str(port_file), "--frozen"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not port_file.exists():
            if process.poll() is not None:
                raise SystemExit("the hub did not start")
            time.sleep(0.05)
        url = "http://127.0.0.1:%s" % port_file.read_text().strip()
        urllib.request.urlopen("%s/api/models/%s/revision/main" % (url, MODEL), timeout=60).close()
        yield url
    finally:
        process.terminate()
        process.wait(10)


def fetch(name: str, url: str, root: Path, scratch: Path) -> Run:
    target = scratch / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    try:
        return run(CLIENTS[name](url, root, target), scratch)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def compare(scratch: Path, size: int, files: int, rounds: int) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Medians per client, and the aims that were missed."""
    root = scratch / "root"
    make_model(root, size, files)
    names = available()
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with hub(root, scratch) as url:
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                done = fetch(name, url, root, scratch)
                runs[name].append(done)
                figures = (number + 1, name, done.seconds, done.processor, os.getloadavg()[0])
                print("round %d %-10s %.2f s, %.2f s of the processor, load %.1f" % figures, flush=True)
    figures = {
        name: {
            "seconds": round(statistics.median(each.seconds for each in done), 2),
            "processor seconds": round(statistics.median(each.processor for each in done), 2),
            "MB/s": round(size / statistics.median(each.seconds for each in done) / 1e6),
            "peak MB": round(max(each.memory for each in done) / 1e6),
        }
        for name, done in runs.items()
    }
    missed = []
    for name, aim in AIMS.items():
        if name in figures:
            ratio = figures["ours"]["MB/s"] / figures[name]["MB/s"]
            print("ours is %.2f times as fast as %s (aim: %.1f)" % (ratio, name, aim))
            if ratio < aim:
                missed.append("%.2f times %s instead of %.1f" % (ratio, name, aim))
    return figures, missed


def memory(scratch: Path) -> dict[str, dict[str, float]]:
    """Peak memory of ours by the size of the one file."""
    figures = {}
    root = scratch / "root"
    for label, size, sparse in (
        ("0.5 GiB", GIB // 2, False),
        ("2 GiB", 2 * GIB, False),
        ("51 GB sparse", 51 * 10**9, True),
    ):
        make_model(root, size, 1, sparse)
        with hub(root, scratch) as url:
            done = fetch("ours", url, root, scratch)
        figures[label] = {"peak MB": round(done.memory / 1e6), "seconds": round(done.seconds, 1)}
        print("%-13s %s" % (label, figures[label]), flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size = int(options.gib * GIB)
    shared = Path("/dev/shm")
    fits = shared.is_dir() and shutil.disk_usage(shared).free > 3 * max(size, 2 * GIB)
    with tempfile.TemporaryDirectory(prefix="gpufleet-bench-", dir=shared if fits else None) as folder:
        print("in %s%s, load %.1f" % (folder, "" if fits else " (no memory disk with room)", os.getloadavg()[0]))
        missed: list[str] = []
        if options.memory:
            figures = memory(Path(folder))
        else:
            figures, missed = compare(Path(folder), size, options.files, options.rounds)
    for name, values in figures.items():
        print("%-12s %s" % (name, "  ".join("%s %s" % (value, what) for what, value in values.items())))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if missed:
        raise SystemExit("missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()
