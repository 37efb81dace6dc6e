"""The unit as rendered: sound to systemd, hardened, and nothing that breaks CUDA in the form for a GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/vllm_instance"
SPEC = {
    "name": "chat",
    "revision": "abc",
    "served_name": "chat",
    "host": "127.0.0.1",
    "port": 8000,
    "model": {"id": "acme/tiny", "path": "/var/lib/gpufleet/models/acme/tiny/1"},
    "runtime": {"exec": ["/bin/sh", "serve"]},
    "start_timeout_seconds": 60,
}
DEFAULTS = {
    "ansible_managed": "Managed",
    "vllm_instance_start_limit_interval_seconds": 1800,
    "vllm_instance_start_limit_burst": 5,
    "vllm_instance_restart_seconds": 5,
    "vllm_instance_restart_max_seconds": 120,
    "vllm_instance_stop_timeout_seconds": 60,
    "vllm_instance_limit_nofile": 1048576,
    "__vllm_instance_url": "http://127.0.0.1:8000",
    "__vllm_instance_user": "vllm-chat",
}


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    # The programs that the unit calls must exist for systemd-analyze.
    program = tmp_path / "libexec/vllm-ready"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


def render(stage: Path, device: str, systemd: int, allow: list[str]) -> Path:
    """Write unit and drop-in of one instance; returns the unit's path."""
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    engine.filters["comment"] = lambda text: "# %s" % text
    engine.filters["dirname"] = os.path.dirname
    values: dict[str, Any] = {
        **DEFAULTS,
        "__vllm_instance_spec": {**SPEC, "device": device},
        "__vllm_instance_libexec": str(stage / "libexec"),
        "__vllm_instance_systemd_version": systemd,
        "__vllm_instance_allow": allow,
    }
    unit = stage / "vllm@chat.service"
    unit.write_text(engine.get_template("vllm@.service.j2").render(values))
    folder = stage / "vllm@chat.service.d"
    folder.mkdir()
    (folder / "10-instance.conf").write_text(engine.get_template("10-instance.conf.j2").render(values))
    nodes = "gpufleet-nvidia-nodes.service"
    (stage / nodes).write_text(engine.get_template(nodes + ".j2").render(values))
    return unit


def analyze(stage: Path, *arguments: str) -> str:
    environment = dict(os.environ, SYSTEMD_UNIT_PATH="%s:" % stage)
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("allow", [[], ["10.0.0.0/8", "10.0.0.5"]])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_unit_is_sound_and_hardened(stage: Path, device: str, allow: list[str]) -> None:
    unit = render(stage, device, 252, allow)
    nodes = stage / "gpufleet-nvidia-nodes.service"
    analyze(stage, "verify", "--man=no", "--recursive-errors=no", str(unit), str(nodes))
    report = analyze(stage, "security", "--offline=true", "--threshold=25", str(unit))
    exposure = re.search(r"exposure level for vllm@chat.service: ([\d.]+)", report)
    assert exposure is not None and float(exposure.group(1)) <= 1.6


def test_gpu_form_leaves_cuda_what_it_needs(stage: Path) -> None:
    unit = render(stage, "cuda", 252, [])
    text = unit.read_text() + (stage / "vllm@chat.service.d/10-instance.conf").read_text()
    assert "PrivateDevices=yes" not in text
    assert "MemoryDenyWriteExecute" not in text and "ProcSubset" not in text
    assert "DeviceAllow=char-nvidia rw" in text and "AF_NETLINK" in text


def test_device_nodes_are_made_before_systemd_looks_for_them(stage: Path) -> None:
    render(stage, "cuda", 252, [])
    text = (stage / "vllm@chat.service.d/10-instance.conf").read_text()
    before = text.partition("[Service]")[0]
    # A command of the engine's own unit would come too late, and its device list would not let it.
    assert "Wants=gpufleet-nvidia-nodes.service" in before and "After=gpufleet-nvidia-nodes.service" in before
    assert "nvidia-modprobe" not in text


def test_nodes_of_every_gpu_are_made(tmp_path: Path) -> None:
    for minor in (0, 3):
        folder = tmp_path / "proc/gpus" / ("0000:0%d:00.0" % minor)
        folder.mkdir(parents=True)
        (folder / "information").write_text("Model: \t\t H100\nDevice Minor: \t %d\nGPU Excluded:\t No\n" % minor)
    calls = tmp_path / "calls"
    program = tmp_path / "nvidia-modprobe"
    program.write_text('#!/bin/sh\necho "$@" >> %s\n' % calls)
    program.chmod(0o755)
    environment = dict(os.environ, PATH="%s:%s" % (tmp_path, os.environ["PATH"]))
    command = ["/bin/sh", str(ROLE / "files/nvidia-nodes"), str(tmp_path / "proc")]
    subprocess.run(command, env=environment, check=True)
    assert calls.read_text().splitlines() == ["-c 255", "-u -c 0", "-c 0", "-c 3"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_programs_of_the_runtime_come_first(stage: Path, device: str) -> None:
    render(stage, device, 252, [])
    text = (stage / "vllm@chat.service.d/10-instance.conf").read_text()
    assert re.findall("^Environment=PATH=([^:]*):.*:/usr/bin:", text, re.MULTILINE) == ["/bin"]
    assert ("Environment=CUDA_HOME=%t/gpufleet/%i/cuda" in text) is (device == "cuda")


def test_cpu_form_sees_no_devices(stage: Path) -> None:
    render(stage, "cpu", 252, [])
    text = (stage / "vllm@chat.service.d/10-instance.conf").read_text()
    assert "PrivateDevices=yes" in text and "nvidia" not in text


@pytest.mark.parametrize(("systemd", "grows"), [(252, False), (254, True)])
def test_growing_pause_only_where_systemd_knows_it(stage: Path, systemd: int, grows: bool) -> None:
    assert ("RestartMaxDelaySec=" in render(stage, "cpu", systemd, []).read_text()) is grows


def test_command_line_holds_the_config_file_and_no_more(stage: Path) -> None:
    render(stage, "cpu", 252, [])
    text = (stage / "vllm@chat.service.d/10-instance.conf").read_text()
    assert re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE) == [
        "",
        "/bin/sh serve --config /etc/gpufleet/instances/%i/config.yaml",
    ]


def test_files_with_values_of_users_are_closed() -> None:
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    modes = {file["name"]: file["mode"] for file in variables["__vllm_instance_files"]}
    assert modes == {"config.yaml": "0644", "env": "0600", "secrets.env": "0600"}
