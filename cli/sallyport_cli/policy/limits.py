"""The document's limits: what each may say, and the rule that one is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Self

from pydantic import Field, model_validator

from sallyport.policy.limit_rules import (
    NO_WINDOW,
    UNITS,
    LimitMatch,
    LimitRule,
    Window,
    parse_window,
    rule_name,
)
from sallyport_cli.policy import limit_types as kinds
from sallyport_cli.policy.problems import at
from sallyport_cli.policy.sections import Section
from sallyport_cli.policy.yaml_reading import Path

CAPPED_UNITS: Final = ("tokens", "output_tokens", "usd")
"""Units of which the answer's length is a part."""
UNCOUNTED_ROUTES: Final = frozenset({"count_tokens", "apps"})
"""Routes of which requests alone are counted."""
ROUTES_WITHOUT_ANSWER: Final = UNCOUNTED_ROUTES | {"embeddings"}
"""Routes whose answers aren't made of tokens."""


class TenantMatch(Section):
    """Which of a tenant's requests a limit counts."""

    routes: kinds.Routes = Field(default=(), description="Such as chat_completions. Empty: all.")
    models: kinds.ModelNames = Field(default=(), description="Models. Empty: all.")
    scopes: kinds.CallerScopes = Field(default=(), description="Credentials that have one of these scopes. Empty: all.")


class Match(TenantMatch):
    """Which requests a limit counts."""

    tenants: kinds.TenantNames = Field(default=(), description="Tenants. Empty: all.")


class Limit(Section):
    """At most so much of a unit in any window, for each member of a scope."""

    name: kinds.RuleName | None = Field(default=None, description="Unique; made of scope, unit and window if left out.")
    scope: kinds.ScopeParts = Field(description="What is counted apart: one, or several in combination.")
    unit: kinds.Unit = Field(description="What is counted.")
    limit: kinds.Amount = Field(description="How much. Of usd: US dollars, with at most nine decimals.")
    window: kinds.WindowText | None = Field(default=None, description="1s to 31d, day or month. Not of concurrent.")
    match: Match = Field(default=Match(), description="Which requests count. Without it: all.")
    on_store_failure: kinds.StoreFailure | None = Field(
        default=None, description="While it can't be counted: allow, or deny. Default: deny of usd, else allow."
    )
    enforce_cap: bool = Field(default=False, description="Whether what was reserved for an answer caps it upstream.")

    @property
    def rule_name(self) -> str:
        """What it is called, given or made."""
        return self.name or rule_name(self.scope, self.unit, _window(self.window))

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = list(_problems(self))
        if problems:
            raise at(*problems)
        return self

    def as_rule(self) -> LimitRule:
        """Give the rule."""
        match = self.match
        return LimitRule(
            name=self.rule_name,
            scope=self.scope,
            unit=self.unit,
            limit=kinds.whole_amount(self.unit, self.limit),
            window=_window(self.window),
            match=LimitMatch(match.routes, match.models, match.tenants, match.scopes),
            on_store_failure=self.on_store_failure or ("deny" if self.unit == "usd" else "allow"),
            enforce_cap=self.enforce_cap,
        )


