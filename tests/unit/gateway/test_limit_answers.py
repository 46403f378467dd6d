"""What a client reads when a limit refused it."""

import pytest

from sallyport.errors import (
    ModelNotAllowedError,
    QuotaExceededError,
    RateLimitExceededError,
    RequestOverLimitError,
    SallyportError,
)
from sallyport.gateway.answers import error_headers
from sallyport.gateway.limit_answers import check_priced, refusal
from sallyport.limits.cost import reserved_cost
from sallyport.limits.rules import Cost, Decision, RuleState
from sallyport.limits.selection import Demand
from sallyport.policy.limit_rules import NANODOLLARS, NO_WINDOW, LimitRule, Price, Window

NOW_S = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
MINUTE = Window(60)
PRICE = Price(2_500_000, 10_000_000, 2_500_000)


def rule(unit: str, limit: int, window: Window = MINUTE, scope: str = "key") -> LimitRule:
    return LimitRule("the-rule", tuple(scope.split("+")), unit, limit, window)


def refused(limit: LimitRule, retry_ms: int | None, cost: Cost | None = None, remaining: int = 0) -> SallyportError:
    state = RuleState(limit, remaining, 0, retry_ms)
    demand = Demand("chat_completions", "m", "acme", (), {}, cost or reserved_cost(1000, 4096, PRICE), 60.0)
    return refusal(Decision(admitted=False, states=(state,), refused_by=state), demand, NOW_S)


@pytest.mark.parametrize(
    ("limit", "retry_ms", "message"),
    [
        (
            rule("requests", 60),
            12_345,
            'Rate limit reached: "the-rule" allows 60 requests in 1 minute for this credential. '
            "Try again in 13 seconds.",
        ),
        (
            rule("tokens", 1_000_000, Window(7200), "tenant+model"),
            1,
            'Rate limit reached: "the-rule" allows 1,000,000 tokens in 2 hours for this tenant and this model. '
            "Try again in 1 second.",
        ),
        (
            rule("requests", 1, Window(calendar="day"), "ip"),
            3_600_000,
            'Rate limit reached: "the-rule" allows 1 request in a day (UTC) for this address. '
            "Try again at 2027-01-15 09:00:00 UTC.",
        ),
        (
            rule("concurrent", 4, NO_WINDOW, "global"),
            1000,
            'Rate limit reached: "the-rule" allows 4 requests at a time for the whole gateway. Try again in 1 second.',
        ),
    ],
)
def test_refusal_says_rule_limit_and_time(limit: LimitRule, retry_ms: int, message: str) -> None:
    error = refused(limit, retry_ms)
    assert type(error) is RateLimitExceededError
    assert error.message == message
    assert "x-should-retry" not in error_headers(error, {})


def test_refusal_by_a_budget_is_a_quota() -> None:
    error = refused(rule("usd", 12_340_000_000, Window(calendar="month"), "tenant"), 86_400_000)
    assert type(error) is QuotaExceededError
    assert (error.status, error.code, error.kind) == (429, "insufficient_quota", "insufficient_quota")
    assert error.message == (
        'Budget used up: "the-rule" allows $12.34 in a month (UTC) for this tenant. It fits at 2027-01-16 08:00:00 UTC.'
    )
    assert error_headers(error, {"a": "b"}) == {"a": "b", "x-should-retry": "false"}


def test_refusal_with_something_left_says_what_is_needed() -> None:
    limit = rule("usd", 12_340_000_000, Window(calendar="month"), "tenant")
    message = refused(limit, 86_400_000, remaining=10_000_000).message
    assert message == (
        'Budget too low for this request: "the-rule" allows $12.34 in a month (UTC) for this tenant. $0.01 are left, '
        "and this request needs up to $0.04346; a lower max_completion_tokens (or max_tokens) needs less. "
        "It fits at 2027-01-16 08:00:00 UTC."
    )


def test_request_that_alone_is_over_a_limit_says_what_to_lower() -> None:
    error = refused(rule("tokens", 5000), None)
    assert type(error) is RequestOverLimitError
    assert (error.status, error.code, error.kind) == (413, "request_over_limit", "invalid_request_error")
    assert error.message == (
        'This request alone is over a limit: "the-rule" allows 5,000 tokens in 1 minute for this credential; it needs '
        "5,096 tokens. Its prompt is estimated at 1,000 tokens, and 4,096 are reserved for its answer. "
        "Shorten the prompt, or lower max_completion_tokens (or max_tokens) or n."
    )
    assert error_headers(error, {})["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("limit", "cost", "advice"),
    [
        (rule("input_tokens", 5), None, "Send less in one request."),
        (rule("output_tokens", 5), None, "Lower max_completion_tokens (or max_tokens) or n."),
        (rule("tokens", 5), reserved_cost(9, 0, None), "9 tokens. Send less in one request."),
        (rule("usd", 5), None, "needs $0.04346. Its"),
    ],
)
def test_request_over_a_limit_has_advice_for_its_unit(limit: LimitRule, cost: Cost | None, advice: str) -> None:
    assert advice in refused(limit, None, cost).message


@pytest.mark.parametrize("unit", ["requests", "concurrent"])
def test_limit_of_nothing_is_a_quota(unit: str) -> None:
    error = refused(rule(unit, 0), None)
    assert type(error) is QuotaExceededError
    assert error.message.startswith('No request is allowed: "the-rule" allows 0 requests')


@pytest.mark.parametrize(
    ("nanodollars", "text"),
    [
        (20 * NANODOLLARS, "$20.00"),
        (1_500_000_000, "$1.50"),
        (1_234_567_000_000_000, "$1,234,567.00"),
        (12_345_678, "$0.012345678"),
        (0, "$0.00"),
    ],
)
def test_money_is_written_exactly(nanodollars: int, text: str) -> None:
    assert f"allows {text} in" in refused(rule("usd", nanodollars), 1).message


def test_refusal_of_what_was_admitted_is_a_mistake() -> None:
    demand = Demand("embeddings", "m", "acme", (), {}, {}, 60.0)
    with pytest.raises(ValueError, match="isn't a refusal"):
        refusal(Decision(admitted=True, states=()), demand, NOW_S)


def test_budget_on_a_model_without_a_price_is_refused() -> None:
    rules = [rule("requests", 1), rule("usd", 1)]
    with pytest.raises(ModelNotAllowedError, match="no price"):
        check_priced(rules, None)
    check_priced(rules, PRICE)
    check_priced(rules[:1], None)
