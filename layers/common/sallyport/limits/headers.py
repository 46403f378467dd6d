"""How limits stand, as response headers: in the words of the route's SDK, and in the IETF's.

OpenAI's `x-ratelimit-*` has requests and tokens; where no rule counts tokens as such, those of the tightest rule on
input or output tokens stand there. On /v1/messages Anthropic's `anthropic-ratelimit-*` stand instead, with all four
units. Of several rules of a unit the one with the least left is shown. Sources: OpenAI's rate limit guide, Anthropic's
"Rate limits" page, draft-ietf-httpapi-ratelimit-headers-10 (its quota units are requests, content-bytes and
concurrent-requests; `tokens`, `input-tokens`, `output-tokens` and `nanodollars` are ours).

What all tenants share tells one of them about the others, so it is shown only where it refused.
"""

import time
from collections.abc import Iterable, Sequence

from sallyport.limits.rules import RuleState

MAX_SHOWN_RULES = 10
"""In the IETF's fields: API Gateway's headers have 10 KB in all, and a rule takes up to 250 bytes."""

_OWN_PARTS = frozenset({"key", "subject", "ip", "tenant"})
_ANTHROPIC_UNITS = {
    "requests": "requests",
    "tokens": "tokens",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
}
_QUOTA_UNITS = {
    "tokens": "tokens",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
    "usd": "nanodollars",
    "concurrent": "concurrent-requests",
}
_MAX_INTEGER = 999_999_999_999_999
"""Of a structured field (RFC 9651, section 3.3.1)."""
_MAX_NAME_LENGTH = 64
_DAY_S = 86_400


def limit_headers(states: Iterable[RuleState], refused_by: RuleState | None, path: str, now_s: float) -> dict[str, str]:
    """Give the headers for every answer to a request that was counted or refused; under 5 KB.

    A refused one has `Retry-After`, `retry-after-ms` and in `x-sallyport-limit` the name of the rule besides. Where
    waiting can't help, no counter was asked: then there is the rule alone, not how it stands. `path` is the request's,
    `now_s` the wall clock.
    """
    shown = [state for state in states if _is_shown(state, refused_by)]
    if refused_by is not None and refused_by not in shown:
        shown.append(refused_by)
    shown.sort(key=lambda state: _tightness(state, refused_by))
    if refused_by is None:
        return _standings(shown, path, now_s)
    named = {"x-sallyport-limit": _plain(refused_by.rule.name)}
    if refused_by.retry_ms is None:
        return {**_policies(shown), **named}
    return {**_standings(shown, path, now_s), **named, **retry_headers(refused_by.retry_ms)}


def retry_headers(retry_ms: int) -> dict[str, str]:
    """Give `Retry-After` in whole seconds, at least 1, and OpenAI's `retry-after-ms`."""
    return {"retry-after": str(max(_seconds(retry_ms), 1)), "retry-after-ms": str(max(retry_ms, 1))}


def _standings(shown: Sequence[RuleState], path: str, now_s: float) -> dict[str, str]:
    headers = _anthropic(shown, now_s) if _is_anthropic(path) else _openai(shown)
    usage = {"ratelimit": ", ".join(map(_standing, shown[:MAX_SHOWN_RULES]))} if shown else {}
    return {**headers, **_policies(shown), **usage}


def _policies(shown: Sequence[RuleState]) -> dict[str, str]:
    return {"ratelimit-policy": ", ".join(map(_policy, shown[:MAX_SHOWN_RULES]))} if shown else {}


def _is_anthropic(path: str) -> bool:
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def _is_shown(state: RuleState, refused_by: RuleState | None) -> bool:
    if not _OWN_PARTS.isdisjoint(state.rule.scope):
        return True
    return refused_by is not None and state.rule == refused_by.rule


def _tightness(state: RuleState, refused_by: RuleState | None) -> tuple[bool, float, int]:
    """Order by what is left, in proportion; the rule that refused comes before all."""
    refused = refused_by is not None and state.rule == refused_by.rule
    return not refused, state.remaining / max(state.rule.limit, 1), -state.reset_ms


def _tightest(states: Sequence[RuleState], *units: str) -> RuleState | None:
    """Give the state with the least left in any of the units; of those that are sorted alike, the first."""
    return min((state for state in states if state.rule.unit in units), key=lambda state: state.remaining, default=None)


def _openai(states: Sequence[RuleState]) -> dict[str, str]:
    tokens = _tightest(states, "tokens") or _tightest(states, "input_tokens", "output_tokens")
    headers: dict[str, str] = {}
    for unit, state in (("requests", _tightest(states, "requests")), ("tokens", tokens)):
        if state is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(state.rule.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(state.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = _go_duration(state.reset_ms)
    return headers


def _anthropic(states: Sequence[RuleState], now_s: float) -> dict[str, str]:
    headers: dict[str, str] = {}
    for unit, word in _ANTHROPIC_UNITS.items():
        state = _tightest(states, unit)
        if state is not None:
            headers[f"anthropic-ratelimit-{word}-limit"] = str(state.rule.limit)
            headers[f"anthropic-ratelimit-{word}-remaining"] = str(state.remaining)
            headers[f"anthropic-ratelimit-{word}-reset"] = _utc(now_s, state.reset_ms)
    return headers


def _policy(state: RuleState) -> str:
    """Give one item of `RateLimit-Policy`. A month has no number of seconds, so it stands without a window."""
    rule = state.rule
    window_s = _DAY_S if rule.window.calendar == "day" else rule.window.length_s
    window = f";w={window_s}" if window_s else ""
    unit = f';qu="{_QUOTA_UNITS[rule.unit]}"' if rule.unit in _QUOTA_UNITS else ""
    return f"{_quoted(rule.name)};q={_integer(rule.limit)}{window}{unit}"


def _standing(state: RuleState) -> str:
    """Give one item of `RateLimit`."""
    return f"{_quoted(state.rule.name)};r={_integer(state.remaining)};t={_seconds(state.reset_ms)}"


def _quoted(name: str) -> str:
    """Write a structured field's string (RFC 9651, section 3.3.3)."""
    escaped = _plain(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(name: str) -> str:
    """Give a name as a header may carry it."""
    return "".join(char if " " <= char <= "~" else "?" for char in name[:_MAX_NAME_LENGTH])


def _integer(number: int) -> int:
    return min(max(number, 0), _MAX_INTEGER)


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)


def _utc(now_s: float, milliseconds: int) -> str:
    """Write the time in so many milliseconds, never too early, as RFC 3339 does."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_seconds(int(now_s * 1000) + milliseconds)))


def _go_duration(milliseconds: int) -> str:
    """OpenAI writes these as Go does: 450ms, 12s, 1m30s, 2h0m5s."""
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, seconds = divmod(_seconds(milliseconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
