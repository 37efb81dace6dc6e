"""The command line: exit status, one sentence for what is wrong, and no traceback whatever it is fed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _planner

FOLDER = str(Path(_planner.__file__).parents[1])
PLANNED, INVALID, INFEASIBLE = 0, 2, 3


def run(*arguments: str, given: bytes = b"", **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "_planner", *arguments],
        input=given,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": FOLDER},
        timeout=60,
        check=False,
        **more,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[bytes]) -> None:
    assert done.returncode == INVALID, done
    text = done.stderr.decode()
    assert text.startswith("[plan.invalid_request] ")
    assert text.count("\n") == 1 and text.endswith("\n")
    assert len(text) < 700
    assert "Traceback" not in text
    assert done.stdout == b""


def test_planned_infeasible_and_invalid_have_their_exit_status(gpu_request: dict[str, Any]) -> None:
    done = run("plan", given=json.dumps(gpu_request).encode())
    assert (done.returncode, done.stderr) == (PLANNED, b"")
    assert json.loads(done.stdout)["errors"] == []
    gpu_request["deployments"][0]["workload"] = {"max_model_len": 40961}
    done = run("plan", "-", given=json.dumps(gpu_request).encode())
    assert (done.returncode, done.stderr) == (INFEASIBLE, b"")
    assert json.loads(done.stdout)["errors"][0]["code"] == "plan.context_too_long"
    gpu_request["surprise"] = 1
    assert_one_sentence(run("plan", given=json.dumps(gpu_request).encode()))


@pytest.mark.parametrize(
    "arguments",
    [
        {"max-num-seqs": 0},
        {"max-num-seqs": -1},
        {"max-num-seqs": "\u0663"},
        {"max-num-seqs": "many"},
        {"max-num-seqs": [1]},
        {"gpu-memory-utilization": "nan"},
        {"max-num-seqs": 256, "max-num-batched-tokens": 100},
    ],
)
def test_a_wrong_value_of_an_engine_argument_is_an_invalid_request(
    gpu_request: dict[str, Any], arguments: dict[str, Any]
) -> None:
    gpu_request["deployments"][0]["engine_args"] = arguments
    done = run("plan", given=json.dumps(gpu_request).encode())
    assert (done.returncode, done.stdout) == (INVALID, b"")
    text = done.stderr.decode()
    assert text.startswith("[plan.bad_engine_argument] ")
    assert text.count("\n") == 1
    assert "max-num-seqs" in text or "gpu-memory-utilization" in text


def test_the_table_has_every_reason(gpu_request: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(gpu_request))
    answer = json.loads(run("plan", str(file)).stdout)
    done = run("plan", str(file), "--format", "table")
    assert done.returncode == PLANNED
    table = " ".join(done.stdout.decode().split())
    for entry in answer["instances"][0]["decisions"]:
        assert entry["setting"] in table
        assert " ".join(entry["reason"].split()[:3]) in table


DEEP = 100_000
HOSTILE = {
    "nothing": b"",
    "no JSON": b"{'a': 1}",
    "half of it": b'{"vllm_version": "0.3',
    "binary": bytes(range(256)) * 64,
    "UTF-16": '{"vllm_version": "0.32.0"}'.encode("utf-16"),
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep in a config": b'{"vllm_version":"0.32.0","gpus":[],"deployments":[{"name":"a","model":{"config":{"a":'
    + b"[" * 500 + b"]" * 500 + b"}}}]}",
    "not a number": b'{"vllm_version": "0.32.0", "gpus": [], "deployments": [], "host": {"memory_bytes": NaN}}',
    "infinite": b'{"vllm_version": "0.32.0", "gpus": [], "deployments": [], "host": {"memory_bytes": 1e999}}',
    "ten thousand digits": b'{"vllm_version": "0.32.0", "gpus": [], "deployments": [], "host": {"cpus": '
    + b"9" * 10000 + b"}}",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "many values": b'{"vllm_version": "0.32.0", "deployments": [], "gpus": [' + b"1," * 300_000 + b"1]}",
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_it_reads_it_answers_with_one_sentence(what: str, tmp_path: Path) -> None:
    assert_one_sentence(run("plan", given=HOSTILE[what]))
    file = tmp_path / "model.json"
    file.write_bytes(HOSTILE[what])
    if what != "many values":  # a model's tensors are many values by right
        done = run("size", str(file))
        assert done.returncode in (INVALID, INFEASIBLE)
        assert b"Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("form", ["json", "table"])
def test_half_a_character_in_a_name_is_written_as_such(form: str, gpu_request: dict[str, Any]) -> None:
    gpu_request["deployments"][0]["name"] = "\ud800"
    done = run("plan", "--format", form, given=json.dumps(gpu_request).encode())
    assert b"Traceback" not in done.stderr
    assert done.returncode in (PLANNED, INVALID)


def test_too_much_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.json"
    with file.open("wb") as stream:
        stream.truncate(80 * 2**20)
    assert_one_sentence(run("plan", str(file)))


@pytest.mark.parametrize("name", ["folder", "missing", "closed", "nul"])
def test_what_cannot_be_read(name: str, tmp_path: Path) -> None:
    path = {"folder": str(tmp_path), "missing": str(tmp_path / "no.json"), "closed": "/proc/self/mem", "nul": "-"}[name]
    assert_one_sentence(run("plan", path, given=b"\0"))


def test_standard_input_that_is_closed() -> None:
    command = [sys.executable, "-m", "_planner", "plan"]
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": FOLDER},
        timeout=60,
        check=False,
    )
    assert_one_sentence(closed)


def test_standard_output_that_is_closed(gpu_request: dict[str, Any]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "_planner", "plan"],
        input=json.dumps(gpu_request).encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": FOLDER},
        timeout=60,
        check=False,
    )
    assert done.returncode == INVALID
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", ["plan", "size"])
def test_a_reader_that_leaves_early_is_no_error(command: str, gpu_request: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text(json.dumps(gpu_request if command == "plan" else gpu_request["deployments"][0]["model"]))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "_planner", command, str(file), "--format", "json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": FOLDER},
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == b""
    assert done.returncode == PLANNED


def test_a_full_disk_is_told(gpu_request: dict[str, Any]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "_planner", "plan"],
            input=json.dumps(gpu_request).encode(),
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": FOLDER},
            timeout=60,
            check=False,
        )
    assert done.returncode == INVALID
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--context", "0"], ["--context", "-1"], ["--users", "many"], ["--users", "1e9"], ["--format", "xml"], ["--bad"]],
)
def test_wrong_options_are_named(arguments: list[str], tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{}")
    done = run("size", str(file), *arguments)
    assert done.returncode == INVALID
    assert arguments[0].encode() in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--gpu", "nonsense"], ["--set", "dtype"], ["--vllm-version", "latest"]])
def test_wrong_values_are_one_sentence(arguments: list[str], gpu_request: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(gpu_request["deployments"][0]["model"]["config"]))
    assert_one_sentence(run("size", str(file), *arguments))


def test_size_from_the_command_line(gpu_request: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(gpu_request["deployments"][0]["model"]["config"]))
    done = run("size", str(file), "--context", "10000", "--users", "20", "--gpu", "4090", "--set",
               "gpu-memory-utilization=0.5", "--format", "json")  # fmt: skip
    assert (done.returncode, done.stderr) == (PLANNED, b"")
    answer = json.loads(done.stdout)
    assert [(entry["card"], entry["count"]) for entry in answer["rows"]] == [("RTX 4090", n) for n in (1, 2, 4, 8)]
    done = run("size", str(file), "--gpu", "V100")
    assert done.returncode == INFEASIBLE
    assert b"plan.capability_too_low" in done.stdout
