"""What is counted of both arms, by the table: what an arm is to blame for, and what says nothing about it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.policy.canary_rules import CanaryRules, CanaryState, CanaryStates, CanaryStep
from sallyport.policy.canary_states import state_item
from sallyport.policy.upstream_rules import Target
from sallyport.routing.breaker import FAILURES_TO_OPEN
from sallyport.routing.canary import run_of
from tests.functional.router.canary_stage import (
    ANTHROPIC,
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
from tests.functional.router.faulty_store import FaultyStore
from tests.functional.router.gateway import CHAT, EVENTS, NOW_S, Upstream, drain
from tests.functional.router.test_metering import WITH_USAGE
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, Emulator
from tests.support.events import ACME, Context
from tests.support.servers import Peer, Received, ScriptedServer

STREAM = {**CHAT, "stream": True}
ONE = {"canary": (1, 0)}
FAILED = {"canary": (1, 1)}


def test_a_success_is_counted_with_its_time_and_tokens_after_the_answer(canary_stage: CanaryStage) -> None:
    canary_stage.canary.chunks = WITH_USAGE
    context = Context()
    answered = drain(canary_stage.gateway().begin(STREAM, context))
    assert (answered.status, canary_stage.counts()) == (200, {})
    context.finish()
    amounts = canary_stage.counts()["canary"]
    assert (amounts["n"], amounts["it"], amounts["ot"]) == (1, 7, 3)
    assert "e" not in amounts
    assert sum(amount for name, amount in amounts.items() if name[0] == "h") == 1
    assert 0 <= amounts.get("t", 0) <= amounts.get("d", 0)


def test_an_outcome_is_of_its_run_arm_and_bucket_and_names_no_caller(canary_stage: CanaryStage) -> None:
    gateway = canary_stage.gateway()
    for _ in range(3):
        gateway.post(CHAT)
    (item,) = [
        item
        for item in canary_stage.store.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]
        if item["pk"]["S"].startswith("canary#")
    ]
    assert item["pk"]["S"].startswith("canary#next#0-")
    assert item["sk"]["S"].startswith("canary#")
    assert item["n"]["N"] == "3"
    assert "demo" not in json.dumps(item)
    assert "acme" not in json.dumps(item)


def test_both_arms_of_a_split_are_counted(canary_stage: CanaryStage) -> None:
    gateway = canary_stage.gateway("{name: next, model: gpt-a, target: {upstream: new}, weight: 50}")
    arms = [
        gateway.post(CHAT, principal=ACME._replace(subject=f"s{number}")).headers["x-sallyport-canary"]
        for number in range(16)
    ]
    expected = {arm: (arms.count(f"next={arm}"), 0) for arm in ("stable", "canary")}
    assert outcomes(canary_stage.counts()) == expected
    assert canary_stage.reached == (expected["stable"][0], expected["canary"][0])
    assert min(canary_stage.reached) > 0


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_server_error_is_a_failure(canary_stage: CanaryStage, status: int) -> None:
    canary_stage.canary.status = status
    canary_stage.gateway().post(CHAT)
    assert outcomes(canary_stage.counts()) == FAILED


def test_a_request_that_needed_a_second_try_is_one_that_did_not_fail(canary_stage: CanaryStage) -> None:
    answers = iter([503, 200])
    upstream = canary_stage.canary

    class Recovering(Upstream):
        def __call__(self, peer: Peer) -> None:
            while peer.read() is not None:
                peer.answer(next(answers), upstream.body, **upstream.headers)

    with ScriptedServer(Recovering()) as server:
        gateway = canary_stage.gateway(canary_url=server.url, SALLYPORT_UPSTREAM_RETRIES="1")
        assert gateway.post(CHAT).status == 200
    assert outcomes(canary_stage.counts()) == ONE


def test_silence_is_a_failure(canary_stage: CanaryStage) -> None:
    canary_stage.canary.silent = True
    answered = canary_stage.gateway(SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S="0.2").post(CHAT)
    assert (answered.code, outcomes(canary_stage.counts())) == ("upstream_timeout", FAILED)


def test_a_cut_stream_is_a_failure(canary_stage: CanaryStage) -> None:
    canary_stage.canary.chunks, canary_stage.canary.cut = EVENTS[:1], True
    answered = canary_stage.gateway().post(STREAM)
    assert (answered.status, answered.broke_off) == (200, True)
    assert outcomes(canary_stage.counts()) == FAILED


def test_an_answer_that_is_none_of_the_api_is_a_failure(canary_stage: CanaryStage) -> None:
    canary_stage.canary.headers["content_type"] = "text/html"
    assert canary_stage.gateway().post(CHAT).code == "upstream_invalid_response"
    assert outcomes(canary_stage.counts()) == FAILED


@pytest.mark.parametrize("status", [400, 404, 422, 429])
def test_a_clients_error_is_counted_and_no_failure(canary_stage: CanaryStage, status: int) -> None:
    canary_stage.canary.status, canary_stage.canary.body = status, b'{"error": {"message": "no"}}'
    assert canary_stage.gateway().post(CHAT).status == status
    assert outcomes(canary_stage.counts()) == ONE


def test_a_stream_that_the_gateway_had_no_time_to_end_is_a_failure(canary_stage: CanaryStage) -> None:
    """The runtime stops reading. A client that hangs up does not: nobody but the gateway's time ends an answer."""
    canary_stage.canary.chunks = EVENTS
    context = Context()
    response = canary_stage.gateway().begin(STREAM, context)
    next(iter(response.body))
    response.body.close()  # type: ignore[attr-defined]
    context.finish()
    assert outcomes(canary_stage.counts()) == FAILED


