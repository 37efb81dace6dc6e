"""Words of the request in messages: one line, nothing that moves a terminal's cursor, nothing endless."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.errors import (
    InvalidRequest,
    PlanError,
    clean,
    warning,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._planner.plan import plan

FOUL = "foo\nbar\x1b[31m\u202e\x9b2J" + "x" * 5000


def _deployment(request: dict[str, Any]) -> dict[str, Any]:
    return request["deployments"][0]


PLACES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "key": lambda r: r.update({FOUL: 1}),
    "deployment": lambda r: _deployment(r).update(name=FOUL),
    "short name": lambda r: _deployment(r).update(name="a\nb"),
    "argument": lambda r: _deployment(r).update(engine_args={FOUL: 1}),
    "value": lambda r: _deployment(r).update(engine_args={"dtype": FOUL}),
    "uuid": lambda r: _deployment(r).update(gpus={"uuids": [FOUL]}),
    "environment": lambda r: _deployment(r).update(env={FOUL: "1"}),
    "card": lambda r: r["gpus"][0].update(name=FOUL),
    "model": lambda r: _deployment(r)["model"]["config"].update(architectures=[FOUL], model_type=FOUL),
    "placement": lambda r: r.update(placement={FOUL: {"uuids": [], FOUL: 1}}),
    "release": lambda r: r.update(vllm_version=FOUL),
}


@pytest.mark.parametrize("place", sorted(PLACES))
def test_what_the_request_says_cannot_write_on_a_terminal(place: str, gpu_request: dict[str, Any]) -> None:
    PLACES[place](gpu_request)
    try:
        answer = plan(gpu_request)
    except InvalidRequest as error:
        said = [str(error)]
    else:
        said = [error["message"] for error in answer["errors"]]
        said += [text for error in answer["errors"] for text in error["remedies"]]
        said += [text for instance in answer["instances"] for text in instance["warnings"]]
        said += [decision["reason"] for instance in answer["instances"] for decision in instance["decisions"]]
        assert answer["errors"] or answer["instances"]
    assert said
    for text in said:
        assert text.isprintable(), text
        assert len(text) < 1000 or "known: " in text


def test_every_message_is_cleaned_where_it_is_made() -> None:
    assert clean("a\nb\x1b[0m\u2028c\ud800") == "a\\x0ab\\x1b[0m\\u2028c\\ud800"
    assert clean("Größe: 5 GiB, 模型") == "Größe: 5 GiB, 模型"
    error = PlanError("plan.x", FOUL, (FOUL,))
    for text in (
        error.message,
        *error.remedies,
        str(error),
        warning("plan.x", FOUL),
        json.loads(json.dumps(error.as_dict()))["message"],
    ):
        assert text.isprintable() and len(text) < 250
