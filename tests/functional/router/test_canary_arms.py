"""The canary's arm: where its requests go and what is told of it; and to whom it isn't offered."""

import json
from typing import Any

import pytest

from sallyport.gateway.operations import CHAT_COMPLETIONS, COUNT_TOKENS, MESSAGES, RESPONSES, Operation
from sallyport.identity.principal import Principal
from sallyport.policy.limit_texts import parse_limit
from sallyport.routing.breaker import FAILURES_TO_OPEN
from tests.functional.router.canary_stage import (
    ANTHROPIC,
    AWAY,
    EU,
    NONE,
    TESTER,
    US,
    WHOLE,
    CanaryStage,
    dead_canary,
    lines,
    outcomes,
    part,
    plain_gateway,
    request_line,
)
from tests.functional.router.gateway import CHAT, EVENTS, KEY, REQUESTS, TOKENS, counters
from tests.support.events import ACME

STREAM = {**CHAT, "stream": True}
PARAMETERS = "{name: cool, model: gpt-a, parameters: {temperature: 0.25}, weight: %d}"


def test_a_request_on_the_canary_goes_to_its_target_and_its_client_the_log_and_the_audit_trail_are_told(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = canary_stage.gateway().post(CHAT)
    assert (answered.body, canary_stage.reached) == (b'{"id": "canary"}', (0, 1))
    assert answered.headers["x-sallyport-canary"] == "next=canary"
    told = lines(capsys)
    (line,) = [each for each in told if each.get("message") == "request"]
    assert part(line) == ("next", "canary", None, None)
    assert line["upstream"] == "new"
    decision, outcome = [each for each in told if each.get("message") == "audit"]
    assert (decision["verdict"], decision["upstream"], decision["canary"], decision["arm"]) == (
        "forward",
        "new",
        "next",
        "canary",
    )
    assert decision["considered"] == ["old/ us-east-1 eligible", "new/ us-east-1 eligible"]
    assert (outcome["upstream"], outcome["status"]) == ("new", 200)


def test_a_request_on_the_stable_arm_is_told_so_too(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = canary_stage.gateway(NONE).post(CHAT)
    assert (answered.headers["x-sallyport-canary"], canary_stage.reached) == ("next=stable", (1, 0))
    assert part(request_line(capsys)) == ("next", "stable", None, None)


def test_a_request_that_no_canary_is_for_is_told_nothing(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = canary_stage.gateway().post({**CHAT, "model": "gpt-b"})
    assert "x-sallyport-canary" not in answered.headers
    assert part(request_line(capsys)) == (None, None, None, None)
    assert canary_stage.counts() == {}


def test_another_model_at_the_same_upstream_is_asked_by_its_name(canary_stage: CanaryStage) -> None:
    canary = "{name: next, model: gpt-a, target: {upstream: old, model: gpt-next}, weight: 100}"
    canary_stage.gateway(canary).post(CHAT)
    assert json.loads(canary_stage.stable.received[0].body) == {**CHAT, "model": "gpt-next"}


@pytest.mark.parametrize("body", [CHAT, STREAM])
def test_parameters_are_set_in_the_body_on_the_canary_alone(canary_stage: CanaryStage, body: dict[str, Any]) -> None:
    if body.get("stream"):
        canary_stage.stable.chunks = EVENTS
    text = json.dumps(body, indent=1)
    for weight in (100, 0):
        gateway = canary_stage.gateway(PARAMETERS % weight, SALLYPORT_STREAM_USAGE="disabled")
        assert gateway.post(text).status == 200
    canary, stable = [request.body for request in canary_stage.stable.received]
    assert json.loads(canary) == {**body, "temperature": 0.25}
    assert stable == text.encode()


def test_parameters_win_over_the_clients_own(canary_stage: CanaryStage) -> None:
    canary_stage.gateway(PARAMETERS % 100).post({**CHAT, "temperature": 1})
    assert json.loads(canary_stage.stable.received[0].body)["temperature"] == 0.25


@pytest.mark.parametrize("weight", [0.01, 99.99])
def test_parameters_that_make_no_request_of_the_route_are_not_set(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], weight: float
) -> None:
    canary = f"{{name: odd, model: gpt-a, parameters: {{temperature: warm}}, weight: {weight}}}"
    answered = canary_stage.gateway(canary).post(CHAT)
    assert (answered.status, answered.headers["x-sallyport-canary"]) == (200, "odd=stable")
    assert json.loads(canary_stage.stable.received[0].body) == CHAT
    assert part(request_line(capsys)) == ("odd", "stable", "invalid_parameters", None)
    assert canary_stage.counts() == {}


@pytest.mark.parametrize(
    ("operation", "old", "name"),
    [
        (RESPONSES, US, "reasoning_effort"),
        (RESPONSES, US, "max_tokens"),
        (MESSAGES, ANTHROPIC, "stop"),
        (CHAT_COMPLETIONS, US, "max_output_tokens"),
        (CHAT_COMPLETIONS, US, "system"),
    ],
)
def test_parameters_of_another_api_are_not_set(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], operation: Operation, old: str, name: str
) -> None:
    canary = f"{{name: odd, model: gpt-a, parameters: {{{name}: 5, temperature: 0.5}}, weight: 99.99}}"
    gateway = canary_stage.gateway(canary, old=old, operation=operation)
    body = {"model": "gpt-a", "input": "x"} if operation is RESPONSES else {**CHAT, "max_tokens": 5}
    assert gateway.post(body).headers["x-sallyport-canary"] == "odd=stable"
    assert json.loads(canary_stage.stable.received[0].body).keys() - body.keys() <= {"store"}
    assert part(request_line(capsys))[2] == "invalid_parameters"


def test_of_parameters_only_those_that_tokens_are_counted_by_are_set_where_they_are_counted(
    canary_stage: CanaryStage,
) -> None:
    canary = "{name: cool, model: gpt-a, parameters: {temperature: 0.5, system: s}, weight: 99.99}"
    answered = canary_stage.gateway(canary, old=ANTHROPIC, operation=COUNT_TOKENS).post(CHAT)
    assert answered.headers["x-sallyport-canary"] == "cool=canary"
    assert json.loads(canary_stage.stable.received[0].body) == {**CHAT, "system": "s"}


OUTSIDE = {"new": AWAY}
NOT_OFFERED = {
    "residency": (OUTSIDE, ACME, "outside_residency"),
    "allowed_regions": ({**OUTSIDE, "SALLYPORT_ALLOWED_REGIONS": "us-east-1"}, EU, "outside_allowed_regions"),
    "global": ({"target": "model: m, regions: [global, us-east-1]"}, ACME, "global_not_permitted"),
    "model": ({"target": "model: gpt-b"}, ACME._replace(models=("gpt-a",)), "model_not_allowed"),
}


@pytest.mark.parametrize("weight", [0.01, 99.99])
@pytest.mark.parametrize("case", NOT_OFFERED)
def test_a_canary_that_its_caller_may_not_use_is_not_offered_and_counted_on_neither_arm(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], case: str, weight: float
) -> None:
    options, principal, note = NOT_OFFERED[case]
    options = dict(options)
    target = options.pop("target", "")
    canary = f"{{name: next, model: gpt-a, target: {{upstream: new, {target}}}, weight: {weight}}}"
    answered = canary_stage.gateway(canary, **options).post(CHAT, principal=principal)  # type: ignore[arg-type]
    assert (answered.status, answered.headers["x-sallyport-canary"]) == (200, "next=stable")
    assert canary_stage.reached == (1, 0)
    told = lines(capsys)
    assert {part(line) for line in told if line.get("message") == "request"} == {("next", "stable", note, None)}
    decision = next(line for line in told if line.get("message") == "audit")
    assert (decision["upstream"], decision["canary_note"]) == ("old", note)
    assert canary_stage.counts() == {}


