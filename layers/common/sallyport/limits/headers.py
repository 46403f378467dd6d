"""A decision as response headers: OpenAI's `x-ratelimit-*`, and the IETF's `RateLimit` and `RateLimit-Policy`.

Sources: OpenAI's rate limit guide; draft-ietf-httpapi-ratelimit-headers-10.
"""

from sallyport.limits.rules import Decision, RuleState


def limit_headers(decision: Decision) -> dict[str, str]:
    """Give the headers for every answer to a request that was counted, the refused ones with `Retry-After` besides."""
    headers: dict[str, str] = {}
    for unit in dict.fromkeys(state.rule.unit for state in decision.states):
        tightest = min((s for s in decision.states if s.rule.unit == unit), key=lambda state: state.remaining)
        headers[f"x-ratelimit-limit-{unit}"] = str(tightest.rule.limit)
        headers[f"x-ratelimit-remaining-{unit}"] = str(tightest.remaining)
        headers[f"x-ratelimit-reset-{unit}"] = _go_duration(tightest.reset_ms)
    headers["ratelimit-policy"] = ", ".join(_policy(state) for state in decision.states)
    headers["ratelimit"] = ", ".join(_usage(state) for state in decision.states)
    if decision.refused_by is not None:
        headers |= retry_headers(decision.refused_by.retry_ms)
    return headers


def retry_headers(retry_ms: int) -> dict[str, str]:
    """Give `Retry-After` in whole seconds, at least 1, and OpenAI's `retry-after-ms`."""
    return {"retry-after": str(_seconds(max(retry_ms, 1))), "retry-after-ms": str(retry_ms)}


def _policy(state: RuleState) -> str:
    return f'"{state.rule.scope}-{state.rule.name}";q={state.rule.limit};w={state.rule.window_s}'


def _usage(state: RuleState) -> str:
    return f'"{state.rule.scope}-{state.rule.name}";r={state.remaining};t={_seconds(state.reset_ms)}'


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)


def _go_duration(milliseconds: int) -> str:
    """OpenAI writes these as Go does: 450ms, 12s, 1m30s."""
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, seconds = divmod(_seconds(milliseconds), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
