"""size: which cards hold a model, how many tokens and users, and the smallest that does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import InvalidRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.cards import CARDS, find, matching
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.size import size
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.report.size_table import render_size

VERSION = "0.32.0"
TOKEN_BYTES = 147456  # Qwen3-4B: 36 layers x K and V x 8 heads x 128 x 2 bytes


@pytest.fixture
def config(configs: dict[str, Any]) -> dict[str, Any]:
    return configs["Qwen--Qwen3-4B"]


def row(answer: dict[str, Any], card: str, count: int = 1) -> dict[str, Any]:
    return next(entry for entry in answer["rows"] if (entry["card"], entry["count"]) == (card, count))


def test_a_row_is_what_plan_answers_for_that_host(config: dict[str, Any]) -> None:
    card = find("RTX 4090")
    assert card is not None
    answer = size(config, VERSION, context=10000, cards=[card])
    request = {
        "vllm_version": VERSION,
        "gpus": [card.facts(0), card.facts(1)],
        "deployments": [
            {"name": "a", "model": {"config": config}, "gpus": {"count": 2}, "workload": {"max_model_len": 10000}}
        ],
    }
    kv = plan(request)["instances"][0]["kv"]
    found = row(answer, "RTX 4090", 2)
    assert (found["tokens"], found["users"]) == (kv["tokens"], int(kv["max_concurrency"]))
    assert [entry["count"] for entry in answer["rows"]] == [1, 2, 4, 8]


def test_the_questions_of_a_24_gb_card_are_answered_in_one_command(config: dict[str, Any]) -> None:
    """The smallest card, users at once, what 500 do, and why more memory does not make one user faster."""
    answer = size(config, VERSION, context=10000, users=500)
    assert row(answer, "RTX 4090")["token_bytes"] == TOKEN_BYTES
    # 11 to 14 GiB are left for the cache at vLLM's default share: not one user in eight of the 500.
    assert 7 <= row(answer, "RTX 4090")["users"] <= 11
    # 7.5 GiB of weights and 1.4 GiB of cache: no card of 10 GB, and one of 12 GB will do.
    smallest = answer["smallest"]
    assert smallest["count"] == 1
    assert 11 * 2**30 < CARDS[[card.key for card in CARDS].index(smallest["card"])].usable_bytes < 12 * 2**30
    text = " ".join(render_size(answer).split())
    assert "waiting in the engine's queue" in text
    assert "not a faster answer" in text
    assert "147,456 bytes a token" in text
    enough = answer["smallest_for_users"]
    assert row(answer, enough["card"], enough["count"])["users"] >= 500
    assert answer["errors"] == []


def test_the_smallest_has_least_memory_of_all_that_fit(config: dict[str, Any]) -> None:
    answer = size(config, VERSION, context=10000, users=100)
    known = {card.key: card.usable_bytes for card in CARDS}
    good = [known[entry["card"]] * entry["count"] for entry in answer["rows"] if entry["enough"]]
    chosen = answer["smallest_for_users"]
    assert known[chosen["card"]] * chosen["count"] == min(good)


def test_more_cards_and_more_memory_never_hold_fewer_tokens(config: dict[str, Any]) -> None:
    answer = size(config, VERSION, context=4096)
    by_card: dict[str, list[int]] = {}
    for entry in answer["rows"]:
        if entry["fits"]:
            by_card.setdefault(entry["card"], []).append(entry["tokens"])
    assert by_card
    for tokens in by_card.values():
        assert tokens == sorted(tokens)


def test_a_longer_context_never_holds_more_users(config: dict[str, Any]) -> None:
    cards = matching("L40S")
    users = [row(size(config, VERSION, context=length, users=1, cards=cards), "L40S")["users"] for length in
             (1000, 2000, 8000, 40000)]  # fmt: skip
    assert users == sorted(users, reverse=True)
    assert users[0] > users[-1]


@pytest.mark.parametrize("wrapped", ["config", "model", "answer"])
def test_the_model_may_come_as_config_or_as_model_info_answers(config: dict[str, Any], wrapped: str) -> None:
    model = {"id": "Qwen/Qwen3-4B", "source": "path", "files": [], "config": config, "weights_bytes": 5 * 2**30}
    raw = {"config": config, "model": model, "answer": {"changed": False, "model": model}}[wrapped]
    found = row(size(raw, VERSION, context=4096, cards=matching("RTX 4090")), "RTX 4090")
    assert found["weights_bytes"] == (5 * 2**30 if wrapped != "config" else pytest.approx(7.5 * 2**30, rel=0.01))


def test_cards_that_vllm_does_not_run_on_are_told(config: dict[str, Any]) -> None:
    answer = size(config, VERSION, cards=matching("V100"))
    assert {entry["error"]["code"] for entry in answer["rows"]} == {"plan.capability_too_low"}
    assert answer["errors"][0]["code"] == "plan.capability_too_low"
    assert answer["smallest"] is None


def test_what_is_wrong_with_the_question_is_told_once(config: dict[str, Any]) -> None:
    answer = size(config, VERSION, context=10**6)
    assert [error["code"] for error in answer["errors"]] == ["plan.context_too_long"]
    assert render_size(answer).count("[plan.context_too_long]") == 1


@pytest.mark.parametrize("raw", [None, [], {}, {"config": 3}, {"model": {"config": None}}, {"model_type": 7}])
def test_what_is_no_model_is_refused_in_one_sentence(raw: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        size(raw, VERSION)
    assert "\n" not in str(caught.value)


def test_every_card_is_told_from_the_others() -> None:
    keys = [card.key for card in CARDS]
    assert len(set(keys)) == len(keys)
    for card in CARDS:
        assert find(card.key) is card
        assert find(card.name.upper()) is card
        assert 0.9 * card.total_bytes < card.usable_bytes < card.total_bytes
    for asked in ("3060", "4070", "4090", "5090", "L4", "L40S", "A10", "A100", "H20", "H100", "H200", "B200", "B300",
                  "GB10", "PRO 6000", "T4", "V100"):  # fmt: skip
        assert matching(asked), asked
    assert matching("nonsense") == ()
    assert matching("") == ()


def test_json_and_table_are_made_of_the_same_rows(config: dict[str, Any]) -> None:
    answer = size(config, VERSION, context=4096)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    lines = render_size(answer).splitlines()
    assert any(line.startswith("RTX 4090 ") and "23.5" in line for line in lines)
    assert max(map(len, lines)) <= 110
