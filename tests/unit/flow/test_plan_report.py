"""The plan as people read it, as text and as a page, on real answers of the planner."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.filter.plan_artifact import plan_artifact
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan_report import report
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.compose import build_request
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.merge import merge_deployments
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.inventory.specs import build_specs
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.artifact import artifact
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.cards import find
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.page import render_page

GIB = 2**30
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": 2, "hidden_size": 128,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 384, "vocab_size": 320, "head_dim": 64,
    "tie_word_embeddings": True, "max_position_embeddings": 2048, "torch_dtype": "bfloat16",
}  # fmt: skip
QWEN3_4B = {
    **CONFIG, "num_hidden_layers": 36, "hidden_size": 2560, "num_attention_heads": 32, "num_key_value_heads": 8,
    "intermediate_size": 9728, "vocab_size": 151936, "head_dim": 128, "max_position_embeddings": 40960,
}  # fmt: skip


def on_processors() -> dict[str, Any]:
    """The artifact of a host with one engine on its processors and one to be removed."""
    wanted = [
        {"name": "tiny", "model": {"id": "a/tiny"}, "workload": {"max_model_len": 512}},
        {"name": "old", "state": "absent"},
    ]
    deployments = merge_deployments({"vllm_deployments": wanted}, device="cpu")
    found = {"id": "a/tiny", "source": "huggingface", "revision": "c0ffee", "config": CONFIG, "weights_bytes": 1000000}
    host = {"memory": {"total_bytes": 8 * GIB}, "cpus": 2}
    request = build_request(deployments, {"tiny": found}, host, None, "cpu")
    answer = plan(request)
    assert answer["errors"] == []
    return artifact("gpu1", answer, request, build_specs(answer, deployments, {"tiny": found}))


def on_cards(*deployments: dict[str, Any], card: str = "RTX 4090", count: int = 1, held: int = 0) -> dict[str, Any]:
    """A request for deployments of Qwen3-4B unless they name a model."""
    known = find(card)
    assert known is not None
    entries = [{"model": {"id": "Qwen/Qwen3-4B", "config": QWEN3_4B}, **entry} for entry in deployments]
    return {
        "vllm_version": "0.32.0",
        "driver_version": "580.95.05",
        "gpus": [known.facts(index, held if index == 0 else 0) for index in range(count)],
        "deployments": entries,
    }


def test_every_setting_stands_with_value_source_and_reason() -> None:
    kept = on_processors()
    text = report(kept)
    lines = text.splitlines()
    assert "gpu1  old: to be removed" in lines
    assert any(line.startswith("gpu1  tiny (present)  http://127.0.0.1:") for line in lines)
    assert "  model    a/tiny @ c0ffee from huggingface" in lines
    row = next(line for line in lines if line.startswith("  max-model-len"))
    assert row.split()[:3] == ["max-model-len", "512", "user"]
    for decision in kept["plan"]["instances"][0]["decisions"]:
        assert decision["reason"] in text


def test_a_host_without_deployments_says_so() -> None:
    empty = {"instances": [], "warnings": [], "errors": []}
    assert report(artifact("web1", empty, {})) == "web1  nothing to run"


def test_what_is_wrong_stands_in_the_table_with_code_and_remedy() -> None:
    request = on_cards({"name": "chat", "workload": {"max_model_len": 40961}})
    kept = plan_artifact(
        plan(request), request, "gpu1",
        problems=[{"code": "host.disk", "host": "gpu1", "message": "[host.disk] gpu1: Too little."}],
    )  # fmt: skip
    text = report(kept)
    assert "[plan.context_too_long] gpu1: " in text
    assert "  - Set workload.max_model_len to 40960 or less." in text
    assert "[host.disk] gpu1: Too little." in text
    page = render_page(kept)
    assert "Cannot be deployed: 2 problems" in page
    assert "<code>host.disk</code>" in page


class Page(HTMLParser):
    """Tags that are open, texts, and every address that the page would load."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.loads: list[str] = []
        self.bars: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.loads += [value for key, value in attrs if key in ("src", "href", "action", "data") and value]
        assert tag not in ("script", "iframe", "object", "link")
        assert not [key for key in found if key.startswith("on")]
        if tag == "span" and "width:" in (found.get("style") or ""):
            self.bars.append(str(found["title"]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def test_the_page_loads_nothing_and_shows_every_decision() -> None:
    request = on_cards({"name": "chat", "workload": {"max_model_len": 8192}}, held=500 * 2**20)
    answer = plan(request)
    page = render_page(artifact("gpu1", answer, request))
    read = Page(page)
    assert read.loads == []
    assert "url(" not in page and "@import" not in page
    shown = " ".join(read.texts)
    for entry in answer["instances"][0]["decisions"]:
        assert entry["setting"] in shown
        assert entry["reason"] in shown
    memory = answer["instances"][0]["memory"]
    for part, label in (("weights_bytes", "Weights"), ("kv_available_bytes", "KV cache")):
        assert "chat: %s, %.2f GiB" % (label, memory[part] / GIB) in read.bars
    assert "Held by others, 0.49 GiB" in read.bars


def test_the_parts_of_a_card_add_up_to_it() -> None:
    request = on_cards({"name": "a", "workload": {"max_model_len": 4096}}, count=2, held=2**30)
    kept = artifact("gpu1", plan(request), request)
    assert [len(gpu["instances"]) for gpu in kept["gpus"]] == [1, 0] or len(kept["gpus"][1]["instances"]) == 1
    for gpu in kept["gpus"]:
        held = sum(size for share in gpu["instances"] for part, size in share.items() if part != "instance")
        assert gpu["usable_bytes"] == gpu["others_bytes"] + held + gpu["left_bytes"]
        assert gpu["left_bytes"] >= 0


def test_memory_of_the_planned_engine_itself_is_not_held_by_others() -> None:
    request = on_cards({"name": "chat"})
    gpu = request["gpus"][0]
    gpu["processes"] = [{"pid": 7, "name": "vllm", "memory_bytes": 20 * GIB, "unit": "vllm@chat.service"}]
    gpu["memory_free_bytes"] -= 21 * GIB
    kept = artifact("gpu1", plan(request), request)
    assert kept["gpus"][0]["others_bytes"] == GIB


HOSTILE = "\"><script>alert(1)</script>' & \ud800"


def test_names_cannot_break_out_of_the_page() -> None:
    request = on_cards(
        {"name": HOSTILE, "workload": {"max_model_len": 4096}}, {"name": "b" + HOSTILE, "engine_args": {HOSTILE: 1}}
    )
    request["gpus"][0]["name"] = HOSTILE
    answer = plan(request)
    answer["warnings"].append("[plan.x] " + HOSTILE)
    problems = [{"code": HOSTILE, "host": HOSTILE, "message": HOSTILE}]
    page = render_page(artifact(HOSTILE, answer, request, problems=problems))
    page.encode("utf-8")
    Page(page)
    assert "<script>" not in page


def test_what_else_would_fit_leaves_the_plan_as_it_is() -> None:
    request = on_cards({"name": "chat", "gpus": {"count": 1}, "workload": {"max_model_len": 8192}}, count=2)
    answer = plan(request)
    kept = artifact("gpu1", answer, request)
    entry = next(entry for entry in kept["besides"] if entry["another"] == "chat")
    taken = answer["instances"][0]["gpu_indices"]
    assert entry["gpu_indices"] and entry["gpu_indices"] != taken
    again = {**request, "deployments": [*request["deployments"], {**request["deployments"][0], "name": "more"}]}
    both = plan(again)
    assert both["errors"] == []
    assert both["instances"][0]["settings"] == answer["instances"][0]["settings"]
    assert "another chat on GPU %d" % entry["gpu_indices"][0] in report(kept)


def test_a_full_host_has_room_for_nothing() -> None:
    request = on_cards({"name": "chat", "gpus": {"count": 1}, "engine_args": {"gpu-memory-utilization": 0.95}},
                       card="RTX 4070")  # fmt: skip
    kept = artifact("gpu1", plan(request), request)
    assert kept["plan"]["errors"] == []
    assert kept["besides"] == []
    assert "Nothing that this planner tried" in render_page(kept)


def test_predicted_and_measured_stand_side_by_side() -> None:
    request = on_cards({"name": "chat", "workload": {"max_model_len": 8192}})
    answer = plan(request)
    memory = answer["instances"][0]["memory"]
    measured = {"weights_bytes": memory["weights_bytes"], "kv_tokens": answer["instances"][0]["kv"]["tokens"] // 2}
    instances = [{"name": "chat", "measured": {"schema": 1, "measured": measured}}, {"name": "gone", "measured": None}]
    kept = plan_artifact(answer, request, "gpu1", instances=instances)
    rows = {row["figure"]: row for row in kept["compared"]["chat"]}
    assert not rows["weights_bytes"]["warn"] and rows["kv_tokens"]["warn"]
    assert rows["kv_tokens"]["deviation"] == pytest.approx(-0.5, abs=0.01)
    shown = " ".join(Page(render_page(kept)).texts)
    assert "Predicted, and measured at the last start" in shown and "-50.0 %" in shown
    assert "measured kv_tokens: %d" % measured["kv_tokens"] in report(kept)


def test_the_artifact_is_plain_json() -> None:
    kept = on_processors()
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert "Memory of the host" in render_page(kept)


def test_a_card_with_less_room_is_drawn_as_it_is() -> None:
    request = on_cards({"name": "chat", "gpus": {"count": 2}, "workload": {"max_model_len": 8192}}, count=2)
    request["gpus"][1]["memory_usable_bytes"] -= 2**30
    request["gpus"][1]["memory_free_bytes"] -= 2**30
    answer = plan(request)
    kept = artifact("gpu1", answer, request)
    first, second = (gpu["instances"][0]["kv_available_bytes"] for gpu in kept["gpus"])
    assert first - second > 2**29
    assert kept["plan"]["instances"][0]["ranks"][0]["gpu_index"] == 1


def test_what_is_left_of_a_card_is_what_the_plan_says() -> None:
    request = on_cards({"name": "chat", "gpus": {"count": 1}, "workload": {"max_model_len": 8192}}, held=2**29)
    answer = plan(request)
    card = artifact("gpu1", answer, request)["gpus"][0]
    assert card["left_bytes"] == answer["instances"][0]["memory"]["headroom_bytes"]
    assert card["instances"][0]["context_bytes"] > 0
