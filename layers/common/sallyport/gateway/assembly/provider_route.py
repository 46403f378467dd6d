"""The routes to an upstream, put together."""

import time
from collections.abc import Callable
from contextlib import suppress

from sallyport.adapters.aws_client import DYNAMODB, SECRETS_MANAGER, AwsClient
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.adapters.dynamodb_totals import DynamoDbTotalsStore
from sallyport.adapters.secrets_manager import CachedSecret
from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import SecretUnavailableError
from sallyport.gateway.assembly.environment import Environ, make_aws_client, make_logger
from sallyport.gateway.assembly.router_policy import router_policy
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.metering import Metering
from sallyport.gateway.provider_route import NoSecret, Operation, ProviderRoute, Rooms, Secret
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Cost, Receipt
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import UsageTotals
from sallyport.observability.log import Logger
from sallyport.policy.limit_parameters import parameter_rules
from sallyport.policy.parameters import RouterSettings, read_router_settings
from sallyport.providers.openai import OpenAiProvider
from sallyport.routing.residency import Target
from sallyport.verification.schema import RequestSchema

type Clock = Callable[[], float]

INIT_S = 8.0
"""For reading the policy at the start: Lambda ends an init phase after ten seconds."""
COUNTERS_TIMEOUT_S = 1.0
"""For one try of a write: a caller waits for it."""
COUNTERS_TOTAL_S = 2.0
"""With the second try."""


def provider_route(operation: Operation, now: Clock = time.time) -> Callable[[Environ], ProviderRoute]:
    """Give the maker of a route to an upstream; it raises `ConfigurationError`."""

    def make(environ: Environ) -> ProviderRoute:
        settings = read_router_settings(environ)
        return ProviderRoute(operation, _rooms(operation, environ, settings, now))

    return make


def _rooms(operation: Operation, environ: Environ, settings: RouterSettings, now: Clock) -> Rooms:
    upstream = settings.upstream
    logger = make_logger(environ, settings.log_level)
    deadline = Deadline()
    deadline.begin(INIT_S)
    dynamodb = make_aws_client(DYNAMODB, environ, deadline.left_s, COUNTERS_TIMEOUT_S, COUNTERS_TOTAL_S)
    parameters = parameter_rules(settings.limits, settings.models)
    policy = router_policy(dynamodb, settings.config_table, settings.policy_refresh_s, parameters, logger, now)
    policy.prime()
    return Rooms(
        schema=RequestSchema.built_in(operation.name),
        policy=policy,
        metering=_metering(settings, dynamodb, logger, now),
        provider=OpenAiProvider(upstream.base_url),
        transport=HttpTransport(upstream.base_url, upstream.connect_timeout_s, upstream.idle_timeout_s),
        secret=_secret(environ, upstream.secret),
        targets=(Target("default", upstream.region),),
        home_region=settings.home_region,
        stream_usage=settings.stream_usage and operation.name == "chat_completions",
        logger=logger,
        deadline=deadline,
    )


def _metering(settings: RouterSettings, dynamodb: AwsClient, logger: Logger, now: Clock) -> Metering:
    def tell(reason: str) -> None:
        logger.warning("usage was not added to the totals", reason=reason)

    totals = UsageTotals(DynamoDbTotalsStore(dynamodb, settings.counters_table), tell)
    admission = _admission(settings, dynamodb, logger, now)
    return Metering(admission, totals, logger, settings.limits.max_output_tokens, now)


def _admission(settings: RouterSettings, dynamodb: AwsClient, logger: Logger, now: Clock) -> Admission:
    store = DynamoDbCounterStore(dynamodb, settings.counters_table)

    def now_ms() -> int:
        return int(now() * 1000)

    def tell_fallback(reason: str) -> None:
        logger.metric("LimitStoreFailure", 1)
        logger.warning("the counters table can't be asked: limits count in memory, or refuse", reason=reason)

    def tell_unsettled(receipt: Receipt, changes: Cost, reason: str) -> None:
        logger.metric("SettlementFailure", 1)
        units = [f"{unit} {change}" for unit, change in changes.items()]
        logger.warning("a charge was not settled", reason=reason, member=receipt.member, changes=units)

    return Admission(
        SlidingLimiter(store, now_ms),
        lambda: SlidingLimiter(MemoryCounterStore(), now_ms),
        now_ms,
        tell_fallback,
        tell_unsettled,
    )


def _secret(environ: Environ, name: str) -> Secret:
    if not name:
        return NoSecret()
    secret = CachedSecret(make_aws_client(SECRETS_MANAGER, environ), name)
    with suppress(SecretUnavailableError):  # a request will ask again, and tell its client
        secret.read()
    return secret
