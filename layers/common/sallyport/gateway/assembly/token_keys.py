"""The issuers' keys, put together; only a stack with an issuer loads this."""

import time
from collections.abc import Callable

from sallyport.adapters.aws_client import SECRETS_MANAGER, AwsCall
from sallyport.adapters.jwks_http import DiscoveredKeySource, HttpKeySource
from sallyport.adapters.secrets_manager import CachedSecret
from sallyport.gateway.assembly.environment import Environ, make_aws_client
from sallyport.identity.hmac_keys import HmacKeys
from sallyport.identity.jwks import KeySet
from sallyport.identity.verification_keys import VerificationKeys
from sallyport.policy.parameters import ConfigurationError
from sallyport.policy.rules import IssuerRules
from sallyport.policy.urls import check_url


class TokenKeys:
    """Gives an issuer's keys, and the same ones again for as long as it gets them from the same place.

    They outlive the versions of the policy: to apply one makes no issuer be asked.
    """

    def __init__(
        self,
        environ: Environ,
        secrets: AwsCall | None = None,
        left_s: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        """Take the function's environment; `secrets` is Secrets Manager, made from it when first needed.

        `left_s` says how long the caller can wait for keys.
        """
        self._environ = environ
        self._left_s = left_s
        self._secrets = secrets
        self._local = environ.get("AWS_SAM_LOCAL") == "true"
        self._kept: dict[tuple[object, ...], VerificationKeys] = {}

    def __call__(self, rules: IssuerRules) -> VerificationKeys:
        """Give the keys; nothing is fetched yet. Raises `ConfigurationError` for a place that isn't gone to."""
        name = (rules.issuer, rules.jwks_url, rules.discovery_url, rules.hmac_secret, rules.algorithms)
        if name not in self._kept:
            self._kept[name] = self._make(rules)
        return self._kept[name]

    def _make(self, rules: IssuerRules) -> VerificationKeys:
        if rules.hmac_secret:
            return HmacKeys(self._secret(rules.hmac_secret), rules.algorithms)
        if rules.jwks_url:
            return KeySet(HttpKeySource(self._checked(rules.jwks_url), left_s=self._left_s))
        url = self._checked(rules.discovery_url)
        return KeySet(DiscoveredKeySource(url, rules.issuer, loopback_http=self._local, left_s=self._left_s))

    def _checked(self, url: str) -> str:
        """Loopback, on Lambda, is where the Runtime API listens; on a laptop it is where the issuer does."""
        try:
            return check_url(url, loopback_http=self._local)
        except ValueError as error:
            raise ConfigurationError(f"the URL of an issuer's keys: {error}") from None

    def _secret(self, name: str) -> CachedSecret:
        stack = self._environ.get("SALLYPORT_STACK", "")
        if not stack:
            raise ConfigurationError("SALLYPORT_STACK: must be set")
        if self._secrets is None:
            self._secrets = make_aws_client(SECRETS_MANAGER, self._environ, self._left_s)
        return CachedSecret(self._secrets, f"{stack}/identity/{name}", time.time)