@pytest.mark.parametrize(
    ("models", "arm"), [(("gpt-a",), "stable"), (("gpt-a", "gpt-next"), "canary"), (None, "canary")]
)
def test_where_the_policy_names_no_models_a_canarys_is_for_those_who_may_ask_for_it_by_its_name(
    canary_stage: CanaryStage, models: tuple[str, ...] | None, arm: str
) -> None:
    gateway = plain_gateway(canary_stage, SALLYPORT_CANARY_WEIGHT="99.99", SALLYPORT_CANARY_MODEL="gpt-next")
    answered = gateway.post(CHAT, principal=ACME._replace(models=models))
    assert (answered.status, answered.headers["x-sallyport-canary"]) == (200, f"parameters={arm}")
    asked = {"stable": "gpt-a", "canary": "gpt-next"}[arm]
    assert json.loads(canary_stage.stable.received[0].body)["model"] == asked


def test_an_operation_that_the_canarys_upstream_does_not_serve_stays_on_stable(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = canary_stage.gateway(operation=MESSAGES, old=ANTHROPIC).post({**CHAT, "max_tokens": 5})
    assert (answered.status, canary_stage.reached) == (200, (1, 0))
    assert part(request_line(capsys)) == ("next", "stable", "operation_unsupported", None)
    assert canary_stage.counts() == {}


@pytest.mark.parametrize("principal", [ACME, TESTER])
def test_a_canary_admits_nobody_whose_data_may_go_to_no_stable_target(
    canary_stage: CanaryStage, principal: Principal
) -> None:
    wish = {"x-sallyport-canary": "next"}
    answered = canary_stage.gateway(old=AWAY).post(CHAT, principal=principal, headers=wish)
    assert (answered.code, canary_stage.reached) == ("residency_violation", (0, 0))


@pytest.mark.parametrize("status", [429, 500])
def test_what_fails_on_the_canary_is_not_put_to_the_stable_targets(canary_stage: CanaryStage, status: int) -> None:
    canary_stage.canary.status = status
    answered = canary_stage.gateway(SALLYPORT_UPSTREAM_RETRIES="2").post(CHAT)
    assert (answered.status >= 429, answered.headers["x-sallyport-canary"]) == (True, "next=canary")
    assert canary_stage.reached == (0, 3)


def test_what_fails_on_stable_is_not_put_to_the_canary(canary_stage: CanaryStage) -> None:
    canary_stage.stable.status = 500
    answered = canary_stage.gateway(NONE, SALLYPORT_UPSTREAM_RETRIES="2").post(CHAT)
    assert (answered.status, answered.headers["x-sallyport-canary"]) == (502, "next=stable")
    assert canary_stage.reached == (3, 0)


def ask(stage: CanaryStage, principal: Principal, wish: str, canary: str = NONE) -> str:
    answered = stage.gateway(canary).post(CHAT, principal=principal, headers={"X-Sallyport-Canary": wish})
    return answered.headers["x-sallyport-canary"]


@pytest.mark.parametrize(("canary", "wish", "arm"), [(NONE, "next", "canary"), (WHOLE, "next=stable", "stable")])
def test_who_has_the_scope_chooses_the_arm_and_is_not_counted(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], canary: str, wish: str, arm: str
) -> None:
    assert ask(canary_stage, TESTER, wish, canary) == f"next={arm}"
    assert part(request_line(capsys)) == ("next", arm, None, "heeded")
    assert canary_stage.counts() == {}


