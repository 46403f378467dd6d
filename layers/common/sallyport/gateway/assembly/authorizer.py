"""The authorizer, put together."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sallyport.access.networks import NetworkSet
from sallyport.access.source import SourceReader
from sallyport.adapters.aws_client import DYNAMODB, SECRETS_MANAGER, AwsClient
from sallyport.adapters.dynamodb_keys import DynamoDbKeyStore, DynamoDbLastUsedStore
from sallyport.adapters.dynamodb_policy import DynamoDbPolicyStore
from sallyport.gateway.assembly.environment import Environ, make_aws_client, make_logger
from sallyport.gateway.authorize import Authorizer, Failures, Rooms
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.door import Door, Verifier
from sallyport.identity.api_keys import ApiKeyVerifier
from sallyport.identity.last_used import LastUsed
from sallyport.observability.log import LEVELS, Logger
from sallyport.policy.current import CurrentPolicy
from sallyport.policy.effective import merge
from sallyport.policy.parameters import AuthorizerSettings, ConfigurationError, read_authorizer_settings
from sallyport.policy.rules import AccessRules, DoorRules, PackedNetworks

type Clock = Callable[[], float]

INIT_S = 8.0
"""For reading the policy at the start: Lambda ends an init phase after ten seconds."""


def authorizer(environ: Environ, now: Clock = time.time) -> Authorizer:
    """Make the authorizer. Raises `ConfigurationError`, and has the alarm told: nobody can call."""
    try:
        return _authorizer(environ, now)
    except Exception:
        make_logger(environ, LEVELS["INFO"]).metric("AuthorizerFailure", 1)
        raise


def _authorizer(environ: Environ, now: Clock) -> Authorizer:
    settings = read_authorizer_settings(environ)
    logger = make_logger(environ, settings.log_level)
    deadline = Deadline()
    deadline.begin(INIT_S)
    dynamodb = make_aws_client(DYNAMODB, environ, deadline.left_s)
    build = _DoorBuilder(environ, settings, dynamodb, now, deadline)
    policy = _policy(settings, dynamodb, logger, build, now)
    policy.prime()
    uses = LastUsed(
        DynamoDbLastUsedStore(dynamodb, settings.counters_table),
        lambda error: logger.warning("a key's last use was not noted", reason=type(error).__name__),
    )
    failures = _LateFailures(lambda: _failures(settings, dynamodb, logger, now))
    return Authorizer(Rooms(policy, failures, uses, logger, deadline), now)


def _policy(
    settings: AuthorizerSettings, dynamodb: AwsClient, logger: Logger, build: "_DoorBuilder", now: Clock
) -> CurrentPolicy[Door]:
    def tell(reason: str) -> None:
        logger.metric("PolicyRefreshFailure", 1)
        logger.error("policy refresh failed; the last good one stays in force", reason=reason)

    store = DynamoDbPolicyStore(dynamodb, settings.config_table)
    return CurrentPolicy(store, build, settings.policy_refresh_s, now=now, tell=tell)


class _LateFailures:
    """Failed credentials, whose counting is put together for the first one: most processes never see any."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Failures]) -> None:
        self._make = make
        self._made: Failures | None = None

    def refuses(self, version: int, number: int) -> bool:
        """Refuse nobody before anybody has failed here."""
        return self._made is not None and self._made.refuses(version, number)

    def count(self, version: int, number: int) -> None:
        """Count a failure."""
        if self._made is None:
            self._made = self._make()
        self._made.count(version, number)


def _failures(settings: AuthorizerSettings, dynamodb: AwsClient, logger: Logger, now: Clock) -> Failures:
    from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore  # noqa: PLC0415 - see `_LateFailures`
    from sallyport.gateway.failed_credentials import FailedCredentials  # noqa: PLC0415
    from sallyport.limits.memory import MemoryCounterStore  # noqa: PLC0415
    from sallyport.limits.sliding import SlidingLimiter  # noqa: PLC0415

    def tell() -> None:
        logger.metric("LimitStoreFailure", 1)
        logger.warning("failed credentials counted in memory: the counters table can't be asked")

    def now_ms() -> int:
        return int(now() * 1000)

    store = DynamoDbCounterStore(dynamodb, settings.counters_table, prefix="failure")
    return FailedCredentials(
        SlidingLimiter(store, now_ms),
        SlidingLimiter(MemoryCounterStore(), now_ms),
        settings.failed_credentials_per_minute,
        now,
        tell,
    )


class _DoorBuilder:
    """Makes a `Door` of each version of the policy; caches of keys and of issuers' keys outlive the versions."""

    def __init__(
        self, environ: Environ, settings: AuthorizerSettings, dynamodb: AwsClient, now: Clock, deadline: Deadline
    ) -> None:
        self._environ = environ
        self._left_s = deadline.left_s
        self._now = now
        self._settings = settings
        self._parameters = _parameter_rules(settings)
        keys = DynamoDbKeyStore(dynamodb, settings.config_table)
        self._api_keys = ApiKeyVerifier(keys, settings.key_revocation_s, check_networks=NetworkSet)
        self._key_source: Callable[..., Any] | None = None
        self._origin_secrets: dict[str, Any] = {}

    def __call__(self, compiled: Mapping[str, Any] | None, version: int) -> Door:
        """Raises `ValueError` for a document that can't be put into force."""
        rules = merge(self._parameters, compiled, version)
        sources = SourceReader(
            NetworkSet.unpack(rules.access.trusted_proxies),
            self._origin_secret(rules.access.origin_secret),
            required=rules.access.require_origin_secret,
        )
        return Door(rules, sources, api_keys=self._api_keys if rules.api_keys else None, tokens=self._tokens(rules))

    def _tokens(self, rules: DoorRules) -> Verifier | None:
        if not rules.issuers:
            return None
        from sallyport.gateway.assembly.token_keys import TokenKeys  # noqa: PLC0415 - only a stack with an issuer pays
        from sallyport.identity.tokens import TokenVerifier  # noqa: PLC0415 - the same

        if self._key_source is None:
            self._key_source = TokenKeys(self._environ, left_s=self._left_s)
        return TokenVerifier(rules.issuers, self._key_source, rules.zones, rules.claims_told)

    def _origin_secret(self, name: str) -> Any:
        if not name:
            return None
        from sallyport.adapters.secrets_manager import OriginSecretValues  # noqa: PLC0415 - only behind a proxy

        if name not in self._origin_secrets:
            client = make_aws_client(SECRETS_MANAGER, self._environ, self._left_s)
            self._origin_secrets[name] = OriginSecretValues(
                client, f"{self._settings.stack}/identity/{name}", self._now
            )
        return self._origin_secrets[name]


def _parameter_rules(settings: AuthorizerSettings) -> DoorRules:
    access = AccessRules(
        allow=(_networks("IP_ALLOW", settings.ip_allow),),
        deny=(_networks("IP_DENY", settings.ip_deny),),
        trusted_proxies=_networks("TRUSTED_PROXIES", settings.trusted_proxies),
        origin_secret=settings.origin_secret,
        countries_allow=frozenset(settings.countries_allow),
        countries_deny=frozenset(settings.countries_deny),
    )
    return DoorRules(
        version=0,
        api_keys=settings.api_keys,
        issuers=settings.issuers,
        default_scopes=settings.default_scopes,
        access=access,
        zones={},
        default_residency=settings.default_residency,
        tenants={},
    )


def _networks(name: str, networks: tuple[str, ...]) -> PackedNetworks:
    try:
        return NetworkSet(networks).pack()
    except ValueError as error:
        raise ConfigurationError(f"SALLYPORT_{name}: {error}") from None