@pytest.mark.parametrize("limit_ms", [1, 60_000])
def test_slow_is_what_the_guard_says(canary_stage: CanaryStage, limit_ms: int) -> None:
    canary = (
        "{name: next, model: gpt-a, target: {upstream: new}, weight: 99.99, "
        f"guard: {{slow_ms: {limit_ms}, slow_first_token_ms: {limit_ms}}}}}"
    )
    canary_stage.gateway(canary).post(CHAT)
    amounts = canary_stage.counts()["canary"]
    assert (amounts.get("s", 0), amounts.get("f", 0)) == ((1, 1) if limit_ms == 1 else (0, 0))


REFUSED: dict[str, tuple[Any, dict[str, Any]]] = {
    "schema": ({**CHAT, "temperature": 9}, {}),
    "scope": (CHAT, {"principal": ACME._replace(scopes=("models",))}),
    "model": (CHAT, {"principal": ACME._replace(models=("gpt-b",))}),
    "field": ({**CHAT, "web_search_options": {}}, {}),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("canary", [WHOLE, NONE])
def test_what_the_gateway_refuses_is_not_counted(canary_stage: CanaryStage, case: str, canary: str) -> None:
    body, options = REFUSED[case]
    assert 400 <= canary_stage.gateway(canary).post(body, **options).status < 500
    assert (canary_stage.reached, canary_stage.counts()) == ((0, 0), {})


@pytest.mark.parametrize("canary", [WHOLE, NONE])
@pytest.mark.parametrize(
    ("old", "new", "reached"), [(US, ANTHROPIC, {"stable"}), (ANTHROPIC, US, {"stable": 400, "canary": 200})]
)
def test_a_request_that_one_arm_could_not_take_is_counted_on_neither(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], canary: str, old: str, new: str, reached: Any
) -> None:
    answered = canary_stage.gateway(canary, old=old, new=new).post({**CHAT, "logprobs": True})
    arm = answered.headers["x-sallyport-canary"].partition("=")[2]
    assert arm in reached
    if new == ANTHROPIC:
        assert (answered.status, part(request_line(capsys))) == (200, ("next", "stable", "unsupported_field", None))
    elif arm == "canary":
        assert answered.status == 200
        assert part(request_line(capsys)) == ("next", "canary", "unsupported_on_stable", None)
    assert canary_stage.counts() == {}


@pytest.mark.parametrize("canary", [WHOLE, NONE])
def test_a_request_that_both_arms_can_take_is_counted_though_their_apis_differ(
    canary_stage: CanaryStage, canary: str
) -> None:
    canary_stage.gateway(canary, new=ANTHROPIC).post(CHAT)
    ((requests, _),) = outcomes(canary_stage.counts()).values()
    assert requests == 1


