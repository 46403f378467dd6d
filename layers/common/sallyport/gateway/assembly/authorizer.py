"""The authorizer, put together."""

import time

from sallyport.access.decision import AccessLists
from sallyport.access.networks import NetworkSet
from sallyport.adapters.aws_client import DYNAMODB
from sallyport.adapters.dynamodb_keys import DynamoDbKeyStore
from sallyport.gateway.assembly.environment import Environ, make_aws_client, make_logger
from sallyport.gateway.authorize import Authorizer, JwtVerifier, Verifiers
from sallyport.identity.api_keys import ApiKeyVerifier
from sallyport.observability.log import LEVELS
from sallyport.policy.parameters import AuthorizerSettings, ConfigurationError, read_authorizer_settings


def authorizer(environ: Environ) -> Authorizer:
    """Make the authorizer. Raises `ConfigurationError`, and has the alarm told: nobody can call."""
    try:
        return _authorizer(environ)
    except ConfigurationError:
        make_logger(environ, LEVELS["INFO"]).metric("AuthorizerFailure", 1)
        raise


def _authorizer(environ: Environ) -> Authorizer:
    settings = read_authorizer_settings(environ)
    logger = make_logger(environ, settings.log_level)
    lists = AccessLists(allow=_networks("IP_ALLOW", settings.ip_allow), deny=_networks("IP_DENY", settings.ip_deny))
    return Authorizer(lists, Verifiers(_api_key_verifier(environ, settings), _token_verifier(settings)), logger)


def _api_key_verifier(environ: Environ, settings: AuthorizerSettings) -> ApiKeyVerifier | None:
    if not settings.api_keys:
        return None
    store = DynamoDbKeyStore(make_aws_client(DYNAMODB, environ), settings.config_table)
    return ApiKeyVerifier(store, settings.default_residency)


def _token_verifier(settings: AuthorizerSettings) -> JwtVerifier | None:
    jwt = settings.jwt
    if jwt is None:
        return None
    from sallyport.adapters.jwks_http import HttpKeySource  # noqa: PLC0415 - only a stack with an issuer pays for it
    from sallyport.identity.jwks import KeySet  # noqa: PLC0415
    from sallyport.identity.tokens import TokenVerifier  # noqa: PLC0415

    keys = KeySet(HttpKeySource(jwt.jwks_url), time.monotonic)
    return TokenVerifier(jwt, keys, default_scopes=settings.default_scopes, residency=settings.default_residency)


def _networks(name: str, networks: tuple[str, ...]) -> NetworkSet:
    try:
        return NetworkSet(networks)
    except ValueError as error:
        raise ConfigurationError(f"SALLYPORT_{name}: {error}") from None
