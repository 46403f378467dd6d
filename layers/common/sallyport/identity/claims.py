"""What a token's claims say of its holder, under its issuer's rules: tenant, subject, scopes, residency."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.principal import Identity, is_subject, is_tenant, parse_regions
from sallyport.policy.rules import SCOPES, IssuerRules

type Claims = Mapping[str, Any]

MAX_TOLD_CHARS = 256
"""Of a claim's value that the router is told. A longer one is left out, since half of it would be another."""

_MISSING = object()


class ClaimMapping:
    """Reads an `Identity` from claims whose signature has been checked."""

    def __init__(
        self, rules: IssuerRules, zones: Mapping[str, tuple[str, ...]], claims_told: Iterable[str] = ()
    ) -> None:
        """Take the issuer's rules, the regions of each zone that a residency claim may name, and the claims to tell."""
        self._rules = rules
        self._zones = zones
        self._tenant = _path(rules.tenant_claim)
        self._subject = _path(rules.subject_claim)
        self._scopes = tuple(_path(claim) for claim in rules.scopes_claims if claim)
        self._residency = _path(rules.residency_claim) if rules.residency_claim else None
        self._told = {claim: _path(claim) for claim in claims_told}

    def read(self, claims: Claims) -> Identity:
        """Give whose token it is. Raises `CredentialRefusedError`."""
        return Identity(
            method="jwt",
            tenant=self._read_tenant(claims),
            subject=self._read_subject(claims),
            scopes=self._read_scopes(claims),
            residency=self._read_residency(claims),
            claims=self._read_told(claims),
        )

    def _read_tenant(self, claims: Claims) -> str:
        rules = self._rules
        tenant = rules.tenant or _find(claims, self._tenant)
        if not isinstance(tenant, str) or not is_tenant(tenant):
            raise CredentialRefusedError("token_tenant_missing")
        if rules.tenants and tenant not in rules.tenants:
            raise CredentialRefusedError("token_tenant_not_the_issuers")
        return tenant

    def _read_subject(self, claims: Claims) -> str:
        subject = _find(claims, self._subject)
        if not isinstance(subject, str) or not is_subject(subject):
            raise CredentialRefusedError("token_subject_missing")
        return subject

    def _read_scopes(self, claims: Claims) -> tuple[str, ...]:
        """Give the scopes that a route may ask for; a token's others are nothing to us."""
        found = [claim for path in self._scopes if (claim := _find(claims, path)) is not _MISSING]
        if not found:
            return self._rules.default_scopes
        prefix = self._rules.scope_prefix
        words = {word.removeprefix(prefix) for claim in found for word in _words(claim) if word.startswith(prefix)}
        return tuple(scope for scope in SCOPES if scope in words)

    def _read_residency(self, claims: Claims) -> tuple[str, ...] | None:
        """Give the regions that a token is confined to. Where it must say so, one that doesn't is refused."""
        if self._residency is None:
            return None
        claim = _find(claims, self._residency)
        names = claim.replace(",", " ").split() if isinstance(claim, str) else claim
        if names is _MISSING or not names:
            raise CredentialRefusedError("token_residency_missing")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CredentialRefusedError("token_residency_unknown")
        return self._regions(names)

    def _read_told(self, claims: Claims) -> tuple[tuple[str, str], ...]:
        """Give the claims that the policy asks for, those that have one plain value."""
        found = ((claim, _text(_find(claims, path))) for claim, path in self._told.items())
        return tuple((claim, text) for claim, text in found if text is not None)

    def _regions(self, names: Iterable[str]) -> tuple[str, ...]:
        regions: dict[str, None] = {}
        for name in names:
            found = self._zones[name] if name in self._zones else _region(name)
            if not found:
                raise CredentialRefusedError("token_residency_unknown")
            regions |= dict.fromkeys(found)
        return tuple(regions)


def _region(name: str) -> tuple[str, ...]:
    """Give the one region of this name, none if it isn't one region's name."""
    try:
        regions = parse_regions(name)
    except ValueError:
        return ()
    return regions if regions == (name,) else ()


def _path(claim: str) -> tuple[str, ...]:
    """RFC 6901: what begins with a slash is a JSON Pointer; any other name is a claim's, slashes in it included."""
    if not claim.startswith("/"):
        return (claim,)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in claim[1:].split("/"))


def _find(claims: Claims, path: Sequence[str]) -> Any:
    value: Any = claims
    for name in path:
        if isinstance(value, dict):
            value = value.get(name, _MISSING)
        else:
            value = _element(value, name) if isinstance(value, list) else _MISSING
    return value


def _element(values: list[Any], index: str) -> Any:
    """RFC 6901, section 4: digits without a leading zero."""
    known = (str(number) for number in range(len(values)))
    return next((value for value, number in zip(values, known, strict=True) if number == index), _MISSING)


def _text(value: object) -> str | None:
    """Give a text as it is, a number or a truth value as JSON; None for anything else, and what is too long to tell."""
    text = value if isinstance(value, str) else json.dumps(value) if isinstance(value, bool | int | float) else ""
    return text if 0 < len(text) <= MAX_TOLD_CHARS and text.isprintable() else None


def _words(claim: object) -> list[str]:
    """RFC 8693, section 4.2: a space-separated string; several identity providers send a list."""
    words = claim.split(" ") if isinstance(claim, str) else claim
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise CredentialRefusedError("token_scopes_malformed")
    return words
