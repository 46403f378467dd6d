"""The one canary that stack parameters can make: another upstream, another model, or both, for every caller.

It is watched as any other, with the guard's usual rules.
"""

from sallyport.policy.bedrock_ids import regions_by_name
from sallyport.policy.canary_rules import PARAMETER_CANARY, CanaryRules, CanaryStep
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_parameters import CanarySettings
from sallyport.policy.upstream_rules import Target, UpstreamRules

CANARY_ROUTES = ("chat_completions", "responses", "messages")
"""What it is for. Embeddings of two models mean nothing beside each other, so they stay where they are."""


def with_canary(rules: RouterRules, settings: CanarySettings, upstream: UpstreamRules) -> RouterRules:
    """Give what stack parameters say with their canary, and its upstream if it has one of its own.

    `upstream` is the stack's own.
    """
    own = {} if settings.upstream is None else {settings.upstream.name: settings.upstream}
    return rules._replace(
        upstreams={**rules.upstreams, **own} if settings.weight else rules.upstreams,
        canaries=parameter_canary(settings, upstream),
    )


def parameter_canary(settings: CanarySettings, upstream: UpstreamRules) -> tuple[CanaryRules, ...]:
    """Give the canary, none where its weight is 0. `upstream` is the stack's own, for a canary that has none.

    At Bedrock without a model of its own nobody knows where it processes, so it is for those who may go anywhere.
    """
    if settings.weight == 0:
        return ()
    place = upstream if settings.upstream is None else settings.upstream
    canary = CanaryRules(
        name=PARAMETER_CANARY,
        models=(),
        routes=CANARY_ROUTES,
        apps=(),
        target=Target(place.name, settings.model, regions_by_name(place, settings.model)),
        parameters={},
        steps=(CanaryStep(settings.weight),),
        sticky_by=settings.sticky_by,
    )
    return (canary,)
