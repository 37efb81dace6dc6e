# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection.

"""Why an engine did not start or died: from its log and from what systemd saw, to one of a few causes.

Pure: lines and values in, a ``Failure`` out. The rules are ordered from the most telling cause to the vaguest, because
one fault leaves many lines: whatever happens, vLLM ends with "Engine core initialization failed".
"""

from __future__ import annotations

import re
import typing as t


class Failure(t.NamedTuple):
    """A classified failure. ``code`` is stable, ``evidence`` the line that told, ``remedy`` one sentence."""

    code: str
    evidence: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        return {
            "code": self.code,
            "class": self.code.partition(".")[2],
            "evidence": self.evidence,
            "remedy": self.remedy,
        }


PORT_TAKEN = "engine.port_taken"
DRIVER_MISMATCH = "engine.driver_mismatch"
UNSUPPORTED_QUANTIZATION = "engine.unsupported_quantization"
OUT_OF_MEMORY = "engine.out_of_memory"
MISSING_FILE = "engine.missing_file"
BAD_ARGUMENT = "engine.bad_argument"
START_TIMEOUT = "engine.start_timeout"
UNRESPONSIVE = "engine.unresponsive"
KILLED = "engine.killed"
CRASH_LOOP = "engine.crash_loop"
UNKNOWN = "engine.unknown"

REMEDIES = {
    PORT_TAKEN: "Set `port:` of the deployment, or stop the program that listens there",
    DRIVER_MISMATCH: "Match the NVIDIA driver to what the engine's CUDA release needs, reboot if it was just upgraded",
    UNSUPPORTED_QUANTIZATION: "Choose a model whose quantization this engine and device support",
    OUT_OF_MEMORY: "Lower `workload.max_model_len` or `workload.concurrency`, take a smaller or quantized model, "
    "or free memory on the host",
    MISSING_FILE: "Check the model's folder and the runtime on the host; playbook fetch_models completes a model",
    BAD_ARGUMENT: "Correct `engine_args` or `workload` of the deployment",
    START_TIMEOUT: "Raise `start_timeout_seconds`, or look in the journal for what it was doing",
    UNRESPONSIVE: "Restart the instance; it runs but does not answer",
    KILLED: "Find out who sent the signal; for signal 9 look for the kernel's out-of-memory lines in the journal",
    CRASH_LOOP: "Look at the first failure in the journal of the unit, then run the deployment again",
    UNKNOWN: "Look at the journal of the unit",
}

_RULES: tuple[tuple[str, str], ...] = (
    (PORT_TAKEN, r"address already in use|\[Errno 98\]"),
    (
        DRIVER_MISMATCH,
        r"\bError 80[34]\b|driver version is insufficient|NVIDIA driver on your system is too old|"
        r"Driver/library version mismatch|no kernel image is available|No CUDA GPUs are available|"
        r"Found no NVIDIA driver|libcuda\.so[.\d]*: cannot open shared object",
    ),
    (
        UNSUPPORTED_QUANTIZATION,
        r"quantization method \S+ is not (?:currently )?supported|Unknown quantization method|"
        r"quantization is not (?:currently )?supported|does not match the quantization method specified|"
        r"not supported for the current GPU\. Minimum capability|Cannot find the config file for \w+",
    ),
    (
        OUT_OF_MEMORY,
        r"CUDA out of memory|OutOfMemoryError|No available memory for the cache blocks|"
        r"larger than the available KV cache memory|To serve at least one request|"
        r"is less than desired GPU memory utilization|is less than requested memory for kv|"
        r"DefaultCPUAllocator: (?:not enough|can't allocate) memory|std::bad_alloc|^\s*MemoryError\b|"
        r"Cannot allocate memory|not enough memory|insufficient memory|"
        r"killed by the OOM killer|Out of memory: Killed process|oom-kill",
    ),
    (
        MISSING_FILE,
        r"FileNotFoundError|Repo(?:sitory)? ?(?:id|ID|Not ?Found)\b.*(?:must|invalid|Error)|RepositoryNotFoundError|"
        r"Invalid repository ID or local directory|does not appear to have a file named|"
        r"Cannot find any model weights|Can't load the configuration of|"
        r"(?:OSError|Error): .*(?:No such file or directory|is not a local folder)|"
        r"Failed (?:to locate executable|at step EXEC)",
    ),
    # Before the sentence that only says how many values were refused.
    (BAD_ARGUMENT, r"Value error, "),
    (UNRESPONSIVE, r"the engine is up but does not serve"),
    (
        BAD_ARGUMENT,
        r"error: (?:unrecognized arguments|argument |ambiguous option|the following arguments|.*invalid choice)|"
        r"validation errors? for \w+|User-specified max_model_len|must be divisible by tensor parallel|"
        r"is not divisible by (?:weight quantization|min_thread)|must be <= max_num_batched_tokens|"
        r"Bfloat16 is only supported on GPUs|^(?:.*\b)?(?:ValueError|TypeError): .*(?:argument|must be|expected)|"
        r"Unknown (?:argument|config|key)|Unrecognized (?:argument|configuration)|"
        r"Model architectures .* are not supported",
    ),
)
_COMPILED = tuple((code, re.compile(pattern, re.IGNORECASE)) for code, pattern in _RULES)

