"""JWTs, checked under rules that the token itself has no say in (RFC 7519, 8725, 9068).

Its unverified `iss` chooses the issuer, and from there on that issuer's rules alone are gone by: the algorithm comes
from the configuration and the key, the key from the issuer's own by exact `kid`. PyJWT's algorithms check signatures.
Structure, time and audience are checked here: PyJWT takes more than it should, and has a clock of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sallyport.identity.claims import ClaimMapping
from sallyport.identity.compact_token import CompactToken, read_compact
from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.principal import Identity
from sallyport.identity.registered_claims import check_audience, check_issued, read_lifetime
from sallyport.identity.token_cache import CheckedToken, TokenCache, digest_of
from sallyport.identity.verification_keys import KeySourceError, VerificationKeys
from sallyport.policy.rules import MAX_LEEWAY_S, IssuerRules

type KeySourceOf = Callable[[IssuerRules], VerificationKeys]


class TokenVerifier:
    """Checks JWTs of several issuers, and remembers those found good.

    One belongs to one version of the policy: what it remembers was decided under that version and goes with it.
    """

    def __init__(
        self,
        issuers: Sequence[IssuerRules],
        key_source: KeySourceOf,
        zones: Mapping[str, tuple[str, ...]],
        claims_told: Sequence[str] = (),
    ) -> None:
        """Take the issuers' rules, what gives an issuer's keys, the regions of each zone, and the claims to tell.

        Raises `ValueError` for an issuer that stands twice or has too much leeway, and what `key_source` raises.
        """
        self._issuers = {
            rules.issuer: _Issuer(rules, key_source(rules), ClaimMapping(rules, zones, claims_told))
            for rules in issuers
        }
        self._cache = TokenCache()
        if len(self._issuers) != len(issuers):
            raise ValueError("an issuer stands twice")

    def verify(self, token: str, now_s: float) -> Identity:
        """Give whose token it is, at this time in epoch seconds.

        Raises `CredentialRefusedError`, and `KeySourceError` where the issuer's keys can't be had.
        """
        digest = digest_of(token)
        known = self._cache.find(digest, now_s)
        if known is not None:
            return known
        try:
            compact = read_compact(token)
            checked = self._issuer_of(compact.claims).check(compact, now_s)
        except CredentialRefusedError:
            self._cache.forget(digest)
            raise
        self._cache.keep(digest, checked)
        return checked.identity

    def verify_known(self, token: str, now_s: float) -> Identity | None:
        """Give whose token it is if it was found good before, checking it again when that is due; None otherwise.

        None costs no signature check: only who has a token in memory can cause one. Raises as `verify` does where the
        token isn't good any more, or its issuer's keys can't be had.
        """
        return self.verify(token, now_s) if self._cache.knows(digest_of(token)) else None

    def _issuer_of(self, claims: Mapping[str, Any]) -> "_Issuer":
        name = claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise CredentialRefusedError("token_issuer_unknown" if "iss" in claims else "token_issuer_missing")
        return issuer


class _Issuer:
    """One issuer's rules with its keys."""

    def __init__(self, rules: IssuerRules, keys: VerificationKeys, mapping: ClaimMapping) -> None:
        if not 0 <= rules.leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"leeway must be from 0 to {MAX_LEEWAY_S} seconds")
        self._rules = rules
        self._keys = keys
        self._mapping = mapping
        self._type = _media_type(rules.token_type)

    def check(self, token: CompactToken, now_s: float) -> CheckedToken:
        """Check the header before any key is asked for, the claims only once the signature is known to be good."""
        algorithm, kid = self._algorithm(token.header), self._kid(token.header)
        self._check_type(token.header)
        try:
            key = self._keys.key_for(kid, algorithm)
        except KeySourceError as error:
            raise KeySourceError(f"{self._rules.issuer}: {error}") from error
        if key is None:
            raise CredentialRefusedError("token_key_unknown")
        if not key.verifies(token.signed, token.signature):
            raise CredentialRefusedError("token_signature_wrong")
        lifetime = read_lifetime(token.claims, self._rules.leeway_s)
        lifetime.check(now_s)
        check_issued(token.claims, now_s, self._rules.leeway_s)
        check_audience(token.claims, self._rules.audiences)
        identity = self._mapping.read(token.claims)
        return CheckedToken(identity, lifetime, self._keys, key, kid=kid, algorithm=algorithm, checked_s=now_s)

    def _algorithm(self, header: Mapping[str, Any]) -> str:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            raise CredentialRefusedError("token_algorithm_refused")
        return algorithm

    def _kid(self, header: Mapping[str, Any]) -> str | None:
        """Give the key's id; an issuer with a secret has one key, and what its tokens call it is nothing to us."""
        kid = header.get("kid")
        if "kid" in header and not isinstance(kid, str):
            raise CredentialRefusedError("token_kid_malformed")
        if self._rules.hmac_secret:
            return None
        if kid is None:
            raise CredentialRefusedError("token_kid_missing")
        return str(kid)

    def _check_type(self, header: Mapping[str, Any]) -> None:
        """RFC 9068, section 4: an ID token, signed by the same key, is no access token."""
        kind = header.get("typ")
        if self._type and (not isinstance(kind, str) or _media_type(kind) != self._type):
            raise CredentialRefusedError("token_type_refused")


def _media_type(text: str) -> str:
    """RFC 7515, section 4.1.9: `application/` may be left out, and case counts for nothing."""
    return text.lower().removeprefix("application/")
