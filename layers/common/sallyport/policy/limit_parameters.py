"""Limits as stack parameters say them, made into the same rules that a policy document holds.

Their names are what a document, a tenant or a key replaces them by, such as `key-requests-1m`.
"""

from typing import NamedTuple

from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, ModelRules, RouterRules, Window, rule_name

MINUTE = Window(60)


class LimitSettings(NamedTuple):
    """Limits of the whole stack; 0 is none, except that every key has one on requests.

    `store_failure`: what becomes of requests while the counters can't be asked, `allow` (counted in memory) or `deny`.
    `max_output_tokens`: reserved for an answer where neither the request nor its model says how long it may be.
    """

    requests_per_minute: int
    tokens_per_minute: int = 0
    concurrent_requests: int = 0
    tenant_requests_per_minute: int = 0
    tenant_tokens_per_minute: int = 0
    ip_requests_per_minute: int = 0
    store_failure: str = "allow"
    max_output_tokens: int = 16_384


def parameter_rules(settings: LimitSettings, models: tuple[str, ...] = ()) -> RouterRules:
    """Give what a route goes by where no document says otherwise. No `models`: every model that the upstream knows."""
    minutely = (
        ("key", "requests", settings.requests_per_minute),
        ("key", "tokens", settings.tokens_per_minute),
        ("ip", "requests", settings.ip_requests_per_minute),
        ("tenant", "requests", settings.tenant_requests_per_minute),
        ("tenant", "tokens", settings.tenant_tokens_per_minute),
    )
    limits = [_rule(scope, unit, limit, MINUTE, settings) for scope, unit, limit in minutely if limit]
    if settings.concurrent_requests:
        limits.append(_rule("key", "concurrent", settings.concurrent_requests, NO_WINDOW, settings))
    return RouterRules(
        version=0,
        limits=tuple(limits),
        tenant_limits={},
        models={name: ModelRules() for name in models} if models else None,
    )


def _rule(scope: str, unit: str, limit: int, window: Window, settings: LimitSettings) -> LimitRule:
    name = rule_name((scope,), unit, window)
    return LimitRule(name, (scope,), unit, limit, window, on_store_failure=settings.store_failure)