def test_who_lacks_the_scope_is_not_heeded_and_counted_as_anybody(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(canary_stage, ACME, "next") == "next=stable"
    assert part(request_line(capsys)) == ("next", "stable", None, "ignored")
    assert outcomes(canary_stage.counts()) == {"stable": (1, 0)}


def test_the_choice_of_an_arm_does_not_go_upstream(canary_stage: CanaryStage) -> None:
    ask(canary_stage, TESTER, "next")
    assert "x-sallyport-canary" not in canary_stage.canary.received[0].headers


@pytest.mark.parametrize("canary", [WHOLE, NONE])
def test_a_refusal_by_a_limit_is_one_on_either_arm(canary_stage: CanaryStage, canary: str) -> None:
    gateway = canary_stage.gateway(canary, SALLYPORT_REQUESTS_PER_MINUTE="1")
    before = gateway.post(CHAT).headers["x-sallyport-canary"]
    refused = gateway.post(CHAT)
    assert (refused.status, refused.headers["x-sallyport-canary"]) == (429, before)
    assert sum(canary_stage.reached) == 1
    assert sum(requests for requests, _ in outcomes(canary_stage.counts()).values()) == 1


def test_a_limit_that_the_canarys_parameters_exceed_refuses_and_does_not_change_the_arm(
    canary_stage: CanaryStage,
) -> None:
    canary = "{name: long, model: gpt-a, parameters: {max_tokens: 5000}, weight: 100}"
    answered = canary_stage.gateway(canary, SALLYPORT_TOKENS_PER_MINUTE="1000").post(CHAT)
    assert (answered.code, answered.headers["x-sallyport-canary"]) == ("request_over_limit", "long=canary")
    assert canary_stage.reached == (0, 0)
    assert canary_stage.counts() == {}


PAYING = ACME._replace(limits=(parse_limit("usd=1/month"),))
USED = json.dumps({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}).encode()


@pytest.mark.parametrize(("price", "nanodollars"), [("", 7 * 1000 + 3 * 4000), ("price: {input: 2, output: 8}", 38000)])
def test_a_budget_is_charged_the_price_of_the_target_that_answered(
    canary_stage: CanaryStage, price: str, nanodollars: int
) -> None:
    canary_stage.canary.body = USED
    canary = f"{{name: next, model: gpt-a, target: {{upstream: new, {price}}}, weight: 99.99}}"
    assert canary_stage.gateway(canary).post(CHAT, principal=PAYING).status == 200
    assert nanodollars in counters(canary_stage.store, KEY).values()


@pytest.mark.parametrize("weight", [0.01, 99.99])
def test_a_canary_whose_price_nobody_knows_is_not_for_whom_a_budget_counts(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], weight: float
) -> None:
    canary = f"{{name: next, model: gpt-b, target: {{upstream: new}}, weight: {weight}}}"
    targets = "[{upstream: old, price: {input: 1, output: 1}}]"
    answered = canary_stage.gateway(canary, targets=targets).post({**CHAT, "model": "gpt-b"}, principal=PAYING)
    assert (answered.status, canary_stage.reached) == (200, (1, 0))
    assert part(request_line(capsys)) == ("next", "stable", "model_not_allowed", None)
    assert canary_stage.counts() == {}