class TenantLimit(Section):
    """A tenant's own limit, instead of the general one of its name or beside the others; `limit: none` lifts one."""

    name: kinds.RuleName | None = Field(default=None, description="That of the limit to replace or lift, or a new one.")
    scope: kinds.ScopeParts | None = Field(default=None, description="What is counted apart.")
    unit: kinds.Unit | None = Field(default=None, description="What is counted.")
    limit: kinds.AmountOrLifted = Field(description="How much; none: without the general limit of this name.")
    window: kinds.WindowText | None = Field(default=None, description="1s to 31d, day or month. Not of concurrent.")
    match: TenantMatch = Field(default=TenantMatch(), description="Which requests count. Without it: all.")
    on_store_failure: kinds.StoreFailure | None = Field(default=None, description="While it can't be counted.")
    enforce_cap: bool = Field(default=False, description="Whether what was reserved for an answer caps it upstream.")

    @property
    def rule_name(self) -> str:
        """What it is called, given or made."""
        return self.name or rule_name(self.scope or (), self.unit or "", _window(self.window))

    @property
    def is_lifted(self) -> bool:
        """Whether the limit of this name is lifted."""
        return self.limit is None

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = list(_lifting_problems(self) if self.is_lifted else _own_problems(self))
        if problems:
            raise at(*problems)
        return self

    def as_rule(self) -> LimitRule | None:
        """Give the rule, None where it lifts one."""
        if self.limit is None or self.scope is None or self.unit is None:
            return None
        return self.as_limit().as_rule()

    def as_limit(self) -> Limit:
        """Give the same as a limit of the document's top."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        match = Match.model_construct(**{name: getattr(self.match, name) for name in TenantMatch.model_fields})
        return Limit.model_construct(**{**fields, "match": match})


def rules_of(limits: Sequence[Limit | TenantLimit]) -> dict[str, LimitRule | None]:
    """Give the rules by name, None for one that is lifted."""
    return {limit.rule_name: limit.as_rule() for limit in limits}


def _problems(limit: Limit) -> Iterator[tuple[Path, str]]:
    """Tell what the fields of a limit ask of one another."""
    try:
        kinds.whole_amount(limit.unit, limit.limit)
    except ValueError as error:
        yield ("limit",), str(error)
    if limit.unit == "concurrent" and limit.window is not None:
        yield ("window",), "doesn't go with concurrent, which counts what is under way"
    elif limit.unit != "concurrent" and limit.window is None:
        yield ("window",), "is missing"
    if _is_of_a_key(limit.name or "") and limit.name != rule_name(limit.scope, limit.unit, _window(limit.window)):
        yield ("name",), "is one that a key's own limit may have, and that would stand in the place of this one"
    if limit.enforce_cap and limit.unit not in CAPPED_UNITS:
        yield ("enforce_cap",), f"goes with {', '.join(CAPPED_UNITS)} alone"
    if limit.match.routes:
        yield from _vain(limit, set(limit.match.routes))


def _vain(limit: Limit, routes: set[str]) -> Iterator[tuple[Path, str]]:
    """Tell of limits on routes that have nothing of what is counted or capped."""
    named = " and ".join(sorted(routes))
    if routes <= UNCOUNTED_ROUTES and limit.unit not in {"requests", "concurrent"}:
        yield ("match", "routes"), f"{named} alone have no {limit.unit}, so nothing would be limited"
    elif routes <= ROUTES_WITHOUT_ANSWER and limit.unit == "output_tokens":
        yield ("match", "routes"), f"{named} alone have no output_tokens, so nothing would be limited"
    elif routes <= ROUTES_WITHOUT_ANSWER and limit.enforce_cap:
        yield ("enforce_cap",), f"does nothing for {named} alone, which have no answer to cap"


def _is_of_a_key(name: str) -> bool:
    scope, _, rest = name.partition("-")
    return scope == "key" and rest.partition("-")[0] in UNITS


def _own_problems(limit: TenantLimit) -> Iterator[tuple[Path, str]]:
    missing = [name for name in ("scope", "unit") if getattr(limit, name) is None]
    yield from (((name,), "is missing") for name in missing)
    if not missing:
        yield from _problems(limit.as_limit())


def _lifting_problems(limit: TenantLimit) -> Iterator[tuple[Path, str]]:
    if limit.name is None and (limit.scope is None or limit.unit is None):
        yield ("name",), "is missing: which limit is lifted?"
    elif limit.name is None and limit.unit != "concurrent" and limit.window is None:
        yield ("window",), "is missing: it is a part of the name of the limit that is lifted"
    told = {"match", "on_store_failure", "enforce_cap"} & limit.model_fields_set
    yield from (((name,), "says nothing of a limit that is lifted") for name in sorted(told))


def _window(text: str | None) -> Window:
    return NO_WINDOW if text is None else parse_window(text)
