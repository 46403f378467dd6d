"""The routes to an upstream, put together."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.gateway.answer_guard import load_schemas
from sallyport.gateway.assembly.audit_trail import make_trail
from sallyport.gateway.assembly.canaries import make_canaries
from sallyport.gateway.assembly.environment import (
    COUNTERS_TIMEOUT_S,
    COUNTERS_TOTAL_S,
    INIT_S,
    Environ,
    make_aws_client,
    make_logger,
)
from sallyport.gateway.assembly.metering import make_metering
from sallyport.gateway.assembly.router_policy import router_policy
from sallyport.gateway.assembly.upstreams import make_upstreams, read_early
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.guard_hooks import GuardHooks
from sallyport.gateway.operations import Operation
from sallyport.gateway.provider_route import Pace, ProviderRoute, Rooms
from sallyport.gateway.upstreams import Upstreams
from sallyport.gateway.verifying import CurrentChecks
from sallyport.policy.canary_parameters import with_canary
from sallyport.policy.current import CurrentPolicy, PolicyUnavailableError
from sallyport.policy.limit_parameters import parameter_rules
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.parameters import RouterSettings, read_router_settings
from sallyport.policy.upstream_rules import MODELLESS
from sallyport.policy.verification_parameters import with_verification
from sallyport.policy.verification_rules import OFF
from sallyport.providers.provider import RESPONSES
from sallyport.routing.breaker import Breakers
from sallyport.routing.stored_responses import ResponseStore
from sallyport.verification.schema import RequestSchema


def uniform(least: float, most: float) -> float:
    """Give a random number between two. The module `random` would cost a cold start more than this does."""
    return least + (most - least) * int.from_bytes(os.urandom(4)) / (1 << 32)


class Clocks(NamedTuple):
    """What a route takes from its surroundings: the wall clock, sleep, chance."""

    now_s: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = uniform


def provider_route(operation: Operation, clocks: Clocks | None = None) -> Callable[[Environ], ProviderRoute]:
    """Give the maker of a route to an upstream; it raises `ConfigurationError`."""

    def make(environ: Environ) -> ProviderRoute:
        return ProviderRoute(operation, _rooms(operation, environ, read_router_settings(environ), clocks or Clocks()))

    return make


def _rooms(operation: Operation, environ: Environ, settings: RouterSettings, clocks: Clocks) -> Rooms:
    logger = make_logger(environ, settings.log_level)
    deadline = Deadline()
    deadline.begin(INIT_S)
    dynamodb = make_aws_client(DYNAMODB, environ, deadline.left_s, COUNTERS_TIMEOUT_S, COUNTERS_TOTAL_S)
    parameters = _parameters(settings)
    policy = router_policy(dynamodb, settings.config_table, settings.policy_refresh_s, parameters, logger, clocks.now_s)
    policy.prime()
    upstream = settings.upstream
    upstreams = make_upstreams(environ, upstream.connect_timeout_s, upstream.idle_timeout_s, deadline.left_s, time.time)
    _read_first_secret(policy, upstreams)
    schema = RequestSchema.built_in(operation.name)
    if settings.verification.response != OFF:
        load_schemas(operation.name)
    return Rooms(
        schema=schema,
        checks=CurrentChecks(operation.name, schema),
        policy=policy,
        metering=make_metering(settings.limits, settings.counters_table, dynamodb, logger, clocks.now_s),
        canaries=make_canaries(settings, dynamodb, logger, clocks.now_s),
        upstreams=upstreams,
        guards=GuardHooks(upstreams, lambda: logger.metric("ExternalGuardFailure", 1)),
        breakers=Breakers(time.monotonic),
        trail=make_trail(environ, dynamodb, settings.anchors_table, settings.anchor_retention_days, logger),
        stored=_stored_responses(operation, dynamodb, settings.counters_table),
        home_region=settings.home_region,
        stream_usage=settings.stream_usage,
        pace=Pace(settings.retries, clocks.now_s, clocks.sleep, clocks.uniform),
        logger=logger,
        deadline=deadline,
    )


def _parameters(settings: RouterSettings) -> RouterRules:
    upstream = settings.upstream.rules
    rules = parameter_rules(settings.limits, settings.models)._replace(
        upstreams={upstream.name: upstream},
        allowed_regions=settings.allowed_regions,
        secret_prefix=settings.secret_prefix,
    )
    return with_verification(with_canary(rules, settings.canary, upstream), settings.verification)


def _read_first_secret(policy: CurrentPolicy[RouterRules], upstreams: Upstreams) -> None:
    """Read at the start what the first request will most likely need: of an only upstream, and of guards."""
    with suppress(PolicyUnavailableError):
        rules = policy.get()
        models = [one for one in rules.upstreams.values() if one.provider not in MODELLESS]
        guards = [rules.upstreams[guard.upstream] for guard in rules.verification.guards]
        for one in (*(models if len(models) == 1 else ()), *guards):
            read_early(upstreams.get(one))


def _stored_responses(operation: Operation, dynamodb: AwsClient, table: str) -> ResponseStore | None:
    if operation.name != RESPONSES:
        return None
    from sallyport.adapters.dynamodb_responses import DynamoDbResponseStore  # noqa: PLC0415 - one route has it

    return DynamoDbResponseStore(dynamodb, table)
