"""What a client is told when a limit refuses: which rule, what it allows, and when to come back."""

import time
from collections.abc import Iterable

from sallyport.errors import (
    ModelNotAllowedError,
    QuotaExceededError,
    RateLimitExceededError,
    RequestOverLimitError,
    SallyportError,
)
from sallyport.limits.rules import Cost, Decision, RuleState
from sallyport.limits.selection import Demand
from sallyport.policy.limit_rules import NANODOLLARS, SETTLED_UNITS, LimitRule, Price, Window

_LONG_WAIT_MS = 120_000
_UNIT_WORDS = {
    "requests": "requests",
    "tokens": "tokens",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
}
_SCOPE_WORDS = {
    "key": "this credential",
    "subject": "this user",
    "ip": "this address",
    "tenant": "this tenant",
    "model": "this model",
    "route": "this route",
    "global": "the whole gateway",
}
_SPANS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def refusal(decision: Decision, demand: Demand, now_s: float) -> SallyportError:
    """Give the error for a decision that isn't admitted; its headers are `limits.headers.limit_headers`' to add.

    `RequestOverLimitError` where the request alone is over the limit, `QuotaExceededError` for money, else
    `RateLimitExceededError`. `now_s` is the wall clock.
    """
    state = decision.refused_by
    if state is None:
        raise ValueError("the decision isn't a refusal")
    rule, retry_ms = state.rule, state.retry_ms
    if retry_ms is None:
        return _hopeless(rule, demand.cost)
    if rule.unit == "usd":
        what = "Budget used up" if state.remaining < 1 else "Budget too low for this request"
        return QuotaExceededError(
            f"{what}: {_allowed(rule)}.{_left(state, demand.cost)} {_when(retry_ms, now_s, 'It fits')}."
        )
    return RateLimitExceededError(
        f"Rate limit reached: {_allowed(rule)}.{_left(state, demand.cost)} {_when(retry_ms, now_s, 'Try again')}."
    )


def check_priced(rules: Iterable[LimitRule], price: Price | None) -> None:
    """Raise `ModelNotAllowedError` if one of the rules that count a request is on money and its model has no price."""
    if price is None and any(rule.unit == "usd" for rule in rules):
        raise ModelNotAllowedError("A budget applies to this request, and this model has no price.", param="model")


def _hopeless(rule: LimitRule, cost: Cost) -> SallyportError:
    if rule.unit not in SETTLED_UNITS:
        return QuotaExceededError(f"No request is allowed: {_allowed(rule)}.")
    return RequestOverLimitError(
        f"This request alone is over a limit: {_allowed(rule)}; it needs {_amount(cost.get(rule.unit, 0), rule.unit)}. "
        f"{_needs(cost)} {_advice(rule, cost)}"
    )


def _left(state: RuleState, cost: Cost) -> str:
    """Say what this request needs and what is left, where something is."""
    unit = state.rule.unit
    if unit not in SETTLED_UNITS or state.remaining < 1:
        return ""
    lower = "; a lower max_completion_tokens (or max_tokens) needs less" if cost.get("output_tokens", 0) else ""
    needs = _amount(cost.get(unit, 0), unit)
    return f" {_amount(state.remaining, unit)} are left, and this request needs up to {needs}{lower}."


def _needs(cost: Cost) -> str:
    prompt = f"Its prompt is estimated at {cost.get('input_tokens', 0):,} tokens"
    output = cost.get("output_tokens", 0)
    return f"{prompt}, and {output:,} are reserved for its answer." if output else f"{prompt}."


def _advice(rule: LimitRule, cost: Cost) -> str:
    if rule.unit == "input_tokens" or not cost.get("output_tokens", 0):
        return "Send less in one request."
    if rule.unit == "output_tokens":
        return "Lower max_completion_tokens (or max_tokens) or n."
    return "Shorten the prompt, or lower max_completion_tokens (or max_tokens) or n."


def _allowed(rule: LimitRule) -> str:
    """Say what a rule allows, and to whom."""
    whom = " and ".join(_SCOPE_WORDS[part] for part in rule.scope)
    if rule.unit == "concurrent":
        return f'"{rule.name}" allows {_counted(rule.limit, "request")} at a time for {whom}'
    return f'"{rule.name}" allows {_amount(rule.limit, rule.unit)} {_window(rule.window)} for {whom}'


def _amount(amount: int, unit: str) -> str:
    if unit == "usd":
        return _dollars(amount)
    words = _UNIT_WORDS[unit]
    return f"{amount:,} {words.removesuffix('s') if amount == 1 else words}"


def _dollars(nanodollars: int) -> str:
    """Write money with cents, and with as many digits more as it takes."""
    dollars, rest = divmod(nanodollars, NANODOLLARS)
    digits = f"{rest:09}".rstrip("0")
    return f"${dollars:,}.{digits:0<2}"


def _window(window: Window) -> str:
    if window.calendar:
        return f"in a {window.calendar} (UTC)"
    number, letter = window.text[:-1], window.text[-1]
    return f"in {_counted(int(number), _SPANS[letter])}"


def _when(retry_ms: int, now_s: float, what: str) -> str:
    """Say when, in seconds while one may well wait for it."""
    if retry_ms < _LONG_WAIT_MS:
        return f"{what} in {_counted(max(-(-retry_ms // 1000), 1), 'second')}"
    at_s = -(-(int(now_s * 1000) + retry_ms) // 1000)
    return f"{what} at {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(at_s))} UTC"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