# Lines that quote the words of a failure without being one.
_HARMLESS = re.compile(r"\b(?:WARNING|DEBUG|INFO)\b.*(?:ignor|fall(?:ing)? ?back|defaulting)", re.IGNORECASE)

# What systemd and the readiness check say about any failure.
_GENERAL = re.compile(
    r"^(?:Starting |Started |Stopping |Stopped |Failed to start |Scheduled restart|the engine's main process)|"
    r"^\S+\.service: "
)

# vLLM's process and time prefixes, up to the one blank that ends them.
_PREFIX = re.compile(r"^(?:\([^)]*pid=\d+\) ?)*(?:(?:ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")


def tidy(line: str) -> str:
    """A log line without vLLM's process and time prefixes and pydantic's echo of the input, at most 400 characters."""
    return _PREFIX.sub("", line).partition(" [type=value_error, ")[0].strip()[:400]


def condense(lines: t.Sequence[str]) -> list[str]:
    """``lines`` without the frames of tracebacks, which in vLLM fill hundreds of lines around the few that tell."""
    kept = []
    for line in lines:
        text = _PREFIX.sub("", line)
        frame = text.startswith(("  ", "Traceback (most recent call last)"))
        if text.strip() and (not frame or "Value error, " in text):
            kept.append(line)
    return kept


def from_log(lines: t.Sequence[str]) -> Failure | None:
    """The most telling cause that the log names, or None."""
    candidates = [line for line in lines if not _HARMLESS.search(line)]
    for code, pattern in _COMPILED:
        for line in candidates:
            if pattern.search(line):
                return Failure(code, tidy(line), REMEDIES[code])
    return None


def _own_words(lines: t.Sequence[str]) -> str:
    """The line that explains most when no rule matched: the first exception, else the engine's last line.

    The first, because each process that waits for the failed one adds an exception of its own.
    """
    own = [text for text in (tidy(line) for line in lines) if text and not _GENERAL.match(text)]
    for text in own:
        if re.match(r"^[\w.]*(?:Error|Exception)\b.*:", text):
            return text
    return own[-1] if own else "its journal does not say why"


def classify(lines: t.Sequence[str], unit: t.Mapping[str, str], start_limit_burst: int = 5) -> Failure:
    """Why the unit is down.

    ``lines``: journal lines of the failed start, oldest first. ``unit``: properties as ``systemctl show`` names them;
    read are Result, ExecMainCode, ExecMainStatus, NRestarts. The engine's own words win over systemd's, except that the
    kernel's out-of-memory killer leaves no words.
    """
    result = unit.get("Result", "")
    if result == "oom-kill":
        return Failure(OUT_OF_MEMORY, "the kernel's out-of-memory killer ended it", REMEDIES[OUT_OF_MEMORY])
    told = from_log(lines)
    if told is not None:
        return told
    if unit.get("ExecMainStatus") == "203":
        return Failure(MISSING_FILE, "the program of the unit cannot be run (status 203)", REMEDIES[MISSING_FILE])
    if result == "timeout":
        evidence = "systemd's start timeout ran out; last: %s" % _own_words(lines)
        return Failure(START_TIMEOUT, evidence, REMEDIES[START_TIMEOUT])
    # CLD_KILLED and CLD_DUMPED, as ExecMainCode gives them.
    if result in ("signal", "core-dump") or unit.get("ExecMainCode") in ("2", "3"):
        evidence = "its main process was ended by signal %s" % unit.get("ExecMainStatus", "?")
        return Failure(KILLED, evidence, REMEDIES[KILLED])
    restarts = unit.get("NRestarts", "0")
    if result == "start-limit-hit" or (restarts.isdigit() and int(restarts) >= start_limit_burst - 1):
        evidence = "restarted %s times; last: %s" % (restarts, _own_words(lines))
        return Failure(CRASH_LOOP, evidence, REMEDIES[CRASH_LOOP])
    return Failure(UNKNOWN, _own_words(lines), REMEDIES[UNKNOWN])


def redact(lines: t.Iterable[str], secrets: t.Iterable[str]) -> list[str]:
    """``lines`` with every secret replaced; secrets shorter than four characters would hit innocent text."""
    hidden = sorted((secret for secret in secrets if secret and len(secret) >= 4), key=len, reverse=True)
    cleaned = []
    for line in lines:
        for secret in hidden:
            line = line.replace(secret, "********")
        cleaned.append(line)
    return cleaned
