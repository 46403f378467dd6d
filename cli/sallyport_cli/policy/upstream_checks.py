"""What a document's upstreams, models, apps and tenants ask of one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, GUARD
from sallyport_cli.policy.targets import canary_targets_of, targets_of
from sallyport_cli.policy.yaml_reading import Path

if TYPE_CHECKING:
    from sallyport_cli.policy.model import Policy

_SHOWN: Final = 6
_WITH_CREDENTIALS: Final = ("openai", "anthropic")

type Problems = Iterator[tuple[Path, str]]


def upstream_problems(policy: Policy) -> Problems:
    """Tell what is wrong with upstreams and with what names them, by their paths."""
    if policy.upstreams is not None and policy.models is None and policy.apps is None:
        yield ("upstreams",), "needs models or apps: nothing else is sent there"
    yield from _target_problems(policy)
    yield from _app_problems(policy)


def upstream_warnings(policy: Policy) -> Problems:
    """Tell what is likely meant otherwise: nothing of it is refused."""
    used = {target.upstream for _, _, target in targets_of(policy)}
    used |= {app.upstream for app in (policy.apps or {}).values()}
    used |= {target.upstream for _, _, target in canary_targets_of(policy)}
    used |= {guard.upstream for guard in (policy.verification.guards if policy.verification else ())}
    for name, upstream in (policy.upstreams or {}).items():
        if name not in used:
            yield ("upstreams", name), "warning: no model, app, canary or guard uses it"
        elif upstream.provider in _WITH_CREDENTIALS and upstream.secret is None and upstream.url.startswith("https:"):
            yield ("upstreams", name), "warning: has no secret, so it is called without a credential"


def _target_problems(policy: Policy) -> Problems:
    for name, model in (policy.models or {}).items():
        if policy.upstreams is not None and not model.targets:
            yield ("models", name), "has no targets; where the document has upstreams, every model needs some"
        seen = [(target.upstream, target.model or name) for target in model.targets]
        for place, one in enumerate(seen):
            if seen.index(one) != place:
                yield ("models", name, "targets", place), f"is the target at [{seen.index(one)}] already"
    for path, _, target in targets_of(policy):
        yield from named_upstream(policy, (*path, "upstream"), target.upstream, is_app=False)


def _app_problems(policy: Policy) -> Problems:
    for name, app in (policy.apps or {}).items():
        yield from named_upstream(policy, ("apps", name, "upstream"), app.upstream, is_app=True)
        unknown = [
            tenant for tenant in app.tenants or () if policy.tenants is not None and tenant not in policy.tenants
        ]
        if unknown:
            yield ("apps", name, "tenants"), f"not in tenants: {_listed(unknown)}"


def named_upstream(policy: Policy, path: Path, name: str, *, is_app: bool) -> Problems:
    """Tell what is wrong with the name of an upstream that stands at a path, of an app or of a model."""
    if policy.upstreams is None and not is_app and name == DEFAULT_UPSTREAM:
        return
    upstream = (policy.upstreams or {}).get(name)
    if upstream is None:
        known = [DEFAULT_UPSTREAM] if policy.upstreams is None and not is_app else list(policy.upstreams or ())
        yield path, f"not in upstreams: {name} (known: {_listed(known)})"
    elif is_app and upstream.provider != "app":
        yield path, f"{name} is no upstream of the provider app, and speaks {upstream.provider}"
    elif not is_app and upstream.provider == "app":
        yield path, f"{name} is the upstream of an app; no model is there"
    elif not is_app and upstream.provider == GUARD:
        yield path, f"{name} is asked about prompts; no model is there"


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"
