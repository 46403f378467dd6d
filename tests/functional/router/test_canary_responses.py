"""Responses that are kept, and a canary: who goes on from one has to go where it is, whichever arm that is."""

import json
from typing import Any

import pytest

from sallyport.gateway.operations import RESPONSES
from tests.functional.router.canary_stage import EU, NONE, TESTER, WHOLE, CanaryStage, outcomes, part, request_line
from tests.functional.router.gateway import Answered, Gateway, drain
from tests.support.events import ACME, Context, proxy_event

ASKED = {"model": "gpt-a", "input": "prompt-secret"}
FORGETS = "provider: openai, region: us-east-1"


def post(gateway: Gateway, body: Any = ASKED, **options: Any) -> Answered:
    context = Context()
    answered = drain(gateway.route(proxy_event("POST", "/v1/responses", body, **options), context))
    context.finish()
    return answered


def arm(answered: Answered) -> str:
    return answered.headers["x-sallyport-canary"].partition("=")[2]


@pytest.fixture
def stage(canary_stage: CanaryStage) -> CanaryStage:
    canary_stage.stable.body = b'{"id": "resp_stable", "object": "response"}'
    canary_stage.canary.body = b'{"id": "resp_canary", "object": "response"}'
    return canary_stage


def on(stage: CanaryStage, canary: str, **options: Any) -> Gateway:
    return stage.gateway(canary, operation=RESPONSES, **options)


def test_who_got_a_response_of_the_canary_goes_on_there_after_it_is_taken_out(
    stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arm(post(on(stage, WHOLE))) == "canary"
    before = stage.counts()
    answered = post(on(stage, NONE), {**ASKED, "previous_response_id": "resp_canary"})
    assert (answered.status, arm(answered), stage.reached) == (200, "canary", (0, 2))
    assert part(request_line(capsys)) == ("next", "canary", "goes_on_from_a_kept_response", None)
    assert json.loads(stage.canary.received[1].body)["previous_response_id"] == "resp_canary"
    assert stage.counts() == before


@pytest.mark.parametrize("weight", [0.01, 99.99])
def test_who_got_a_response_of_stable_goes_on_there_uncounted(
    stage: CanaryStage, capsys: pytest.CaptureFixture[str], weight: float
) -> None:
    post(on(stage, NONE))
    before = stage.counts()
    canary = WHOLE.replace("99.99", str(weight))
    answered = post(on(stage, canary), {**ASKED, "previous_response_id": "resp_stable"})
    assert (answered.status, arm(answered), stage.reached) == (200, "stable", (2, 0))
    assert part(request_line(capsys)) == ("next", "stable", "goes_on_from_a_kept_response", None)
    assert stage.counts() == before


def test_other_parameters_are_set_for_who_goes_on_from_a_response(stage: CanaryStage) -> None:
    post(on(stage, NONE))
    cool = "{name: cool, model: gpt-a, parameters: {temperature: 0.5}, weight: 99.99}"
    answered = post(on(stage, cool), {**ASKED, "previous_response_id": "resp_stable"})
    assert arm(answered) == "canary"
    assert json.loads(stage.stable.received[1].body)["temperature"] == 0.5
    assert outcomes(stage.counts())["canary"] == (1, 0)


def test_a_response_of_the_canary_is_no_other_tenants(stage: CanaryStage) -> None:
    post(on(stage, WHOLE))
    answered = post(
        on(stage, WHOLE), {**ASKED, "previous_response_id": "resp_canary"}, principal=ACME._replace(tenant="globex")
    )
    assert (answered.status, stage.reached) == (400, (0, 1))


def test_a_response_is_not_gone_on_from_where_its_callers_data_may_no_longer_go(stage: CanaryStage) -> None:
    away = "provider: openai, store: true, region: eu-central-1"
    assert arm(post(on(stage, WHOLE, new=away), principal=EU)) == "canary"
    answered = post(on(stage, WHOLE, new=away), {**ASKED, "previous_response_id": "resp_canary"})
    assert (answered.status, stage.reached) == (400, (0, 1))


def test_a_response_of_a_canary_that_is_gone_is_not_gone_on_from(stage: CanaryStage) -> None:
    post(on(stage, WHOLE))
    answered = post(on(stage, ""), {**ASKED, "previous_response_id": "resp_canary"})
    assert (answered.code, stage.reached) == ("unsupported_field", (0, 1))


@pytest.mark.parametrize("weight", [0.01, 99.99])
@pytest.mark.parametrize("principal", [ACME, TESTER])
def test_what_stable_would_keep_does_not_go_where_it_would_be_lost(
    stage: CanaryStage, capsys: pytest.CaptureFixture[str], weight: float, principal: Any
) -> None:
    gateway = on(stage, WHOLE.replace("99.99", str(weight)), new=FORGETS)
    assert arm(post(gateway, principal=principal, headers={"x-sallyport-canary": "next"})) == "stable"
    assert part(request_line(capsys))[2] == "would_not_be_kept"
    assert stage.counts() == {}
    assert arm(post(gateway, {**ASKED, "store": False})) == ("canary" if weight > 1 else "stable")
    assert len(outcomes(stage.counts())) == 1


def test_a_canary_that_keeps_nothing_takes_what_stable_does_not_keep_either(stage: CanaryStage) -> None:
    answered = post(on(stage, WHOLE, old=FORGETS, new=FORGETS))
    assert (answered.status, arm(answered)) == (200, "canary")
    assert json.loads(stage.canary.received[0].body)["store"] is False
