"""The document's canaries: what each may say, and the rules that they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from sallyport.policy.canary_rules import CanaryStep, GuardRules
from sallyport.policy.compiled_canaries import MAX_ALPHA, MAX_STEPS, MIN_ALPHA
from sallyport_cli.policy import canary_types as kinds
from sallyport_cli.policy.field_types import Model
from sallyport_cli.policy.limit_types import decimal_text
from sallyport_cli.policy.models import ModelTarget
from sallyport_cli.policy.problems import at
from sallyport_cli.policy.sections import Section
from sallyport_cli.policy.upstream_types import AppName
from sallyport_cli.policy.yaml_reading import Path

MAX_MIN_REQUESTS: Final = 10_000_000
MAX_MIN_SUBJECTS: Final = 500
"""More can't be told apart in the groups in which they are counted."""
MAX_MS: Final = 900_000
"""The longest answer that API Gateway lets pass."""

_USUAL: Final = GuardRules()
_FOR: Final = ("model", "models", "route", "routes", "app")
_OF_TARGETS_ELSEWHERE: Final = ("model", "regions", "price")

type Problems = Iterator[tuple[Path, str]]


class Step(Section):
    """One weight of a ramp."""

    weight: kinds.Percent = Field(description="Percent of those it is for, above 0, at most two decimals.")
    hold: kinds.Hold | None = Field(default=None, description="How long before the next step: 1m to 30d.")

    def as_step(self) -> CanaryStep:
        """Give the step."""
        return CanaryStep(kinds.hundredths(self.weight), kinds.hold_s(self.hold))


class CanaryMatch(Section):
    """Whom a canary is for; all that is said must be so."""

    tenants: kinds.MatchTenants = Field(default=(), description="Tenants. Without it: every one.")
    regions: kinds.MatchRegions = Field(default=(), description="Regions of this gateway. Without it: every one.")
    countries: kinds.MatchCountries = Field(default=(), description="Countries as CloudFront tells them.")
    claims: kinds.Claims = Field(default={}, description="Claims of a JWT with exactly these values.")
    headers: kinds.Headers = Field(default={}, description="Request headers with exactly these values.")

    @property
    def is_everyone(self) -> bool:
        """Whether it leaves nobody out."""
        return not (self.tenants or self.regions or self.countries or self.claims or self.headers)

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `sallyport.policy.canary_rules.CanaryMatch`."""
        return {
            "tenants": self.tenants,
            "regions": self.regions,
            "countries": self.countries,
            "claims": sorted(self.claims.items()),
            "headers": sorted(self.headers.items()),
        }


class Guard(Section):
    """When a canary is taken out."""

    false_alarm: float = Field(
        default=_USUAL.alpha, ge=MIN_ALPHA, le=MAX_ALPHA,
        description="The chance, of one step, that a canary as good as the stable arm is rolled back.",
    )  # fmt: skip
    max_error_increase: kinds.Share = Field(
        default=_USUAL.max_error_increase,
        description="So much more may fail, and be refused by the upstream; 0.02 is 2 of 100.",
    )
    min_requests: int = Field(
        default=_USUAL.min_requests, ge=1, le=MAX_MIN_REQUESTS, description="On both arms, before anything is decided."
    )
    min_subjects: int = Field(
        default=_USUAL.min_subjects, ge=1, le=MAX_MIN_SUBJECTS, description="The same, of those who stay on one arm."
    )
    slow_ms: int | None = Field(default=None, ge=1, le=MAX_MS, description="A request that takes longer is slow.")
    slow_first_token_ms: int | None = Field(
        default=None, ge=1, le=MAX_MS, description="A request whose first byte takes longer is slow to begin."
    )
    max_slow_increase: kinds.Share = Field(
        default=_USUAL.max_slow_increase, description="So much more of the requests may be slow, or slow to begin."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        looks = self.slow_ms is not None or self.slow_first_token_ms is not None
        if not looks and "max_slow_increase" in self.model_fields_set:
            raise at((("max_slow_increase",), "does nothing without slow_ms or slow_first_token_ms"))
        return self

    def as_json(self) -> dict[str, Any]:
        """Give the fields of `GuardRules`."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {"alpha": fields.pop("false_alarm"), **fields}


def _guard(value: object) -> object:
    """Take `off`, which YAML 1.1 and what wrote a JSON file may give as false."""
    return None if value is False or value == kinds.GUARD_OFF else value


def _or_off(schema: dict[str, Any]) -> None:
    schema["anyOf"].append({"enum": [kinds.GUARD_OFF, False]})
    schema["default"] = {name: value for name, value in schema["default"].items() if value is not None}