@pytest.mark.parametrize("fault", ["down", "locked", "key"])
def test_a_request_that_leaves_a_dead_canary_is_charged_once(canary_stage: CanaryStage, fault: str) -> None:
    canary_stage.stable.body = USED
    env = {"SALLYPORT_TOKENS_PER_MINUTE": "100000"}
    gateway = dead_canary(canary_stage, fault, **env)
    before = counters(canary_stage.store, KEY)
    assert gateway.post(CHAT).body == USED
    after = counters(canary_stage.store, KEY)
    assert (after[TOKENS] - before.get(TOKENS, 0), after[REQUESTS] - before.get(REQUESTS, 0)) == (10, 1)


def test_what_is_reserved_covers_the_stable_arm_that_a_request_may_have_to_go_over_to(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    reserved = []
    for price in ("{input: 1, output: 4}", "{input: 0, output: 0}"):
        canary = f"{{name: next, model: gpt-a, target: {{upstream: new, price: {price}}}, weight: 99.99}}"
        canary_stage.store.empty_tables()
        assert canary_stage.gateway(canary).post(CHAT, principal=PAYING).status == 200
        (line,) = [each for each in lines(capsys) if each.get("message") == "reservation"]
        reserved.append(line["charges"])
    assert reserved[0] == reserved[1]


@pytest.mark.parametrize(
    ("parameters", "limit", "served"),
    [("temperature: 0.5", "100000", True), ("max_tokens: 50", "", True), ("max_tokens: 50", "100000", False)],
)
def test_a_request_with_other_parameters_leaves_a_canary_that_refuses_the_gateway_unless_stable_costs_more(
    canary_stage: CanaryStage, parameters: str, limit: str, served: bool
) -> None:
    env: dict[str, Any] = {"SALLYPORT_TOKENS_PER_MINUTE": limit} if limit else {}
    canary_stage.canary.wanted_key, canary_stage.stable.body = "another", USED
    canary = f"{{name: next, model: gpt-a, target: {{upstream: new}}, parameters: {{{parameters}}}, weight: 99.99}}"
    answered = canary_stage.gateway(canary, new=f"{US}, secret: canary", **env).post(CHAT)
    assert outcomes(canary_stage.counts()) == {"canary": (1, 1)}
    if served:
        assert (answered.body, answered.headers["x-sallyport-canary"]) == (USED, "next=stable")
        assert json.loads(canary_stage.stable.received[0].body) == CHAT
    else:
        assert (answered.code, canary_stage.reached[0]) == ("upstream_credentials_rejected", 0)
    if limit:
        assert counters(canary_stage.store, KEY).get(TOKENS, 0) == (10 if served else 0)


def test_a_request_that_both_arms_fail_is_charged_no_tokens(canary_stage: CanaryStage) -> None:
    canary_stage.canary.wanted_key, canary_stage.stable.status = "another", 500
    env: dict[str, Any] = {"SALLYPORT_TOKENS_PER_MINUTE": "100000", "SALLYPORT_UPSTREAM_RETRIES": "0"}
    gateway = canary_stage.gateway(new=f"{US}, secret: canary", **env)
    codes = [gateway.post(CHAT).code for _ in range(FAILURES_TO_OPEN + 1)]
    assert (codes[0], codes[-1]) == ("upstream_error", "no_target_available")
    assert canary_stage.reached == (FAILURES_TO_OPEN, FAILURES_TO_OPEN + 1)
    assert counters(canary_stage.store, KEY).get(TOKENS, 0) == 0
    assert outcomes(canary_stage.counts()) == {"canary": (FAILURES_TO_OPEN + 1,) * 2}
