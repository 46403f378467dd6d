"""The canary guard, put together."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sallyport.adapters.aws_client import DYNAMODB
from sallyport.adapters.dynamodb_canaries import DynamoDbCanaryStateStore
from sallyport.adapters.dynamodb_canary_counts import DynamoDbCanaryCounts
from sallyport.adapters.dynamodb_policy import DynamoDbPolicyStore
from sallyport.adapters.sns import SnsTopic
from sallyport.gateway.assembly.environment import INIT_S, Environ, make_aws_client, make_logger
from sallyport.gateway.canary_announcements import Announcements
from sallyport.gateway.canary_guard import CanaryGuard, Rooms
from sallyport.gateway.deadline import Deadline
from sallyport.observability.topic import Topic
from sallyport.policy.current import CurrentPolicy, PolicyStoreError
from sallyport.policy.guard_parameters import GuardSettings, read_guard_settings
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router

TIMEOUT_S, TOTAL_S = 5.0, 10.0
"""For one try of a call to the tables, and for both: nobody waits for a guard."""

type Clock = Callable[[], float]


def canary_guard(environ: Environ, now: Clock = time.time) -> CanaryGuard:
    """Make the guard; nothing is read before its first event. Raises `ConfigurationError`."""
    settings = read_guard_settings(environ)
    logger = make_logger(environ, settings.log_level)
    deadline = Deadline()
    deadline.begin(INIT_S)
    dynamodb = make_aws_client(DYNAMODB, environ, deadline.left_s, TIMEOUT_S, TOTAL_S)
    topic: Topic | None = SnsTopic(settings.topic_arn, environ) if settings.topic_arn else None
    return CanaryGuard(
        Rooms(
            policy=_policy(DynamoDbPolicyStore(dynamodb, settings.config_table), settings, now),
            states=DynamoDbCanaryStateStore(dynamodb, settings.config_table),
            counts=DynamoDbCanaryCounts(dynamodb, settings.counters_table),
            announcements=Announcements(logger, topic, settings.stack),
            stack=settings.stack,
            now_s=now,
            begin=deadline.begin,
        )
    )


def _policy(store: DynamoDbPolicyStore, settings: GuardSettings, now: Clock) -> CurrentPolicy[RouterRules]:
    """Give the policy as routes go by it, read at every run. What may be old is an error: nothing goes on by it."""
    parameters = RouterRules(
        version=0,
        limits=(),
        tenant_limits={},
        models=None,
        upstreams=settings.upstreams,
        secret_prefix=settings.secret_prefix,
        canaries=settings.canaries,
    )

    def build(compiled: Mapping[str, Any] | None, version: int) -> RouterRules:
        return merge_router(parameters, compiled, version)

    def tell(reason: str) -> None:
        raise PolicyStoreError(reason)

    return CurrentPolicy(store, build, refresh_s=0, now=now, tell=tell)
