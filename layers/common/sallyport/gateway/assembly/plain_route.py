"""The routes without an upstream, put together."""

import time
from collections.abc import Callable

from sallyport.gateway.assembly.environment import Environ, make_logger
from sallyport.gateway.plain_routes import Answer, PlainRoute, answer_health, answer_unmatched, list_models
from sallyport.policy.parameters import PlainSettings, read_models_settings, read_plain_settings

INIT_S = 8.0
"""For reading the policy at the start: Lambda ends an init phase after ten seconds."""


def models_route(environ: Environ, now: Callable[[], float] = time.time) -> PlainRoute:
    """Make `GET /v1/models` and `/v1/models/{model}`."""
    from sallyport.adapters.aws_client import DYNAMODB  # noqa: PLC0415 - the other plain routes have no policy
    from sallyport.gateway.assembly.environment import make_aws_client  # noqa: PLC0415 - the same
    from sallyport.gateway.assembly.router_policy import router_policy  # noqa: PLC0415 - the same
    from sallyport.gateway.deadline import Deadline  # noqa: PLC0415 - the same
    from sallyport.policy.limit_parameters import LimitSettings, parameter_rules  # noqa: PLC0415 - the same

    settings = read_models_settings(environ)
    logger = make_logger(environ, settings.plain.log_level)
    deadline = Deadline()
    deadline.begin(INIT_S)
    dynamodb = make_aws_client(DYNAMODB, environ, deadline.left_s)
    parameters = parameter_rules(LimitSettings(requests_per_minute=0), settings.models)
    policy = router_policy(dynamodb, settings.config_table, settings.policy_refresh_s, parameters, logger, now)
    policy.prime()
    return PlainRoute(
        "models",
        list_models(policy, settings.plain.home_region),
        settings.plain,
        logger,
        begin=deadline.begin,
        later=policy.refresh_early,
    )


def health_route(environ: Environ) -> PlainRoute:
    """Make `GET /healthz`."""
    return _plain_route("healthz", answer_health, environ, read_plain_settings(environ))


def unmatched_route(environ: Environ) -> PlainRoute:
    """Make the answer to all that isn't a route."""
    return _plain_route("unmatched", answer_unmatched, environ, read_plain_settings(environ))


def _plain_route(name: str, answer: Answer, environ: Environ, settings: PlainSettings) -> PlainRoute:
    return PlainRoute(name, answer, settings, make_logger(environ, settings.log_level))
