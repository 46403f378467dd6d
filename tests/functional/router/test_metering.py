"""What a request is charged, and what is left of it once it is over: tokens and money, however it ends."""

import json
from typing import Any

import pytest

from sallyport.limits.estimate import estimate_prompt_tokens
from sallyport.policy.limit_texts import parse_limit
from sallyport.runtime.streaming import StreamedResponse
from tests.functional.router.gateway import (
    CHAT,
    EVENTS,
    KEY,
    NOW_S,
    REQUESTS,
    TOKENS,
    USAGE,
    Gateway,
    MakeGateway,
    apply_policy,
    counters,
    frozen,
)
from tests.support.aws import COUNTERS_TABLE, Emulator
from tests.support.events import ACME, REQUEST_ID, Context
from tests.support.servers import refused_url

PROMPT = estimate_prompt_tokens("chat_completions", CHAT)
STREAM = {**CHAT, "stream": True}


def sse(*chunks: Any) -> list[bytes]:
    return [*(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n" for chunk in chunks)]


DELTAS = [{"choices": [{"delta": {"content": word}}], "usage": None} for word in ("one ", "two ", "three")]
WITH_USAGE = [*sse(*DELTAS, {"choices": [], "usage": USAGE}), b"data: [DONE]\n\n"]
WITHOUT_USAGE = [*sse(*({"choices": delta["choices"]} for delta in DELTAS)), b"data: [DONE]\n\n"]


@pytest.fixture
def metered(make: MakeGateway) -> Gateway:
    gateway = make(now=frozen, SALLYPORT_TOKENS_PER_MINUTE="100000")
    gateway.upstream.body = json.dumps({"choices": [], "usage": USAGE}).encode()
    return gateway


def logged(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """Give the log's lines by their message."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["message"]: line for line in lines if "message" in line}


def begin(gateway: Gateway, body: Any) -> tuple[StreamedResponse, Context]:
    context = Context()
    return gateway.begin(body, context), context


def total(store: Emulator, model: str = "gpt-a") -> dict[str, int]:
    key = {"pk": {"S": "usage#acme"}, "sk": {"S": f"2027-01-15#{model}"}}
    item = store.dynamodb.get_item(TableName=COUNTERS_TABLE, Key=key).get("Item", {})
    return {name: int(value["N"]) for name, value in item.items() if "N" in value and name != "expires_at"}


def test_an_answer_is_charged_what_it_used_and_no_more(metered: Gateway, store: Emulator) -> None:
    response, context = begin(metered, {**CHAT, "max_tokens": 500, "n": 3})
    assert counters(store, KEY) == {TOKENS: PROMPT + 1500, REQUESTS: 1}
    assert b"".join(response.body) == metered.upstream.body
    context.finish()
    assert counters(store, KEY) == {TOKENS: 10, REQUESTS: 1}


def test_an_answer_says_how_its_token_limit_stands(metered: Gateway) -> None:
    answered = metered.post({**CHAT, "max_tokens": 500})
    assert answered.headers["x-ratelimit-limit-tokens"] == "100000"
    assert int(answered.headers["x-ratelimit-remaining-tokens"]) == 100_000 - PROMPT - 500


def test_a_request_line_tells_usage_and_two_more_lines_what_was_reserved(
    metered: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    metered.post({**CHAT, "max_tokens": 500})
    lines = logged(capsys)
    assert (lines["request"]["input_tokens"], lines["request"]["output_tokens"]) == (7, 3)
    assert "usd" not in lines["request"]
    window = int(NOW_S // 60)
    assert lines["reservation"]["charges"] == [f"{KEY} {TOKENS} tokens {window} {PROMPT + 500}"]
    assert (lines["reservation"]["request_id"], lines["reservation"]["tenant"]) == (REQUEST_ID, "acme")
    assert NOW_S + 60 < lines["reservation"]["until"] < NOW_S + 90
    assert (lines["settlement"]["request_id"], lines["settlement"]["settled"]) == (REQUEST_ID, True)


def test_audit_lines_are_written_at_every_log_level(make: MakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    make(SALLYPORT_TOKENS_PER_MINUTE="100000", SALLYPORT_LOG_LEVEL="ERROR").post(CHAT)
    assert set(logged(capsys)) == {"audit", "reservation", "settlement"}


def test_a_stream_is_asked_for_its_usage_and_the_client_does_not_see_it(metered: Gateway, store: Emulator) -> None:
    metered.upstream.chunks = WITH_USAGE
    answered = metered.post(STREAM)
    assert answered.body == b"".join(WITHOUT_USAGE)
    assert json.loads(metered.upstream.received[0].body) == {**STREAM, "stream_options": {"include_usage": True}}
    assert counters(store, KEY)[TOKENS] == 10


def test_a_client_that_asks_for_usage_sees_it(metered: Gateway, store: Emulator) -> None:
    metered.upstream.chunks = WITH_USAGE
    raw = json.dumps({**STREAM, "stream_options": {"include_usage": True}}, indent=1)
    assert metered.post(raw).body == b"".join(WITH_USAGE)
    assert metered.upstream.received[0].body == raw.encode()
    assert counters(store, KEY)[TOKENS] == 10


def test_an_upstream_that_may_not_be_asked_is_estimated(
    make: MakeGateway, store: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = make(now=frozen, SALLYPORT_TOKENS_PER_MINUTE="100000", SALLYPORT_STREAM_USAGE="disabled")
    gateway.upstream.chunks = WITHOUT_USAGE
    raw = json.dumps(STREAM, indent=1)
    gateway.post(raw)
    assert gateway.upstream.received[0].body == raw.encode()
    line = logged(capsys)["request"]
    assert line["usage_estimated"] is True
    assert counters(store, KEY)[TOKENS] == line["input_tokens"] + line["output_tokens"]
    assert (line["input_tokens"], 1 <= line["output_tokens"] <= 4) == (PROMPT, True)


@pytest.mark.parametrize("seen", [1, 2])
def test_a_stream_that_is_cut_is_charged_for_what_was_seen(metered: Gateway, store: Emulator, seen: int) -> None:
    metered.upstream.chunks, metered.upstream.cut = WITH_USAGE[:seen], True
    assert metered.post(STREAM).broke_off
    assert PROMPT < counters(store, KEY)[TOKENS] <= PROMPT + 2 * seen


def test_a_client_that_hangs_up_pays_for_what_was_seen(metered: Gateway, store: Emulator) -> None:
    metered.upstream.chunks = WITH_USAGE
    response, context = begin(metered, STREAM)
    next(iter(response.body))
    response.body.close()  # type: ignore[attr-defined]  # as the runtime does
    context.finish()
    assert PROMPT < counters(store, KEY)[TOKENS] <= 100


@pytest.mark.parametrize("taken", [0, 1])
def test_a_client_that_hangs_up_on_a_json_answer_pays_for_all_of_it(
    metered: Gateway, store: Emulator, taken: int
) -> None:
    text = [{"message": {"content": "x" * 300_000}}]
    metered.upstream.body = json.dumps({"choices": text, "usage": USAGE}).encode()
    response, context = begin(metered, CHAT)
    for _ in zip(range(taken), response.body, strict=False):
        pass
    response.body.close()  # type: ignore[attr-defined]  # as the runtime does
    context.finish()
    assert counters(store, KEY) == {TOKENS: 10, REQUESTS: 1}


def test_an_answer_that_nobody_reads_is_settled_all_the_same(metered: Gateway, store: Emulator) -> None:
    metered.upstream.chunks = WITH_USAGE
    response, context = begin(metered, STREAM)
    response.body.close()  # type: ignore[attr-defined]
    context.finish()
    assert counters(store, KEY) == {TOKENS: PROMPT, REQUESTS: 1}
    assert total(store)["requests"] == 1


@pytest.mark.parametrize("status", [400, 404, 429, 401, 500, 503])
def test_what_the_upstream_refuses_costs_a_request_and_no_tokens(
    metered: Gateway, store: Emulator, status: int
) -> None:
    metered.upstream.status, metered.upstream.body = status, b'{"error": {"message": "no"}}'
    metered.post(CHAT)
    assert counters(store, KEY) == {TOKENS: 0, REQUESTS: 1}


def test_an_upstream_that_is_down_costs_a_request_and_no_tokens(make: MakeGateway, store: Emulator) -> None:
    changes = {"SALLYPORT_TOKENS_PER_MINUTE": "100000", "SALLYPORT_UPSTREAM_BASE_URL": refused_url()}
    assert make(now=frozen, **changes).post(CHAT).code == "upstream_unreachable"
    assert counters(store, KEY) == {TOKENS: 0, REQUESTS: 1}


def test_an_upstream_that_took_the_prompt_and_stays_silent_costs_the_prompt(make: MakeGateway, store: Emulator) -> None:
    changes = {"SALLYPORT_TOKENS_PER_MINUTE": "100000", "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "0.3"}
    gateway = make(now=frozen, **changes)
    gateway.upstream.silent = True
    assert gateway.post(CHAT).code == "upstream_timeout"
    assert counters(store, KEY) == {TOKENS: PROMPT, REQUESTS: 1}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_none_of_this_api_costs_the_prompt(metered: Gateway, store: Emulator, stream: bool) -> None:
    metered.upstream.body = b"garbage"
    assert metered.post({**CHAT, "stream": stream}).code == "upstream_invalid_response"
    assert counters(store, KEY) == {TOKENS: PROMPT, REQUESTS: 1}


class HurriedContext(Context):
    """A context whose time is used up by the time that a request is admitted."""

    def __init__(self) -> None:
        super().__init__()
        self._left_ms = [1_900, 60_000, 60_000, 60_000]

    def get_remaining_time_in_millis(self) -> int:
        return self._left_ms.pop() if len(self._left_ms) > 1 else self._left_ms[0]


def test_a_request_that_was_admitted_too_late_costs_nothing(metered: Gateway, store: Emulator) -> None:
    assert metered.post(CHAT, HurriedContext()).code == "gateway_timeout"
    assert metered.upstream.received == []
    assert counters(store, KEY) == {TOKENS: 0, REQUESTS: 0}
    assert total(store) == {}


@pytest.mark.parametrize("extra", [{"n": 2.0, "max_tokens": 50.0}, {"functions": [{"name": "f"}], "tools": None}])
def test_odd_numbers_and_fields_are_reckoned_with(metered: Gateway, extra: dict[str, Any]) -> None:
    assert metered.post({**CHAT, **extra}).status == 200


@pytest.mark.parametrize("field", ["functions", "tools", "prediction", "response_format", "audio", "metadata"])
@pytest.mark.parametrize("value", [5, "x", [5], {"a": 5}, True])
def test_no_field_of_the_clients_breaks_the_estimate(metered: Gateway, field: str, value: Any) -> None:
    assert metered.post({**CHAT, field: value}).status in {200, 400}


def test_an_answer_without_a_length_is_reserved_its_model_s_or_the_stack_s(make: MakeGateway, store: Emulator) -> None:
    apply_policy(store, "models: {gpt-a: {max_output_tokens: 100}, gpt-b: {}}")
    gateway = make(now=frozen, SALLYPORT_TOKENS_PER_MINUTE="100000", SALLYPORT_MAX_OUTPUT_TOKENS="300")
    for model, reserved in (("gpt-a", 100), ("gpt-b", 300)):
        answered = gateway.post({**CHAT, "model": model})
        assert int(answered.headers["x-ratelimit-remaining-tokens"]) <= 100_000 - PROMPT - reserved
    assert gateway.post({**CHAT, "model": "gpt-c"}).code == "model_not_found"


def test_a_request_that_alone_is_over_a_limit_is_told_so_at_once(make: MakeGateway, store: Emulator) -> None:
    gateway = make(now=frozen, SALLYPORT_TOKENS_PER_MINUTE="400")
    answered = gateway.post({**CHAT, "max_tokens": 500})
    assert (answered.status, answered.code) == (413, "request_over_limit")
    assert "500" in json.loads(answered.body)["error"]["message"]
    assert "retry-after" not in answered.headers
    assert counters(store, KEY) == {}
    assert gateway.upstream.received == []


def test_a_limit_on_tokens_refuses_what_is_reserved_and_says_when_it_frees(
    make: MakeGateway, store: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = make(now=frozen, SALLYPORT_TOKENS_PER_MINUTE="600")
    response, context = begin(gateway, {**CHAT, "max_tokens": 400})
    refused = gateway.post({**CHAT, "max_tokens": 400})
    assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    assert refused.headers["x-sallyport-limit"] == logged(capsys)["request"]["limit"] == "key-tokens-1m"
    assert int(refused.headers["retry-after"]) >= 1
    assert list(response.body)
    context.finish()
    assert counters(store, KEY)[REQUESTS] == 1


CAP = "limits: [{scope: key, unit: tokens, limit: 5000, window: 1m, enforce_cap: true}]\n"


@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
def test_what_was_reserved_goes_upstream_as_the_cap(make: MakeGateway, store: Emulator, own: str) -> None:
    apply_policy(store, CAP + "models: {gpt-a: {max_output_tokens: 100}}")
    gateway = make()
    gateway.post({**CHAT, "n": 2})
    gateway.post({**CHAT, own: 5})
    sent = [json.loads(request.body) for request in gateway.upstream.received]
    assert sent == [{**CHAT, "n": 2, "max_completion_tokens": 100}, {**CHAT, own: 5}]


BUDGET = """
limits: [{scope: tenant, unit: usd, limit: 0.001, window: month}]
models:
  gpt-a: {max_output_tokens: 100, price: {input: 1, output: 4, cached_input: 0.5}}
"""


def test_a_budget_is_charged_what_was_used_at_the_model_s_price(
    make: MakeGateway, store: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    apply_policy(store, BUDGET)
    gateway = make(now=frozen)
    gateway.upstream.body = json.dumps({"usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 2}}}).encode()
    assert gateway.post(CHAT).status == 200
    nanodollars = 5 * 1000 + 2 * 500 + 3 * 4000
    assert list(counters(store, "tenant#acme").values()) == [nanodollars]
    assert logged(capsys)["request"]["usd"] == nanodollars / 1e9
    assert total(store) == {
        "requests": 1,
        "input_tokens": 7,
        "output_tokens": 3,
        "cached_input_tokens": 2,
        "nanodollars": nanodollars,
    }


def test_a_budget_that_is_used_up_is_no_matter_of_waiting(make: MakeGateway, store: Emulator) -> None:
    apply_policy(store, BUDGET)
    gateway = make(now=frozen)
    usage = {"prompt_tokens": 1000, "completion_tokens": 0}
    gateway.upstream.body = json.dumps({"usage": usage}).encode()
    answers = [gateway.post(CHAT) for _ in range(2)]
    assert [(answered.status, answered.headers.get("x-should-retry")) for answered in answers] == [
        (200, None),
        (429, "false"),
    ]
    assert answers[1].code == "insufficient_quota"


def test_a_budget_on_a_model_without_a_price_is_not_guessed(make: MakeGateway, store: Emulator) -> None:
    answered = make().post(CHAT, principal=ACME._replace(limits=(parse_limit("usd=1/month"),)))
    assert (answered.status, answered.code) == (403, "model_not_allowed")
    assert store.dynamodb.scan(TableName=COUNTERS_TABLE)["Count"] == 0


def test_a_refusal_by_a_wide_scope_leaves_nothing_charged_to_a_narrow_one(make: MakeGateway, store: Emulator) -> None:
    gateway = make(now=frozen, SALLYPORT_TENANT_REQUESTS_PER_MINUTE="1", SALLYPORT_TOKENS_PER_MINUTE="100000")
    gateway.post(CHAT)
    before = counters(store, KEY)
    other = ACME._replace(key_id="KeyId00000000002")
    refused = gateway.post(CHAT, principal=other)
    assert (refused.status, refused.headers["x-sallyport-limit"]) == (429, "tenant-requests-1m")
    assert set(counters(store, "key#KeyId00000000002").values()) <= {0}
    assert counters(store, KEY) == before


def test_an_address_is_the_one_that_the_authorizer_judged_by(make: MakeGateway, store: Emulator) -> None:
    gateway = make(now=frozen, SALLYPORT_IP_REQUESTS_PER_MINUTE="1")
    behind_proxy = ACME._replace(source_ip="2001:db8:0:1::7")
    assert gateway.post(CHAT, principal=behind_proxy).status == 200
    assert gateway.post(CHAT, principal=behind_proxy._replace(source_ip="2001:db8:0:1::8")).status == 429
    assert gateway.post(CHAT).status == 200
    assert gateway.post(CHAT).status == 429
    assert list(counters(store, "ip#198.51.100.7").values()) == [1]


def test_a_place_is_taken_until_the_answer_is_over(make: MakeGateway) -> None:
    gateway = make(SALLYPORT_CONCURRENT_REQUESTS="1")
    response, context = begin(gateway, CHAT)
    refused = gateway.post(CHAT)
    assert (refused.status, refused.headers["x-sallyport-limit"]) == (429, "key-concurrent")
    assert refused.headers["retry-after"] == "1"
    assert list(response.body)
    context.finish()
    assert gateway.post(CHAT).status == 200


def test_totals_count_what_was_forwarded_and_nothing_else(metered: Gateway, store: Emulator) -> None:
    metered.post(CHAT)
    metered.upstream.status = 404
    metered.post({**CHAT, "model": "no-such-model"})
    metered.post({**CHAT, "temperature": 9})
    assert total(store)["requests"] == 1
    assert total(store, "other") == {
        "requests": 1,
        "input_tokens": 0,
        "output_tokens": 0,
        "cached_input_tokens": 0,
        "nanodollars": 0,
    }


def test_without_a_rule_on_tokens_nothing_is_reserved_and_totals_have_the_usage(
    make: MakeGateway, store: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = make(now=frozen)
    gateway.upstream.chunks = WITH_USAGE
    gateway.post(STREAM)
    assert set(logged(capsys)) == {"audit", "request"}
    assert (total(store)["input_tokens"], total(store)["output_tokens"]) == (7, 3)
    assert counters(store, KEY) == {REQUESTS: 1}


def test_an_applied_limit_is_in_force_soon(make: MakeGateway, store: Emulator) -> None:
    now_s = [NOW_S]
    gateway = make(now=lambda: now_s[0])
    assert gateway.post(CHAT).headers["x-ratelimit-limit-requests"] == "1000"
    apply_policy(store, "limits: [{scope: key, unit: requests, limit: 5, window: 1m}]")
    now_s[0] += 11
    assert gateway.post(CHAT).headers["x-ratelimit-limit-requests"] == "5"


def test_a_stream_that_the_deadline_ends_is_settled(metered: Gateway, store: Emulator) -> None:
    metered.upstream.chunks = EVENTS
    context = Context(remaining_ms=2_500)
    response = metered.begin(STREAM, context)
    next(iter(response.body))
    context.finish()
    assert counters(store, KEY)[TOKENS] < 100