class Canary(Section):
    """Another target, or other parameters, for some of the requests."""

    name: kinds.CanaryName = Field(description="Unique; by it commands, headers and logs know it.")
    model: Model | None = Field(default=None, description="The model that it is for.")
    models: kinds.ModelNames = Field(default=(), description="Or several.")
    route: kinds.Route | None = Field(default=None, description="Or the route, whatever the model.")
    routes: kinds.RouteNames = Field(default=(), description="Or several.")
    app: AppName | None = Field(default=None, description="Or the app.")
    target: ModelTarget | None = Field(default=None, description="Where it is. Default: the stable targets.")
    parameters: kinds.Parameters = Field(default={}, description="Fields to set in the request's body.")
    weight: kinds.Percent | None = Field(default=None, description="Percent of those it is for, two decimals.")
    steps: Annotated[tuple[Step, ...], Field(strict=False)] = Field(
        default=(), max_length=MAX_STEPS, description="Or weights that follow one another."
    )
    sticky_by: kinds.StickyBy = Field(default="subject", description="Who stays on one arm.")
    match: CanaryMatch = Field(default=CanaryMatch(), description="Whom it is for. Without it: everyone.")
    start: kinds.Start = Field(default="applied", description="When it is applied, or by a command.")
    guard: Annotated[Guard | None, BeforeValidator(_guard)] = Field(
        default=Guard(), description="When it is taken out; off: nobody watches.", json_schema_extra=_or_off
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [*_kind_problems(self), *_arm_problems(self), *_weight_problems(self)]
        if problems:
            raise at(*problems)
        return self

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models that it is for."""
        return self.models if self.model is None else (self.model,)

    @property
    def route_names(self) -> tuple[str, ...]:
        """The routes that it is for."""
        return self.routes if self.route is None else (self.route,)

    @property
    def alias(self) -> str:
        """The one model that clients call, empty where it isn't one."""
        return self.model_names[0] if len(self.model_names) == 1 else ""

    def as_json(self, regions: Sequence[str] | None) -> dict[str, Any]:
        """Give the fields of `CanaryRules`, the target with these regions."""
        return {
            "name": self.name,
            "models": self.model_names,
            "routes": self.route_names,
            "apps": () if self.app is None else (self.app,),
            "target": None if self.target is None else self.target.as_json(None if regions is None else tuple(regions)),
            "parameters": {name: json.loads(text) for name, text in self.parameters.items()},
            "steps": [step.as_step()._asdict() for step in self.all_steps],
            "sticky_by": self.sticky_by,
            "match": self.match.as_json(),
            "starts": self.start == "applied",
            "guard": None if self.guard is None else self.guard.as_json(),
        }

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The ramp; one step where there is one weight."""
        return self.steps if self.weight is None else (Step(weight=self.weight),)


def _kind_problems(canary: Canary) -> Problems:
    given = [name for name in _FOR if getattr(canary, name)]
    if not given:
        yield ("model",), f"is missing: whom is it for? One of {', '.join(_FOR)}"
    for name in given[1:]:
        yield (name,), f"can't stand beside {given[0]}; a canary is for one of the two"


def _arm_problems(canary: Canary) -> Problems:
    if canary.target is None and (canary.app is not None or not canary.parameters):
        needs = "of an app a canary is another upstream" if canary.app else "a canary needs one, or parameters"
        yield ("target",), f"is missing: {needs}"
    if canary.app is not None and canary.parameters:
        yield ("parameters",), "doesn't go with app, whose requests pass as they are"
    if canary.app is not None and canary.target is not None:
        told = [name for name in _OF_TARGETS_ELSEWHERE if getattr(canary.target, name) is not None]
        yield from ((("target", name), "doesn't go with app; its target is an upstream alone") for name in told)


def _weight_problems(canary: Canary) -> Problems:
    if canary.weight is not None and canary.steps:
        yield ("steps",), "can't stand beside weight; give one of the two"
    elif canary.weight is None and not canary.steps:
        yield ("weight",), "is missing: give it, or steps"
    before = None
    for place, step in enumerate(canary.steps):
        if before is None and step.weight == 0:
            yield ("steps", place, "weight"), "must be above 0, or nothing could ever be compared"
        elif before is not None and step.weight <= before:
            yield ("steps", place, "weight"), f"must be above that of the step before, {decimal_text(before)}"
        if step.hold is None and place + 1 < len(canary.steps):
            yield ("steps", place, "hold"), "is missing; only the last step needs none"
        before = step.weight
