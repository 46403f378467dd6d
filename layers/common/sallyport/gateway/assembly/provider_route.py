"""A route to an upstream, put together."""

import time
from collections.abc import Callable
from contextlib import suppress

from sallyport.adapters.aws_client import DYNAMODB, SECRETS_MANAGER
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.adapters.secrets_manager import CachedSecret
from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import SecretUnavailableError
from sallyport.gateway.assembly.environment import Environ, make_aws_client, make_logger
from sallyport.gateway.provider_route import NoSecret, Operation, ProviderRoute, Rooms, Secret
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.sliding import SlidingLimiter
from sallyport.observability.log import Logger
from sallyport.policy.parameters import RouterSettings, read_router_settings
from sallyport.providers.openai import OpenAiProvider
from sallyport.routing.residency import Target
from sallyport.verification.schema import RequestSchema


def provider_route(operation: Operation) -> Callable[[Environ], ProviderRoute]:
    """Give the maker of a route to an upstream; it raises `ConfigurationError`."""

    def make(environ: Environ) -> ProviderRoute:
        settings = read_router_settings(environ)
        return ProviderRoute(operation, _rooms(operation, environ, settings))

    return make


def _rooms(operation: Operation, environ: Environ, settings: RouterSettings) -> Rooms:
    upstream = settings.upstream
    logger = make_logger(environ, settings.log_level)
    return Rooms(
        schema=RequestSchema.built_in(operation.name),
        admission=_admission(environ, settings, logger),
        provider=OpenAiProvider(upstream.base_url),
        transport=HttpTransport(upstream.base_url, upstream.connect_timeout_s, upstream.idle_timeout_s),
        secret=_secret(environ, upstream.secret),
        targets=(Target("default", upstream.region),),
        models=settings.models,
        home_region=settings.home_region,
        logger=logger,
    )


def _admission(environ: Environ, settings: RouterSettings, logger: Logger) -> Admission:
    store = DynamoDbCounterStore(make_aws_client(DYNAMODB, environ), settings.counters_table)

    def tell() -> None:
        logger.metric("LimitStoreFailure", 1)
        logger.warning("limits counted in memory: the counters table can't be asked")

    return Admission(
        SlidingLimiter(store, _now_ms),
        SlidingLimiter(MemoryCounterStore(), _now_ms),
        settings.requests_per_minute,
        tell,
    )


def _secret(environ: Environ, name: str) -> Secret:
    if not name:
        return NoSecret()
    secret = CachedSecret(make_aws_client(SECRETS_MANAGER, environ), name)
    with suppress(SecretUnavailableError):  # a request will ask again, and tell its client
        secret.read()
    return secret


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
