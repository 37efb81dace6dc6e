"""Causes told from logs: whole journals of vLLM 0.32.0 on the CPU, and lines of CUDA machines from public reports."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _engine_failures as failures

FIXTURES = Path(__file__).parent / "fixtures"
EXITED = {"Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "1", "NRestarts": "0"}


def journal(name: str) -> list[str]:
    """A journal as captured on a Debian 12 host, unit vllm@tiny.service."""
    return (FIXTURES / ("cpu-0.32.0-%s.log" % name)).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("missing_model", "engine.missing_file", "/var/lib/gpufleet/models/no/such/model"),
        ("empty_model", "engine.missing_file", "Invalid repository ID or local directory specified: '/opt/gpufleet'."),
        ("unknown_key", "engine.bad_argument", "unrecognized arguments: --no-such-option"),
        ("bad_value", "engine.bad_argument", "argument --max-num-batched-tokens"),
        ("max_model_len", "engine.bad_argument", "User-specified max_model_len (131072) is greater than the derived"),
        ("quantization", "engine.unsupported_quantization", "Cannot find the config file for awq"),
        ("port_taken", "engine.port_taken", "Address already in use"),
        ("kv_too_large", "engine.out_of_memory", "is less than requested memory for kv (900.0 GiB)"),
        ("kv_below_one", "engine.out_of_memory", "larger than the available KV cache memory"),
        ("kv_too_small", "engine.out_of_memory", "No available memory for the cache blocks"),
    ],
)
def test_captured_journal(name: str, code: str, words: str) -> None:
    failure = failures.classify(journal(name), EXITED)
    assert failure.code == code
    assert words in failure.evidence
    assert failure.remedy == failures.REMEDIES[code]


def public_reports() -> list[tuple[str, str]]:
    with (FIXTURES / "public_reports.csv").open(encoding="utf-8", newline="") as stream:
        return [(row["line"], row["code"]) for row in csv.DictReader(stream)]


@pytest.mark.parametrize(("line", "code"), public_reports())
def test_line_of_a_public_report(line: str, code: str) -> None:
    noise = ["INFO 11-22 06:05:58 [model.py:733] Resolved architecture: Qwen3ForCausalLM"]
    end = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    assert failures.classify([*noise, line, end], EXITED).code == code


@pytest.mark.parametrize(
    "line",
    [
        "(APIServer pid=2) WARNING 11-22 06:05:51 [system_utils.py:255] Found ulimit of 20000 and failed to "
        "automatically increase. This can cause fd limit errors like `OSError: [Errno 24] Too many open files`.",
        "(APIServer pid=2) INFO 11-22 06:05:58 [vllm.py:1] Available KV cache memory: 4.5 GiB",
        "INFO: Address already in use is ignored",
        "W1122 06:05:51.261000 242 torch/_library/triton.py:53] Triton not available, find_triton_kernels = []",
    ],
)
def test_ordinary_lines_are_no_failure(line: str) -> None:
    assert failures.from_log([line]) is None


def test_first_cause_wins_over_what_follows_from_it() -> None:
    lines = ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "FileNotFoundError: /tmp/x"]
    assert failures.classify(lines, EXITED).code == "engine.out_of_memory"


def test_kernel_oom_killer_leaves_no_words() -> None:
    assert failures.classify([], {"Result": "oom-kill"}).code == "engine.out_of_memory"


def test_signal() -> None:
    killed = failures.classify(["loading"], {"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"})
    assert killed.code == "engine.killed" and "signal 9" in killed.evidence
    # The start-post program ends first, so that systemd's result is its exit status.
    assert (
        failures.classify([], {"Result": "exit-code", "ExecMainCode": "2", "ExecMainStatus": "6"}).code == killed.code
    )


def test_program_that_cannot_be_run() -> None:
    assert failures.classify([], {"Result": "exit-code", "ExecMainStatus": "203"}).code == "engine.missing_file"


def test_systemd_timeout() -> None:
    late = failures.classify(["compiling"], {"Result": "timeout"})
    assert late.code == "engine.start_timeout" and "compiling" in late.evidence


@pytest.mark.parametrize("unit", [{"Result": "start-limit-hit"}, dict(EXITED, NRestarts="4")])
def test_crash_loop(unit: dict[str, str]) -> None:
    assert failures.classify(["Starting vllm@x.service", "it hurts"], unit).code == "engine.crash_loop"


def test_refusal_seen_by_the_readiness_check() -> None:
    line = "the engine is up but does not serve: http://127.0.0.1:1 refuses the key (401)"
    assert failures.classify([line], EXITED) == failures.Failure(
        "engine.unresponsive", line, failures.REMEDIES["engine.unresponsive"]
    )


def test_unknown_gives_the_first_exception() -> None:
    lines = [
        "(Worker pid=318) ERROR 11-22 06:06:16 [multiproc.py:953] RuntimeError: gloo: Address family not supported",
        "(EngineCore pid=293) ERROR 11-22 06:06:17 [core.py:1510] Exception: WorkerProc initialization failed",
        "Failed to start vllm@x.service - vLLM instance x.",
    ]
    assert failures.classify(lines, EXITED) == failures.Failure(
        "engine.unknown", "RuntimeError: gloo: Address family not supported", failures.REMEDIES["engine.unknown"]
    )
    assert failures.classify([], EXITED).evidence == "its journal does not say why"


def test_condense_leaves_what_tells() -> None:
    lines = journal("max_model_len")
    short = failures.condense(lines)
    assert len(short) < len(lines) / 2
    assert any("User-specified max_model_len" in line for line in short)
    assert not any('File "' in line for line in short)


def test_redact() -> None:
    assert failures.redact(["a sk-12345 b sk-1234567"], ["sk-12345", "sk-1234567", ""]) == ["a ******** b ********"]
    assert failures.redact(["all of it"], ["a"]) == ["all of it"]


def test_every_code_has_a_remedy() -> None:
    codes = {value for name, value in vars(failures).items() if name.isupper() and str(value).startswith("engine.")}
    assert codes == set(failures.REMEDIES)
