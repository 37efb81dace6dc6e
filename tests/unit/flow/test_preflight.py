"""The judgements of preflight: every case that it knows, and the neighbouring case that is fine."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils import _preflight as preflight
from ansible_collections.gpufleet.vllm.plugins.module_utils import _preflight_folders as folders
from ansible_collections.gpufleet.vllm.plugins.module_utils import _preflight_inventory as inventory
from ansible_collections.gpufleet.vllm.plugins.module_utils import _preflight_wants as wants
from ansible_collections.gpufleet.vllm.plugins.module_utils._deployment_problems import deployment_problems
from ansible_collections.gpufleet.vllm.plugins.module_utils._errors import Problem

GIB = 1024**3


def facts(**changes: Any) -> dict[str, Any]:
    host: dict[str, Any] = {
        "os": {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"},
        "arch": "x86_64",
        "systemd": {"running": True, "version": 252},
        "memory": {"total_bytes": 8 * GIB, "available_bytes": 7 * GIB},
        "filesystems": {
            "/opt/gpufleet": {"device": 1, "free_bytes": 10 * GIB},
            "/var/lib/gpufleet": {"device": 1, "free_bytes": 10 * GIB},
            "/srv": {"device": 2, "free_bytes": 1 * GIB},
        },
        "listeners": [
            {"address": "0.0.0.0", "port": 8000, "pid": 812, "process": "nginx", "unit": "nginx.service"},
            {"address": "127.0.0.1", "port": 8001, "pid": 900, "process": "vllm", "unit": "vllm@a.service"},
            {"address": "127.0.0.1", "port": 8002, "pid": None, "process": None, "unit": None},
        ],
        "pythons": [{"path": "/usr/bin/python3.11", "version": "3.11.2", "implementation": "cpython"}],
    }
    host.update(changes)
    return host


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def test_a_tested_host_has_no_problem() -> None:
    assert preflight.system_problems(facts()) == []


def test_an_untested_system_is_refused_until_asked_for() -> None:
    other = facts(os={"id": "alpine", "version": "3.20", "name": "Alpine Linux v3.20"})
    (problem,) = preflight.system_problems(other)
    assert problem.code == "host.unsupported_os"
    assert "Alpine Linux v3.20" in problem.found
    assert preflight.system_problems(other, allow_untested_os=True) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"arch": "i686"}, "host.unsupported_arch"),
        ({"systemd": {"running": False, "version": 252}}, "host.no_systemd"),
        ({"systemd": {"running": False, "version": None}}, "host.no_systemd"),
        ({"systemd": {"running": True, "version": 249}}, "host.no_systemd"),
    ],
)
def test_architecture_and_init_system(changes: dict, code: str) -> None:
    assert codes(preflight.system_problems(facts(**changes))) == [code]


def claim(port: int, unit: str, *gone: str) -> dict[str, Any]:
    return {
        "who": "deployment 'a'",
        "port": port,
        "unit": unit,
        "gone": set(gone),
        "remedy": "Set `port:` of the deployment",
    }


def test_a_taken_port_names_its_holder() -> None:
    (problem,) = preflight.port_problems(facts(), [claim(8000, "vllm@a.service")])
    assert problem.code == "host.port_taken"
    assert problem.found == "nginx (pid 812 of nginx.service) listens on 0.0.0.0:8000"


def test_a_port_is_free_for_the_instance_that_holds_it_and_taken_for_another() -> None:
    assert preflight.port_problems(facts(), [claim(8001, "vllm@a.service"), claim(8003, "vllm@a.service")]) == []
    assert codes(preflight.port_problems(facts(), [claim(8001, "vllm@b.service")])) == ["host.port_taken"]


def deployment(name: str, port: int, state: str = "present") -> dict[str, Any]:
    return {"name": name, "port": port, "state": state, "device": "cpu", "runtime": {"version": "0.32.0"}}


@pytest.mark.parametrize(
    ("deployments", "refused"),
    [
        # vllm@a.service listens on 8001.
        ([deployment("b", 8001)], True),
        ([deployment("a", 8001, "absent"), deployment("b", 8001)], False),
        ([deployment("a", 8003, "stopped"), deployment("b", 8001)], False),
        ([deployment("a", 8003), deployment("b", 8001)], False),
        # This one would be started before `a` has moved.
        ([deployment("A", 8001), deployment("a", 8003)], True),
    ],
)
def test_a_port_that_this_run_frees_in_time_is_free(deployments: list[dict[str, Any]], refused: bool) -> None:
    problems = preflight.port_problems(facts(), wants.port_claims(deployments, None))
    assert codes(problems) == ["host.port_taken"] * refused


def test_the_page_starts_after_all_engines() -> None:
    def problems(port: int) -> list[str]:
        return codes(preflight.port_problems(facts(), wants.port_claims([deployment("a", port)], 8001)))

    assert problems(8003) == []
    assert problems(8001) == ["host.port_taken"]


def test_a_holder_that_cannot_be_seen_is_still_a_holder() -> None:
    (problem,) = preflight.port_problems(facts(), [claim(8002, "vllm@a.service")])
    assert "cannot be seen" in problem.found


@pytest.mark.parametrize(
    ("versions", "runtimes", "unsuitable"),
    [
        (["3.11.2"], ["vllm-cpu", "vllm-cuda", "open-webui"], 0),
        (["3.9.18"], ["vllm-cuda", "open-webui"], 2),
        (["3.12.1"], ["vllm-cpu", "vllm-cuda", "open-webui"], 1),
        (["3.13.1"], ["vllm-cuda", "open-webui"], 1),
        (["3.13.1", "3.11.0"], ["vllm-cpu", "open-webui"], 0),
        ([], ["vllm-cpu"], 1),
    ],
)
def test_interpreters(versions: list[str], runtimes: list[str], unsuitable: int) -> None:
    pythons = [{"path": "/usr/bin/python" + text, "version": text, "implementation": "cpython"} for text in versions]
    problems = preflight.python_problems(facts(pythons=pythons), runtimes, {})
    assert codes(problems) == ["runtime.python_unsuitable"] * unsuitable


def test_the_interpreter_that_the_inventory_names_is_judged_alone() -> None:
    pythons = [
        {"path": "/usr/bin/python3.11", "version": "3.11.2", "implementation": "cpython"},
        {"path": "/usr/bin/python3.9", "version": "3.9.2", "implementation": "cpython"},
    ]
    chosen = {"vllm-cpu": "/usr/bin/python3.9"}
    assert codes(preflight.python_problems(facts(pythons=pythons), ["vllm-cpu"], chosen)) == [
        "runtime.python_unsuitable"
    ]


def test_needs_on_one_file_system_add_up() -> None:
    needs = [
        {"what": "runtime", "path": "/opt/gpufleet", "bytes": 6 * GIB},
        {"what": "model", "path": "/var/lib/gpufleet", "bytes": 3 * GIB},
    ]
    assert preflight.disk_problems(facts(), needs, margin_bytes=1 * GIB) == []
    (problem,) = preflight.disk_problems(facts(), needs, margin_bytes=2 * GIB)
    assert problem.code == "host.disk"
    assert problem.found == "Its file system has 10.0 GiB free"
    assert problem.remedy == "Free or add 1.0 GiB there"


def test_a_cache_on_another_file_system_holds_the_runtimes_a_second_time() -> None:
    needs = [
        {"what": "vLLM", "path": "/opt/gpufleet", "bytes": 2 * GIB},
        {"what": "model", "path": "/var/lib/gpufleet", "bytes": 3 * GIB},
    ]
    filesystems = facts()["filesystems"]
    assert wants.cache_needs(needs, filesystems, "/opt/gpufleet", "/var/lib/gpufleet") == []
    more = wants.cache_needs(needs, filesystems, "/opt/gpufleet", "/srv")
    assert more == [{"what": "uv's cache of vLLM", "path": "/srv", "bytes": 2 * GIB}]
    (problem,) = preflight.disk_problems(facts(), needs + more, margin_bytes=0)
    assert problem.found == "Its file system has 1.0 GiB free"


def test_models_lie_where_engines_see_them() -> None:
    def found(path: str, real: str | None = None, closed: str | None = None) -> list[str]:
        wanted = [{"name": "a", "state": "present", "model": {"path": path}}]
        claims = folders.folder_claims(wanted, "/var/lib/gpufleet/models")
        problems = folders.folder_problems({"folders": {path: {"real": real or path, "closed": closed}}}, claims)
        return [problem.code for problem in problems]

    assert found("/srv/model") == []
    assert found("/homestead/model") == []
    for path in ("/home/me/model", "/root/m", "/tmp/m", "/var/tmp/m", "/run/user/0/m"):
        assert found(path) == ["model.hidden"]
    assert found("/srv/model", real="/home/me/model") == ["model.hidden"]
    assert found("/srv/model", closed="/srv") == ["model.unreadable"]


def test_the_store_is_judged_where_a_model_lies_in_it() -> None:
    hub = {"name": "a", "state": "present", "model": {"path": None}}
    local = {"name": "b", "state": "present", "model": {"path": "/srv/m"}}
    gone = {"name": "c", "state": "absent"}
    assert [claim["path"] for claim in folders.folder_claims([hub, local, gone], "/data")] == ["/srv/m", "/data"]
    assert [claim["path"] for claim in folders.folder_claims([local, gone], "/data")] == ["/srv/m"]
    store = {"folders": {"/data": {"real": "/tmp/data", "closed": None}}}
    (problem,) = folders.folder_problems(store, folders.folder_claims([hub], "/data"))
    assert (problem.code, "model_store_path" in problem.remedy) == ("model.hidden", True)


def test_nothing_to_write_needs_no_margin() -> None:
    needs = [{"what": "model", "path": "/srv", "bytes": 0}]
    assert preflight.disk_problems(facts(), needs, margin_bytes=5 * GIB) == []


def test_memory_of_all_services_counts_together() -> None:
    needs = [{"what": "a", "bytes": 5 * GIB}, {"what": "open-webui", "bytes": 3 * GIB}]
    assert preflight.memory_problem(facts(), needs) is None
    problem = preflight.memory_problem(facts(), needs + [{"what": "b", "bytes": 1}])
    assert problem is not None
    assert problem.code == "host.memory"


@pytest.mark.parametrize(
    ("device", "gpu", "refused"),
    [
        ("cpu", None, False),
        ("cuda", {"gpus": [{"index": 0}]}, False),
        ("cuda", {"gpus": [], "reason": {"message": "no driver", "remedy": "Install it"}}, True),
        ("cuda", None, True),
    ],
)
def test_gpu(device: str, gpu: Any, refused: bool) -> None:
    problem = preflight.gpu_problem(device, gpu)
    assert (problem is not None) == refused
    if gpu and problem:
        assert "no driver" in problem.found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vllm_device", "rocm"),
        ("vllm_device", 3),
        ("vllm_wave", "first"),
        ("vllm_port_base", "eight"),
        ("vllm_port_base", True),
        ("vllm_port_base", 70000),
        ("vllm_bind_address", "gpu1"),
        ("vllm_allow_from", "10.0.0.0/8"),
        ("vllm_allow_from", ["10.0.0.0/40"]),
        ("vllm_allow_from", ["any"]),
        ("vllm_allow_from", [10]),
        ("vllm_api_keys", ["a"]),
        ("vllm_api_keys", {"a": 12345678}),
        ("gpufleet_hub_endpoints", {"hugging": ["https://a"]}),
        ("gpufleet_hub_endpoints", {"huggingface": "https://a"}),
        ("gpufleet_hub_endpoints", {"huggingface": ["ftp://a"]}),
        ("gpufleet_hub_tokens", "abc"),
        ("open_webui_port", 0),
        ("gpufleet_allow_untested_os", "yes"),
    ],
)
def test_a_wrong_type_is_named(name: str, value: Any) -> None:
    (problem,) = inventory.inventory_problems({name: value})
    assert problem.code == "inventory.bad_type"
    assert problem.asked.startswith(name)


def test_good_values_pass() -> None:
    good = {
        "vllm_device": "cpu",
        "vllm_wave": "early",
        "vllm_port_base": "8100",
        "vllm_bind_address": "10.0.0.5",
        "vllm_allow_from": ["10.0.0.7", "10.1.2.3/16", "fd00::/8"],
        "vllm_api_keys": {"a": "k" * 16},
        "gpufleet_hub_endpoints": {"modelscope": ["http://127.0.0.1:1"]},
        "gpufleet_hub_tokens": {"huggingface": "t"},
        "open_webui_port": 8080,
        "gpufleet_allow_untested_os": False,
    }
    assert inventory.inventory_problems(good) == []


def test_two_keys_need_a_gateway_and_a_short_key_is_weak() -> None:
    secret = "s3cret-s3cret-s3cret"
    (two,) = inventory.inventory_problems({"vllm_api_keys": {"a": secret, "b": secret}})
    assert two.code == "inventory.conflict"
    (weak,) = inventory.inventory_problems({"vllm_api_keys": {"a": "123456"}})
    assert weak.code == "inventory.weak_key"
    assert "123456" not in str(weak)
    assert secret not in str(two)


@pytest.mark.parametrize(
    ("webui", "explicit", "own", "expected"),
    [
        (["a"], "", "10.0.0.1", "127.0.0.1"),
        ([], "", "10.0.0.1", "127.0.0.1"),
        (["w"], "", "10.0.0.1", "10.0.0.1"),
        (["a", "w"], "", "192.168.1.4", "192.168.1.4"),
        (["a"], "10.9.9.9", "10.0.0.1", "10.9.9.9"),
        (["a"], "127.0.0.1", "10.0.0.1", "127.0.0.1"),
    ],
)
def test_where_engines_listen(webui: list[str], explicit: str, own: str, expected: str) -> None:
    assert inventory.choose_bind_address("a", webui, explicit, own) == expected


@pytest.mark.parametrize(("explicit", "own"), [("127.0.0.1", "10.0.0.1"), ("", "8.8.8.8"), ("", ""), ("", None)])
def test_an_address_that_the_page_cannot_reach_or_the_world_could_is_refused(explicit: str, own: Any) -> None:
    with pytest.raises(Problem) as caught:
        inventory.choose_bind_address("a", ["w"], explicit, own)
    assert caught.value.code == "inventory.conflict"


def test_a_problem_line_names_code_host_value_and_remedy() -> None:
    line = preflight.named("gpu1", Problem("host.disk", "Asked", "Found 3", "Do this"))
    assert line["message"] == "[host.disk] gpu1: Asked. Found 3. Do this."
    assert line["host"] == "gpu1"


def test_the_inventory_alone_shows_a_wrong_engine_argument_and_two_deployments_each_show_theirs() -> None:
    def deployment(name: str, **arguments: object) -> dict[str, object]:
        return {"name": name, "model": {"id": "a/b"}, "engine_args": arguments}

    wrong = [deployment("one", **{"max-model-length": 1}), deployment("two", **{"swap-space": 4}), deployment("three")]
    found = deployment_problems({"vllm_deployments": wrong}, 8000)
    assert [(problem.code, problem.asked) for problem in found] == [
        ("plan.unknown_engine_argument", "Deployment 'one' is to run"),
        ("plan.removed_engine_argument", "Deployment 'two' is to run"),
    ]


def test_deployments_that_disagree_are_one_problem() -> None:
    twins = [{"name": "one", "model": {"id": "a/b"}}] * 2
    assert codes(deployment_problems({"vllm_deployments": twins}, 8000)) == ["inventory.duplicate_name"]


def test_a_release_that_is_too_old_is_told() -> None:
    old = [{"name": "one", "model": {"id": "a/b"}, "runtime": {"version": "0.1.0"}}]
    assert codes(deployment_problems({"vllm_deployments": old}, 8000)) == ["plan.invalid_request"]