@pytest.mark.parametrize("fault", ["down", "locked", "key"])
def test_a_dead_canary_serves_nobody_an_error_and_is_blamed_for_every_request(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    gateway = dead_canary(canary_stage, fault)
    before = canary_stage.counts().get("canary", {})
    lines(capsys)
    for _ in range(7):
        answered = gateway.post(CHAT)
        assert (answered.status, answered.body) == (200, b'{"id": "stable"}')
        assert answered.headers["x-sallyport-canary"] == "next=stable"
    note = {"down": "no_target_available", "locked": "upstream_secret_unavailable"}
    line = request_line(capsys)
    assert part(line) == ("next", "stable", note.get(fault, "upstream_credentials_rejected"), None)
    assert (line["upstream"], line["status"]) == ("old", 200)
    after = canary_stage.counts()
    assert set(after) == {"canary"}
    grown = {name: amount - before.get(name, 0) for name, amount in after["canary"].items()}
    assert {name: amount for name, amount in grown.items() if amount} == {"n": 7, "e": 7}


def test_a_request_that_leaves_the_canary_is_on_record_for_both_places(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = dead_canary(canary_stage, "key")
    lines(capsys)
    gateway.post(CHAT)
    decisions = [line for line in lines(capsys) if line.get("kind") == "decision"]
    assert [(each["upstream"], each["arm"], each["attempt"]) for each in decisions] == [
        ("new", "canary", 1),
        ("old", "stable", 2),
    ]


def test_a_forced_request_to_a_dead_canary_is_served_and_blames_nobody(canary_stage: CanaryStage) -> None:
    gateway = dead_canary(canary_stage, "locked")
    principal = ACME._replace(scopes=("chat", "canary"))
    answered = gateway.post(CHAT, principal=principal, headers={"x-sallyport-canary": "next"})
    assert (answered.status, canary_stage.counts()) == (200, {})


@pytest.mark.parametrize(("old", "failures"), [(US, FAILURES_TO_OPEN), (US + ", secret: missing", 0)])
def test_a_stable_arm_that_cannot_send_is_blamed_as_a_canary_is(
    canary_stage: CanaryStage, old: str, failures: int
) -> None:
    gateway = canary_stage.gateway(NONE, old=old)
    canary_stage.stable.status = 500
    for _ in range(failures):
        gateway.post(CHAT)
    before = outcomes(canary_stage.counts()).get("stable", (0, 0))
    reached = canary_stage.reached
    assert gateway.post(CHAT).status == 503
    assert canary_stage.reached == reached
    assert outcomes(canary_stage.counts())["stable"] == (before[0] + 1, before[1] + 1)


BUDGET = "limits: [{scope: key, unit: tokens, limit: 100000, window: 1m, on_store_failure: deny}]"


@pytest.fixture
def faulty(store: Emulator) -> FaultyStore:
    return FaultyStore(store.url)


@pytest.fixture
def faulty_url(faulty: FaultyStore) -> Iterator[str]:
    with ScriptedServer(faulty) as server:
        yield server.url


@pytest.mark.parametrize("canary", [WHOLE, NONE])
def test_a_store_of_limits_that_is_away_is_no_arms_fault(
    canary_stage: CanaryStage, faulty: FaultyStore, faulty_url: str, canary: str
) -> None:
    gateway = canary_stage.gateway(canary, more=BUDGET, AWS_ENDPOINT_URL_DYNAMODB=faulty_url)
    faulty.fault = "throttled"
    assert gateway.post(CHAT).code == "limits_unavailable"
    assert (canary_stage.reached, canary_stage.counts()) == ((0, 0), {})


def test_an_outcome_that_cannot_be_counted_disturbs_nobody(
    canary_stage: CanaryStage, faulty: FaultyStore, faulty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = canary_stage.gateway(AWS_ENDPOINT_URL_DYNAMODB=faulty_url)
    context = Context()
    answered = drain(gateway.begin(CHAT, context))
    faulty.fault = "throttled"
    context.finish()
    told = lines(capsys)
    assert (answered.status, canary_stage.counts()) == (200, {})
    assert [line["reason"] for line in told if "not counted" in line.get("message", "")] == ["ThrottlingException"]
    assert {line.get("kind") for line in told if line.get("message") == "audit"} == {"decision", "outcome"}
    faulty.fault = ""
    gateway.post(CHAT)
    assert outcomes(canary_stage.counts()) == ONE


class Watched(FaultyStore):
    """Notes which items are read."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.read: list[str] = []

    def _pass_on(self, request: Received) -> tuple[int, bytes]:
        if request.headers["x-amz-target"].endswith(".GetItem"):
            self.read.append(json.loads(request.body)["Key"]["pk"]["S"])
        return super()._pass_on(request)


@pytest.mark.parametrize(("canary", "reads"), [("", 0), (WHOLE, 1)])
def test_states_are_read_once_there_is_a_canary_and_never_before(
    canary_stage: CanaryStage, canary: str, reads: int
) -> None:
    script = Watched(canary_stage.store.url)
    with ScriptedServer(script) as server:
        gateway = canary_stage.gateway(canary, AWS_ENDPOINT_URL_DYNAMODB=server.url)
        for _ in range(3):
            assert gateway.post(CHAT).status == 200
    assert script.read.count("policy#canaries") == reads
    assert script.read


@pytest.mark.parametrize("forced", [False, True])
def test_states_that_cannot_be_read_put_nobody_on_a_canary_but_who_asks_for_it(
    canary_stage: CanaryStage, capsys: pytest.CaptureFixture[str], forced: bool
) -> None:
    item = {"pk": {"S": "policy#canaries"}, "sk": {"S": "state"}, "version": {"N": "0"}}
    canary_stage.store.dynamodb.put_item(TableName=CONFIG_TABLE, Item=item)
    headers = {"x-sallyport-canary": "next"} if forced else {}
    answered = canary_stage.gateway().post(CHAT, principal=TESTER, headers=headers)
    expected = ("next", "canary", None, "heeded") if forced else ("next", "stable", "state_unknown", None)
    assert (answered.status, part(request_line(capsys))) == (200, expected)
    assert canary_stage.counts() == {}


@pytest.mark.parametrize(
    ("phase", "weight", "arm"),
    [("rolled_back", None, "stable"), ("promoted", None, "canary"), ("running", 0, "stable")],
)
def test_a_canarys_stored_state_decides(canary_stage: CanaryStage, phase: str, weight: int | None, arm: str) -> None:
    state = CanaryState(phase, 0, int(NOW_S), "", weight)
    rules = CanaryRules("next", ("gpt-a",), (), (), Target("new", "", ()), {}, (CanaryStep(1),))
    state = state._replace(run=run_of(rules, state, 3))
    item = state_item(CanaryStates(3, "ab" * 32, {"next": state}))
    canary_stage.store.dynamodb.put_item(TableName=CONFIG_TABLE, Item=item)
    canary = WHOLE if arm == "stable" else NONE
    assert canary_stage.gateway(canary).post(CHAT).headers["x-sallyport-canary"] == f"next={arm}"


@pytest.mark.parametrize(("weight", "reached"), [("99.99", (0, 1)), ("0", (1, 0))])
def test_a_plain_canary_is_made_of_parameters_alone(
    canary_stage: CanaryStage, weight: str, reached: tuple[int, int]
) -> None:
    settings = {
        "SALLYPORT_CANARY_WEIGHT": weight,
        "SALLYPORT_CANARY_UPSTREAM_BASE_URL": f"{canary_stage.urls[1]}/v1",
        "SALLYPORT_CANARY_UPSTREAM_REGION": "us-east-1",
        "SALLYPORT_CANARY_MODEL": "gpt-next",
    }
    answered = plain_gateway(canary_stage, **settings).post(CHAT)
    assert (answered.status, canary_stage.reached) == (200, reached)
    assert answered.headers.get("x-sallyport-canary") == ("parameters=canary" if weight == "99.99" else None)
    assert outcomes(canary_stage.counts()) == (ONE if weight == "99.99" else {})
