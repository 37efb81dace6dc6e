# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight on a real host with real defects: each gives its own code, all are told at once, nothing changes.

One bare host stands behind every name of the inventory. A name gets its defect by an interpreter that shows Python a
changed world (mounts in a namespace of its own, another machine type), or by its variables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import Result, Site, start_hosts, start_hub
from tests.lab import inventory
from tests.lab.testing import fresh_lab, inside

pytestmark = pytest.mark.lab

TOKEN = "hf-test-token-of-the-hub"
TINY = {"id": "gpufleet/tiny-qwen3", "source": "huggingface"}

# What Python of such a host sees. The commands run in a mount namespace that ends with the process.
WORLDS = {
    "other-os": "mount --bind /root/defects/os-release /usr/lib/os-release",
    "no-systemd": "mount -t tmpfs none /run/systemd",
    "small-disk": "mount -t tmpfs -o size=64m none /opt",
    "small-memory": "mount --bind /root/defects/meminfo /proc/meminfo",
    "old-python": "mount --bind /root/defects/fake-python /usr/bin/python3.11",
}
FILES = {
    "os-release": 'ID=alpine\nVERSION_ID=3.20\nPRETTY_NAME="Alpine Linux v3.20"\n',
    "meminfo": "MemTotal:         524288 kB\nMemFree:          400000 kB\nMemAvailable:     400000 kB\n",
    "fake-python": '#!/bin/sh\ncase "$*" in *sys.implementation*) echo cpython 3.9.2 False;; '
    '*) exec /root/defects/real-python "$@";; esac\n',
    "other-arch": '#!/bin/sh\nexec setarch i686 /usr/bin/python3 "$@"\n',
}


def deployment(**changes: Any) -> dict[str, Any]:
    return {"name": "tiny", "model": TINY, "port": 8100, **changes}


# Host -> its variables (or None: a world above), and what preflight must say: code, and words that name the value.
HOSTS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "other-os": ({}, "host.unsupported_os", ("Alpine Linux v3.20", "Debian 12 and 13", "gpufleet_allow_untested_os")),
    "other-arch": ({}, "host.unsupported_arch", ("i686", "x86_64")),
    "no-systemd": ({}, "host.no_systemd", ("not the init system",)),
    "small-disk": ({}, "host.disk", ("64 MiB free", "vLLM 0.32.0 for cpu 2.3 GiB", "Free or add")),
    "small-memory": ({}, "host.memory", ("0.50 GiB", "tiny")),
    "old-python": ({}, "runtime.python_unsuitable", ("3.9.2", "3.11")),
    "port-taken": (
        {"vllm_deployments": [deployment(port=8000)]},
        "host.port_taken",
        ("squatter.service", "0.0.0.0:8000", "`port:`"),
    ),
    "no-model": (
        {"vllm_deployments": [deployment(model={**TINY, "id": "gpufleet/none"})]},
        "model.not_found",
        ("gpufleet/none",),
    ),
    "no-revision": (
        {"vllm_deployments": [deployment(model={**TINY, "revision": "v9"})]},
        "model.revision_not_found",
        ("v9",),
    ),
    "no-hub": (
        {"gpufleet_hub_endpoints": {"huggingface": ["http://10.66.0.1:9"]}},
        "hub.unreachable",
        ("http://10.66.0.1:9", "gpufleet_hub_endpoints"),
    ),
    "wrong-token": (
        {"gpufleet_hub_tokens": {"huggingface": "wrong-token-wrong-token"}},
        "hub.unauthorized",
        ("gpufleet/tiny-qwen3",),
    ),
    "too-long": (
        {"vllm_deployments": [deployment(workload={"max_model_len": 1000000})]},
        "plan.context_too_long",
        ("1000000", "4096"),
    ),
    "no-gpu": ({"vllm_device": "cuda"}, "host.no_gpu", ("vllm_device: cpu",)),
}

INVENTORIES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "twin-names": ({"vllm_deployments": [deployment(), deployment(port=8101)]}, "inventory.duplicate_name", ("tiny",)),
    "twin-ports": (
        {"vllm_deployments": [deployment(), deployment(name="other")]},
        "inventory.duplicate_port",
        ("8100", "other"),
    ),
    "bad-type": (
        {"vllm_deployments": [deployment(workload={"max_model_len": "long"})]},
        "inventory.bad_type",
        ("max_model_len", "long"),
    ),
    "bad-key": ({"vllm_deployments": [deployment(prot=1)]}, "inventory.unknown_key", ("prot",)),
    "unknown-argument": (
        {"vllm_deployments": [deployment(engine_args={"max-model-length": 512})]},
        "plan.unknown_engine_argument",
        ("max-model-length", "max-model-len"),
    ),
    "bad-device": ({"vllm_device": "rocm"}, "inventory.bad_type", ("vllm_device", "rocm")),
    "two-keys": (
        {"vllm_api_keys": {"a": "s3cret-s3cret-s3cret", "b": "s3cret-s3cret-s3cret"}},
        "inventory.conflict",
        ("gateway",),
    ),
    "weak-key": ({"vllm_api_keys": {"a": "123456"}}, "inventory.weak_key", ("6 characters",)),
    "loopback": ({"vllm_bind_address": "127.0.0.1"}, "inventory.conflict", ("page-elsewhere", "127.0.0.1")),
}


