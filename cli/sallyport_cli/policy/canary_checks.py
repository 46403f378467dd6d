"""What a document's canaries ask of one another, and of its models, apps, tenants and upstreams."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sallyport.errors import UnsupportedFieldError
from sallyport.policy.rules import MAX_CLAIMS_TOLD
from sallyport.providers.hosted_tools import check_hosted_tools
from sallyport.providers.kept_data import check_kept_data
from sallyport.providers.provider import CHAT_COMPLETIONS, MESSAGES, RESPONSES
from sallyport_cli.policy.canaries import Canary
from sallyport_cli.policy.targets import targets_of
from sallyport_cli.policy.upstream_checks import named_upstream
from sallyport_cli.policy.yaml_reading import Path

if TYPE_CHECKING:
    from sallyport_cli.policy.model import Policy

_SHOWN: Final = 6

type Problems = Iterator[tuple[Path, str]]


def canary_problems(policy: Policy) -> Problems:
    """Tell what is wrong with canaries, by their paths."""
    names = [canary.name for canary in policy.canaries or ()]
    for place, canary in enumerate(policy.canaries or ()):
        path: Path = ("canaries", place)
        first = names.index(canary.name)
        if first != place:
            yield (*path, "name"), f"is that of canaries[{first}] already"
        yield from _unknown_names(policy, path, canary)
        yield from _target_problems(policy, path, canary)
        yield from _parameter_problems(policy, path, canary)
    yield from _claim_problems(policy.canaries or ())


def _unknown_names(policy: Policy, path: Path, canary: Canary) -> Problems:
    model_key = "models" if canary.model is None else "model"
    yield from _unknown((*path, model_key), canary.model_names, policy.models, "models")
    if canary.app is not None:
        yield from _unknown((*path, "app"), (canary.app,), policy.apps or (), "apps")
    yield from _unknown((*path, "match", "tenants"), canary.match.tenants, policy.tenants, "tenants")


def _unknown(path: Path, names: Sequence[str], known: Collection[str] | None, section: str) -> Problems:
    unknown = [name for name in names if known is not None and name not in known]
    if unknown:
        yield path, f"not in {section}: {_listed(unknown)} (known: {_listed(list(known or ()))})"


def _target_problems(policy: Policy, path: Path, canary: Canary) -> Problems:
    target = canary.target
    if target is None:
        return
    yield from named_upstream(policy, (*path, "target", "upstream"), target.upstream, is_app=canary.app is not None)
    upstream = (policy.upstreams or {}).get(target.upstream)
    if upstream is not None and upstream.is_at_bedrock and not (target.model or canary.alias):
        yield (*path, "target", "model"), "is missing: of several models it can't be told where Bedrock processes them"
    app = (policy.apps or {}).get(canary.app or "")
    if app is not None and app.upstream == target.upstream:
        yield (*path, "target", "upstream"), f"is that of {canary.app} itself, so both arms would be the same"


def _parameter_problems(policy: Policy, path: Path, canary: Canary) -> Problems:
    """Refuse fields that the routers would refuse of a client: a canary moves no data where a caller may not."""
    permitted = sorted(_permitted_tools(policy, canary))
    body = {name: json.loads(text) for name, text in canary.parameters.items()}
    for operation in (CHAT_COMPLETIONS, RESPONSES, MESSAGES):
        try:
            check_hosted_tools(operation, body, permitted)
            check_kept_data(operation, body)
        except UnsupportedFieldError as error:
            yield (*path, "parameters", error.param or ""), f"is refused, as of a client: {error.message.rstrip('.')}"
            return


def _permitted_tools(policy: Policy, canary: Canary) -> set[str]:
    """Give the tools that may be run by every upstream to which the canary's requests may go."""
    targets = [target for _, name, target in targets_of(policy) if name in (canary.model_names or (name,))]
    targets = targets if canary.target is None else [canary.target]
    named = [upstream for one in targets if (upstream := (policy.upstreams or {}).get(one.upstream)) is not None]
    return set.intersection(*(set(upstream.hosted_tools) for upstream in named)) if named else set()


def _claim_problems(canaries: Sequence[Canary]) -> Problems:
    names: set[str] = set()
    for place, canary in enumerate(canaries):
        names |= set(canary.match.claims)
        if len(names) > MAX_CLAIMS_TOLD:
            reason = f"with it all canaries together ask for {len(names)} claims; at most {MAX_CLAIMS_TOLD}"
            yield ("canaries", place, "match", "claims"), reason
            return


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"
