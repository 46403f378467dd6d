"""What becomes of requests and of their charges when the table of counters fails in mid-way."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.functional.router.faulty_store import FaultyStore
from tests.functional.router.gateway import (
    CHAT,
    KEY,
    REQUESTS,
    TOKENS,
    USAGE,
    Gateway,
    MakeGateway,
    apply_policy,
    counters,
    frozen,
)
from tests.support.aws import Emulator
from tests.support.events import Context
from tests.support.servers import ScriptedServer

PATIENCE_S = 5.0
"""Two tries of a second each, and a slow machine."""


@pytest.fixture
def faulty(store: Emulator) -> FaultyStore:
    return FaultyStore(store.url)


@pytest.fixture
def store_url(faulty: FaultyStore) -> Iterator[str]:
    with ScriptedServer(faulty) as server:
        yield server.url


@pytest.fixture
def gateway(make: MakeGateway, store_url: str) -> Gateway:
    gateway = make(now=frozen, SALLYPORT_TOKENS_PER_MINUTE="100000", AWS_ENDPOINT_URL_DYNAMODB=store_url)
    gateway.upstream.body = json.dumps({"usage": USAGE}).encode()
    return gateway


def metrics(printed: str) -> set[str]:
    lines = [json.loads(line) for line in printed.splitlines()]
    return {line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines if "_aws" in line}


@pytest.mark.parametrize("fault", ["throttled", "silent"])
def test_limits_that_allow_it_are_counted_in_memory_soon(
    gateway: Gateway, faulty: FaultyStore, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    faulty.fault = fault
    begun_s = time.monotonic()
    response = gateway.begin(CHAT, Context())
    assert response.status == 200
    assert time.monotonic() - begun_s < PATIENCE_S
    assert faulty.writes == 2  # one retry at most
    assert "LimitStoreFailure" in metrics(capsys.readouterr().out)


def test_a_budget_is_refused_when_it_cannot_be_counted(
    make: MakeGateway, store: Emulator, faulty: FaultyStore, store_url: str
) -> None:
    limits = "[{scope: key, unit: requests, limit: 9, window: 1m}, {scope: tenant, unit: usd, limit: 1, window: day}]"
    apply_policy(
        store, f"limits: {limits}\nmodels: {{gpt-a: {{max_output_tokens: 9, price: {{input: 1, output: 1}}}}}}"
    )
    gateway = make(now=frozen, AWS_ENDPOINT_URL_DYNAMODB=store_url)
    faulty.fault = "throttled"
    answered = gateway.post(CHAT)
    assert (answered.status, answered.code) == (503, "limits_unavailable")
    assert gateway.upstream.received == []


def test_a_charge_that_cannot_be_settled_stays_and_is_told(
    gateway: Gateway, store: Emulator, faulty: FaultyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    context = Context()
    response = gateway.begin({**CHAT, "max_tokens": 500}, context)
    charged = counters(store, KEY)
    faulty.fault = "throttled"
    assert list(response.body)
    context.finish()
    printed = capsys.readouterr().out
    assert counters(store, KEY) == charged
    assert "SettlementFailure" in metrics(printed)
    assert '"message": "settlement"' in printed
    assert '"settled": false' in printed


def test_a_settlement_that_was_made_without_an_answer_is_not_made_twice(
    gateway: Gateway, store: Emulator, faulty: FaultyStore
) -> None:
    context = Context()
    response = gateway.begin({**CHAT, "max_tokens": 500}, context)
    faulty.fault = "committed"
    assert list(response.body)
    context.finish()
    assert counters(store, KEY) == {TOKENS: 10, REQUESTS: 1}


def test_a_charge_that_was_made_without_an_answer_never_undercounts(
    gateway: Gateway, store: Emulator, faulty: FaultyStore
) -> None:
    faulty.fault = "committed"
    context = Context()
    gateway.begin(CHAT, context)
    assert counters(store, KEY)[REQUESTS] >= 1


def test_settling_ends_before_the_invocation_does(
    gateway: Gateway, faulty: FaultyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    context = Context(remaining_ms=2_500)
    response = gateway.begin({**CHAT, "max_tokens": 500}, context)
    faulty.fault = "silent"
    assert list(response.body)
    context.remaining_ms = 700
    begun_s = time.monotonic()
    context.finish()
    assert time.monotonic() - begun_s < 0.7 + 0.3
    assert "SettlementFailure" in metrics(capsys.readouterr().out)


def test_a_settlement_that_there_was_no_time_for_says_what_is_still_due(
    gateway: Gateway, faulty: FaultyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    context = Context()
    response = gateway.begin({**CHAT, "max_tokens": 500}, context)
    assert list(response.body)
    writes = faulty.writes
    context.remaining_ms = 100
    context.finish()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    settlement = next(line for line in lines if line.get("message") == "settlement")
    assert faulty.writes == writes
    assert not settlement["settled"]
    assert len(settlement["due"]) == 1