@pytest.fixture(scope="module")
def site(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with fresh_lab("e2e-preflight") as lab:
        start_hosts(lab, ["bare"], net="bridge")
        site = Site(lab, tmp_path_factory.mktemp("preflight"), [])
        hub = start_hub(lab, models, bridge=True, arguments=["--token", TOKEN])
        prepare(site)
        base = inventory.variables(lab, "bare")
        hosts = {"good": base}
        for name, (variables, _code, _words) in {**HOSTS, **INVENTORIES}.items():
            hosts[name] = {**base, **variables}
            if name in WORLDS or name in FILES:
                hosts[name]["ansible_python_interpreter"] = f"/root/defects/{name}"
        common = {
            "gpufleet_hub_endpoints": {"huggingface": [hub]},
            "gpufleet_hub_tokens": {"huggingface": TOKEN},
            "gpufleet_secrets_dir": str(site.secrets),
            "gpufleet_artifacts_dir": str(site.artifacts),
            "vllm_device": "cpu",
            "vllm_deployments": [deployment()],
        }
        page = {"hosts": {"page-elsewhere": base}}
        everything = {"all": {"vars": common}, "gpu_hosts": {"hosts": hosts}, "webui": page}
        site.own.write_text(json.dumps(everything))
        yield site


def prepare(site: Site) -> None:
    """Put the defects and a program that holds port 8000 onto the host."""
    site.inside("bare", "mkdir", "-p", "/root/defects")
    site.inside("bare", "cp", "/usr/bin/python3.11", "/root/defects/real-python")
    for name, mounts in WORLDS.items():
        python = "/root/defects/real-python" if name == "old-python" else "/usr/bin/python3"
        put(site, name, '#!/bin/sh\nexec unshare --mount sh -c \'%s; exec %s "$@"\' python3 "$@"\n' % (mounts, python))
    for name, text in FILES.items():
        put(site, name, text)
    site.inside("bare", "systemd-run", "--unit=squatter", "python3", "-m", "http.server", "8000")


def put(site: Site, name: str, text: str) -> None:
    path = f"/root/defects/{name}"
    site.inside("bare", "sh", "-c", f"cat > {path} <<'END'\n{text}END\nchmod 755 {path}")


def listing(site: Site) -> str:
    """Every file of the host with size, mode and time, but for what a host writes by itself."""
    own = (
        "-path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /root/.ansible -o -path /dev"
    )
    return inside(site.lab, "bare", ["sh", "-c", f"find / \\( {own} \\) -prune -o -printf '%p %s %m %T@\\n' | sort"])


@pytest.fixture(scope="module")
def host_run(site: Site) -> tuple[Result, str, str]:
    before = listing(site)
    result = site.run("site", "--limit", "page-elsewhere," + ",".join(["good", *HOSTS]))
    return result, before, listing(site)


@pytest.fixture(scope="module")
def inventory_run(site: Site) -> Result:
    return site.run("site")


@pytest.mark.parametrize("name", HOSTS)
def test_a_defect_of_a_host_is_told_with_code_value_and_remedy(host_run: tuple[Result, str, str], name: str) -> None:
    _variables, code, words = HOSTS[name]
    check(host_run[0], name, code, words)


@pytest.mark.parametrize("name", INVENTORIES)
def test_a_defect_of_the_inventory_is_told_before_any_host_is_asked(inventory_run: Result, name: str) -> None:
    _variables, code, words = INVENTORIES[name]
    check(inventory_run, name, code, words)
    assert "host_info" not in inventory_run.output
    assert "Read the host" not in inventory_run.output


def check(result: Result, name: str, code: str, words: tuple[str, ...]) -> None:
    assert result.status != 0
    assert {told for told, host in result.codes if host == name} == {code}, result.output[-6000:]
    (line,) = {text.strip() for text in result.output.splitlines() if text.strip().startswith(f"[{code}] {name}: ")}
    for word in words:
        assert word in line


def test_a_good_host_beside_them_has_no_problem_and_no_host_is_changed(host_run: tuple[Result, str, str]) -> None:
    result, before, after = host_run
    assert {code for code, host in result.codes if host == "good"} == set()
    assert set(result.count("changed").values()) == {0}
    assert before == after


def test_engines_listen_where_a_page_on_another_host_reaches_them_and_only_it(site: Site) -> None:
    own = inventory.variables(site.lab, "bare")["ansible_host"]
    revisions = set()
    for limit in ("good,page-elsewhere", "good"):  # the page's address counts also for a run that leaves it out
        site.run("plan", "--limit", limit).must_pass()
        (spec,) = json.loads((site.artifacts / "plan/good.json").read_text())["specs"]
        assert spec["host"] == own
        assert spec["allow_from"] == sorted(["localhost", own])
        assert f"http://{own}:8100/v1" in (site.artifacts / "plan/good.txt").read_text()
        revisions.add(spec["revision"])
    assert len(revisions) == 1


def test_a_chat_page_is_not_connected_to_some_of_the_engines_only(site: Site) -> None:
    result = site.run("deploy", "--limit", "good,page-elsewhere")
    assert result.codes == {("inventory.limited", "page-elsewhere")}
    assert set(result.count("changed").values()) == {0}


def test_no_message_gives_a_secret_away(host_run: tuple[Result, str, str], inventory_run: Result) -> None:
    for secret in (TOKEN, "wrong-token-wrong-token", "s3cret-s3cret-s3cret", "123456"):
        assert secret not in host_run[0].output
        assert secret not in inventory_run.output
