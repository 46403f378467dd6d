"""Where each target of a document may process, found out once, when it is read: what it is compiled to stays so.

A list that AWS told is frozen until the document is applied again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sallyport_cli.policy.bedrock_models import Resolver, bedrock_regions, in_order
from sallyport_cli.policy.models import ModelTarget
from sallyport_cli.policy.upstreams import Upstream
from sallyport_cli.policy.yaml_reading import Path

if TYPE_CHECKING:
    from sallyport_cli.policy.model import Policy

type Regions = Mapping[Path, tuple[str, ...] | None]
"""Of each target by its path; None: those of the stack parameters' upstream, which no document knows."""


def regions_of_targets(policy: Policy, resolve: Resolver | None) -> tuple[Regions, list[tuple[Path, str]]]:
    """Give the regions of all targets, and what is wrong with others. `resolve` None: there is no AWS to ask."""
    found: dict[Path, tuple[str, ...] | None] = {}
    problems: list[tuple[Path, str]] = []
    for path, alias, target in (*targets_of(policy), *canary_targets_of(policy)):
        try:
            found[path] = _regions(policy, alias, target, resolve)
        except ValueError as error:
            problems.append(((*path, "regions"), str(error)))
    return found, problems


def targets_of(policy: Policy) -> Iterator[tuple[Path, str, ModelTarget]]:
    """Give every model's targets with their paths and the model's name."""
    for name, model in (policy.models or {}).items():
        for place, target in enumerate(model.targets):
            yield ("models", name, "targets", place), name, target


def canary_targets_of(policy: Policy) -> Iterator[tuple[Path, str, ModelTarget]]:
    """Give the canaries' targets with their paths and the model's name, empty for a canary of several."""
    for place, canary in enumerate(policy.canaries or ()):
        if canary.target is not None:
            yield ("canaries", place, "target"), canary.alias, canary.target


def _regions(policy: Policy, alias: str, target: ModelTarget, resolve: Resolver | None) -> tuple[str, ...] | None:
    if policy.upstreams is None:
        return target.regions
    upstream = policy.upstreams[target.upstream]
    if upstream.is_at_bedrock:
        return bedrock_regions(upstream.region, target.model or alias, target.regions, resolve)
    return _declared(upstream, target)


def _declared(upstream: Upstream, target: ModelTarget) -> tuple[str, ...]:
    if target.regions is not None and upstream.region not in target.regions:
        raise ValueError(f"must have the upstream's own region, {upstream.region}")
    return in_order(upstream.region, target.regions or ())
