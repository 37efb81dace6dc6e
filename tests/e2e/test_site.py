# Copyright (c) 2026, gpufleet contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ten-line inventory from a bare host to a chat in the browser, with the real engine, page and a real small model.

One host serves all tests of this file, in their order: each goes on from what the one before left.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import Result, Site, start_hosts, start_hub, wait_for
from tests.lab.testing import fresh_lab
from tests.lab.up import ADMIN, first_free
from tests.tools import browser

pytestmark = pytest.mark.lab

MODEL = "SmolLM2-135M-Instruct"
ENGINE = "vllm@smollm2.service"
PAGE = "open-webui.service"
QUESTION = "What is the capital of France?"
SECRETS = ("api_key", "open_webui_admin_password", "open_webui_secret_key", "salt")


class Deployment(Site):
    """The site of this file: one host on the machine's network, with ports that nobody else has."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.engine_port = first_free(18000, set())
        self.page_port = first_free(18080, {self.engine_port})
        self.page = f"http://127.0.0.1:{self.page_port}"
        self.first = Result(1, "")

    def ask(self, path: str, key: str | None, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the engine's answer."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        url = f"http://127.0.0.1:{self.engine_port}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def chat(self) -> str:
        body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 24}
        status, answer = self.ask("/v1/chat/completions", self.secret("api_key"), body)
        assert status == 200, answer
        return answer["choices"][0]["message"]["content"]

    def page_answers(self) -> bool:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.page + "/health", timeout=5):
                return True
        except OSError:
            return False


@pytest.fixture(scope="module")
def site(models: Path, tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> Iterator[Deployment]:
    with fresh_lab("e2e-site") as lab:
        inventories = ["inventories/example/minimal", "inventories/lab"]
        site = Deployment(lab, tmp_path_factory.mktemp("site"), inventories)
        hub = start_hub(lab, models)
        start_hosts(lab, ["gpu1"])
        ports = {"vllm_port_base": site.engine_port, "open_webui_port": site.page_port}
        hubs = {"huggingface": [hub], "modelscope": [hub]}
        site.describe(["gpu1"], gpufleet_hub_endpoints=hubs, open_webui_admin_email=ADMIN, **ports)
        yield site


@pytest.fixture(scope="module")
def virgin_check(site: Deployment) -> Result:
    return site.run("site", "--check", "--diff")


@pytest.fixture(scope="module")
def deployed(site: Deployment, virgin_check: Result, artifacts: Path) -> Deployment:
    site.first = site.run("site", "-vvv")
    (artifacts / "site-vvv.log").write_text(site.first.output)
    site.first.must_pass()
    return site


def test_check_mode_passes_on_a_virgin_host_and_writes_nothing(site: Deployment, virgin_check: Result) -> None:
    virgin_check.must_pass()
    assert virgin_check.count("changed")["gpu1"] > 0
    assert (
        site.inside("gpu1", "sh", "-c", "ls -d /opt/gpufleet /etc/gpufleet /var/lib/gpufleet 2>/dev/null; true") == ""
    )
    assert not site.secrets.exists()
    assert not site.artifacts.exists()


def test_the_model_answers_who_has_the_key_and_nobody_else(deployed: Deployment) -> None:
    status, models = deployed.ask("/v1/models", deployed.secret("api_key"))
    assert (status, [model["id"] for model in models["data"]]) == (200, [MODEL])
    assert deployed.ask("/v1/models", None)[0] == 401
    assert deployed.ask("/v1/models", "wrong")[0] == 401
    assert "Paris" in deployed.chat()


def test_a_request_that_would_compile_does_not_end_the_engine(deployed: Deployment) -> None:
    """Log probabilities go through a function that torch compiles; a bare host has no compiler."""
    before = deployed.main_pids("gpu1", ENGINE)
    body = {"model": MODEL, "prompt": "Paris", "max_tokens": 1, "logprobs": 2}
    status, answer = deployed.ask("/v1/completions", deployed.secret("api_key"), body)
    assert status == 200, answer
    assert answer["choices"][0]["logprobs"]["top_logprobs"][0]
    assert deployed.main_pids("gpu1", ENGINE) == before


def test_the_run_tells_what_a_user_would_see(deployed: Deployment) -> None:
    verified = json.loads((deployed.artifacts / "verify/gpu1.json").read_text())["verified"]
    assert "Paris" in verified["smollm2"]["answer"]
    assert verified["open_webui"]["models"] == [MODEL]
    plan = (deployed.artifacts / "plan/gpu1.txt").read_text()
    assert "max-model-len" in plan
    assert "workload.max_model_len" in plan


def test_the_engine_took_the_memory_that_was_planned(deployed: Deployment) -> None:
    record = json.loads(deployed.inside("gpu1", "cat", "/var/lib/gpufleet/smollm2/measured.json"))
    table = (deployed.artifacts / "plan/gpu1.txt").read_text()
    tokens = record["measured"]["kv_tokens"]
    assert tokens > 0
    assert f"{tokens:,}" in table or str(tokens) in table, "the plan promises another KV cache:\n" + table


def test_no_secret_is_seen_where_others_look(deployed: Deployment) -> None:
    """Not in the most talkative log, not in processes, units and journal, not in world-readable files."""
    secrets = {name: deployed.secret(name) for name in SECRETS}
    assert all(len(value) >= 32 for value in secrets.values())
    places = {
        "ansible -vvv": deployed.first.output,
        "ps": deployed.inside("gpu1", "ps", "-eo", "args", "-ww"),
        "systemctl show": deployed.inside("gpu1", "systemctl", "show", ENGINE, PAGE),
        "systemctl cat": deployed.inside("gpu1", "systemctl", "cat", ENGINE, PAGE),
        "journal": deployed.inside("gpu1", "journalctl", "--no-pager", "--output=cat"),
        "artifacts": "\n".join(path.read_text() for path in deployed.artifacts.rglob("*") if path.is_file()),
    }
    for place, text in places.items():
        for name, value in secrets.items():
            assert value not in text, f"{name} in {place}"
    readable = (
        "find /etc /opt/gpufleet/libexec /run /var/lib /var/cache /usr/lib/systemd -xdev -type f -perm /o+r -print0"
    )
    for name, value in secrets.items():
        found = deployed.inside("gpu1", "sh", "-c", f"{readable} | xargs -0 grep -lF -e {value} 2>/dev/null; true")
        assert found == "", f"{name} in {found}"
    assert {path.stat().st_mode & 0o777 for path in deployed.secrets.iterdir() if path.name in SECRETS} == {0o600}


def test_nobody_signs_up(deployed: Deployment) -> None:
    stranger = {"email": "stranger@example.org", "password": "stranger-stranger", "name": "Stranger"}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(deployed.page + "/api/v1/auths/signup", json.dumps(stranger).encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.parametrize("unit", [ENGINE, PAGE])
def test_the_services_are_hardened(deployed: Deployment, unit: str) -> None:
    answer = deployed.inside("gpu1", "systemd-analyze", "security", "--no-pager", unit)
    exposure = float(answer.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert exposure <= 2.5, answer


def test_a_second_run_changes_nothing_and_restarts_nothing(deployed: Deployment) -> None:
    before = deployed.main_pids("gpu1", ENGINE, PAGE)
    result = deployed.run("site").must_pass()
    assert result.count("changed") == {"gpu1": 0}
    assert deployed.main_pids("gpu1", ENGINE, PAGE) == before
    assert all(before.values())


def test_a_person_chats_in_the_browser(deployed: Deployment, artifacts: Path) -> None:
    folder = browser.ready()
    screenshot = artifacts / "chat.png"
    screenshot.unlink(missing_ok=True)
    profile = tempfile.mkdtemp(prefix="chat-profile-")
    try:
        done = subprocess.run(["node", "chat.js"], cwd=folder, text=True, capture_output=True, check=False, timeout=400,
                              env={**os.environ, "CHAT_URL": deployed.page, "CHAT_EMAIL": ADMIN,
                                   "CHAT_PASSWORD": deployed.secret("open_webui_admin_password"), "CHAT_MODEL": MODEL,
                                   "CHAT_QUESTION": QUESTION, "CHAT_EXPECT": "Paris", "CHAT_PROFILE": profile,
                                   "CHAT_SCREENSHOT": str(screenshot)})  # fmt: skip
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert "Paris" in seen["answer"]
    assert seen["outside"] == []
    assert screenshot.read_bytes().startswith(b"\x89PNG")


def test_a_lost_restart_happens_in_the_next_run_and_only_there(deployed: Deployment) -> None:
    """One changed value; the run is killed when the new file is written and before the restart."""
    changed = {"vllm_deployments__test": [{"name": "smollm2", "workload": {"max_model_len": 1024}}]}
    before = deployed.main_pids("gpu1", ENGINE, PAGE)
    deployed.run_until("deploy", "Service | See what runs", variables=changed)
    assert "max-model-len: 1024" in deployed.inside("gpu1", "cat", "/etc/gpufleet/instances/smollm2/config.yaml")
    assert deployed.main_pids("gpu1", ENGINE, PAGE) == before

    deployed.run("deploy", variables=changed).must_pass()
    after = deployed.main_pids("gpu1", ENGINE, PAGE)
    assert after[ENGINE] != before[ENGINE]
    assert after[PAGE] == before[PAGE]
    assert deployed.ask("/v1/models", deployed.secret("api_key"))[1]["data"][0]["max_model_len"] == 1024


def test_after_a_reboot_both_answer_without_ansible(deployed: Deployment) -> None:
    deployed.reboot("gpu1")
    wait_for(
        lambda: deployed.inside("gpu1", "sh", "-c", f"systemctl is-active {ENGINE} {PAGE}; true") == "active\nactive",
        300,
    )
    wait_for(deployed.page_answers, 60)
    assert "Paris" in deployed.chat()


def test_teardown_wants_a_confirmation(deployed: Deployment) -> None:
    for confirm in ({}, {"teardown_confirm": "gpu2"}):
        result = deployed.run("teardown", variables=confirm)
        assert result.status != 0
        assert "[teardown.unconfirmed] gpu1" in result.output
        assert result.count("changed") == {"gpu1": 0}


def test_teardown_leaves_nothing(deployed: Deployment) -> None:
    everything = {"teardown_confirm": "gpu1", "teardown_models": True, "teardown_data": True}
    deployed.run("teardown", variables=everything).must_pass()
    names = "-iname '*gpufleet*' -o -iname '*vllm*' -o -iname '*open*webui*'"
    # Locks are shared by all that lock there, and gone with the next boot.
    skip = "-path /run/lock -o -path /proc -o -path /sys -o -path /var/log/journal -o -path /root/.ansible"
    assert deployed.inside("gpu1", "sh", "-c", f"find / \\( {skip} \\) -prune -o \\( {names} \\) -print") == ""
    listed = deployed.inside(
        "gpu1", "systemctl", "list-units", "--all", "--no-legend", "--plain", "vllm*", "open-webui*"
    )
    assert listed == ""
    assert deployed.inside("gpu1", "sh", "-c", "getent passwd open-webui || true") == ""
    assert deployed.run("teardown", variables=everything).must_pass().count("changed") == {"gpu1": 0}
