"""JWTs: checked by PyJWT under rules that the token itself has no say in (RFC 8725).

The algorithm comes from the configuration and the key, the key from the issuer's set by exact `kid`; issuer, audience
and expiry are required.
"""

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.jwks import KeySet
from sallyport.identity.principal import Principal, is_subject, is_tenant, parse_words
from sallyport.policy.parameters import JwtSettings

LEEWAY_S = 30
_MAX_HEADER_LENGTH = 2048


class TokenVerifier:
    """Checks a JWT of one issuer."""

    def __init__(
        self, rules: JwtSettings, keys: KeySet, *, default_scopes: tuple[str, ...], residency: tuple[str, ...]
    ) -> None:
        """Take the issuer's rules, the scopes of a token that names none, and the regions of every token."""
        self._rules = rules
        self._keys = keys
        self._default_scopes = default_scopes
        self._residency = residency

    def verify(self, token: str) -> Principal:
        """Give the token's principal.

        Raises `CredentialRefusedError`, and `KeySourceError` where the issuer's keys can't be had.
        """
        kid, algorithm = _read_header(token, self._rules.algorithms)
        key = self._keys.key_for(kid, algorithm)
        if key is None:
            raise CredentialRefusedError("token_key_unknown")
        return self._principal(self._claims(token, key, algorithm))

    def _claims(self, token: str, key: Any, algorithm: str) -> Mapping[str, Any]:
        import jwt  # noqa: PLC0415 - brings in cryptography; only a JWT's caller pays for it

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self._rules.audiences,
                issuer=self._rules.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"], "verify_sub": False, "verify_jti": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise CredentialRefusedError("token_expired") from error
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise CredentialRefusedError("token_" + type(error).__name__) from error
        return claims

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        rules = self._rules
        tenant, subject = claims.get(rules.tenant_claim), claims.get(rules.subject_claim)
        if not isinstance(tenant, str) or not is_tenant(tenant):
            raise CredentialRefusedError("token_tenant_missing")
        if not isinstance(subject, str) or not is_subject(subject):
            raise CredentialRefusedError("token_subject_missing")
        return Principal(
            method="jwt",
            tenant=tenant,
            subject=subject,
            key_id="",
            scopes=self._scopes(claims),
            models=(),
            residency=self._residency,
        )

    def _scopes(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """RFC 8693, section 4.2: a space-separated string; several identity providers send a list."""
        claim = claims.get(self._rules.scopes_claim) if self._rules.scopes_claim else None
        if claim is None:
            return self._default_scopes
        words = claim if isinstance(claim, list) else [claim]
        if not all(isinstance(word, str) for word in words):
            raise CredentialRefusedError("token_scopes_malformed")
        try:
            return parse_words(" ".join(words))
        except ValueError as error:
            raise CredentialRefusedError("token_scopes_malformed") from error


def _read_header(token: str, algorithms: tuple[str, ...]) -> tuple[str, str]:
    """Give `kid` and `alg` of a token that may be worth a signature check; `jwk`, `jku`, `x5u` are never read."""
    header = _decode_header(token)
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise CredentialRefusedError("token_algorithm_refused")
    if not isinstance(kid, str) or "crit" in header:  # RFC 7515, section 4.1.11: no extension is understood here
        raise CredentialRefusedError("token_header_refused")
    return kid, algorithm


def _decode_header(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or len(parts[0]) > _MAX_HEADER_LENGTH:  # noqa: PLR2004 - JWS compact form has three parts
        raise CredentialRefusedError("token_malformed")
    try:
        header = json.loads(urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise CredentialRefusedError("token_malformed") from error
    if not isinstance(header, dict):
        raise CredentialRefusedError("token_malformed")
    return header
