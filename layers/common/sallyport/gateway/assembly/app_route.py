"""The route to the operator's own apps, put together."""

import time
from collections.abc import Callable

from sallyport.adapters.aws_client import DYNAMODB
from sallyport.gateway.app_route import AppRoute, Rooms
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
from sallyport.gateway.assembly.upstreams import make_upstreams
from sallyport.gateway.deadline import Deadline
from sallyport.policy.limit_parameters import parameter_rules
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.parameters import AppSettings, read_app_settings
from sallyport.policy.verification_parameters import with_verification


def app_route(now: Callable[[], float] = time.time) -> Callable[[Environ], AppRoute]:
    """Give the maker of the route; it raises `ConfigurationError`."""

    def make(environ: Environ) -> AppRoute:
        return AppRoute(_rooms(environ, read_app_settings(environ), now))

    return make


def _rooms(environ: Environ, settings: AppSettings, now: Callable[[], float]) -> Rooms:
    logger = make_logger(environ, settings.log_level)
    deadline = Deadline()
    deadline.begin(INIT_S)
    dynamodb = make_aws_client(DYNAMODB, environ, deadline.left_s, COUNTERS_TIMEOUT_S, COUNTERS_TOTAL_S)
    parameters = _parameters(settings)
    policy = router_policy(dynamodb, settings.config_table, settings.policy_refresh_s, parameters, logger, now)
    policy.prime()
    connect_s, idle_s = settings.connect_timeout_s, settings.idle_timeout_s
    return Rooms(
        policy=policy,
        metering=make_metering(settings.limits, settings.counters_table, dynamodb, logger, now),
        canaries=make_canaries(settings, dynamodb, logger, now),
        upstreams=make_upstreams(environ, connect_s, idle_s, deadline.left_s, now),
        trail=make_trail(environ, dynamodb, settings.anchors_table, settings.anchor_retention_days, logger, now),
        home_region=settings.home_region,
        now_s=now,
        logger=logger,
        deadline=deadline,
    )


def _parameters(settings: AppSettings) -> RouterRules:
    """Stack parameters know no app: without a policy document there is none."""
    rules = parameter_rules(settings.limits, ())._replace(
        allowed_regions=settings.allowed_regions, secret_prefix=settings.secret_prefix
    )
    return with_verification(rules, settings.verification)
