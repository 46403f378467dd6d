"""A limit in words, for those who compare documents or look at what is in force."""

from __future__ import annotations

from typing import Final

from sallyport.policy.limit_rules import LimitRule
from sallyport.policy.limit_texts import amount_text

_WORDS: Final = {"input_tokens": "input tokens", "output_tokens": "output tokens"}


def describe_rule(rule: LimitRule | None) -> str:
    """Give a limit in a line, such as `60 requests in 1m for each key`; None: `lifted`."""
    if rule is None:
        return "lifted"
    parts = (f"{amount_in_words(rule)} {_scope(rule)}", *_matches(rule), *_manners(rule))
    return ", ".join(parts)


def amount_in_words(rule: LimitRule) -> str:
    """Give how much, such as `$20 in a month`, `60 requests in 1m`, `4 requests at a time`."""
    if rule.unit == "concurrent":
        return f"{rule.limit} requests at a time"
    window = f"a {rule.window.text}" if rule.window.calendar else rule.window.text
    if rule.unit == "usd":
        return f"${amount_text('usd', rule.limit)} in {window}"
    return f"{rule.limit} {_WORDS.get(rule.unit, rule.unit)} in {window}"


def _scope(rule: LimitRule) -> str:
    return "for all together" if rule.scope == ("global",) else f"for each {' and '.join(rule.scope)}"


def _matches(rule: LimitRule) -> list[str]:
    fields = zip(("routes", "models", "tenants", "scopes"), rule.match, strict=True)
    return [f"of the {name} {' '.join(values)}" for name, values in fields if values]


def _manners(rule: LimitRule) -> list[str]:
    manners = []
    if rule.on_store_failure != ("deny" if rule.unit == "usd" else "allow"):
        manners.append("refusing" if rule.on_store_failure == "deny" else "allowing")
        manners[0] += " while it can't be counted"
    return [*manners, "enforced upstream"] if rule.enforce_cap else manners
