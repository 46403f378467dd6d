"""The claims that say whether a token is for us and in force now (RFC 7519, section 4.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.identity.credentials import CredentialRefusedError

MAX_NUMERIC_DATE = 253_402_300_799
"""The last second of the year 9999. What lies beyond it was written in milliseconds, or to last for ever."""

_REFUSED = {"exp": "token_exp_malformed", "nbf": "token_nbf_malformed", "iat": "token_iat_malformed"}


class Lifetime:
    """From when until when a token is in force, leeway included: epoch seconds, the first in it, the last not."""

    __slots__ = ("_begins_s", "_ends_s")

    def __init__(self, begins_s: float, ends_s: float) -> None:
        self._begins_s = begins_s
        self._ends_s = ends_s

    def check(self, now_s: float) -> None:
        """Raise `CredentialRefusedError` unless the token is in force."""
        if now_s >= self._ends_s:
            raise CredentialRefusedError("token_expired")
        if now_s < self._begins_s:
            raise CredentialRefusedError("token_not_yet_valid")

    def includes(self, now_s: float) -> bool:
        """Say whether the token is in force."""
        return self._begins_s <= now_s < self._ends_s


def read_lifetime(claims: Mapping[str, Any], leeway_s: float) -> Lifetime:
    """Read `exp`, which must be there, and `nbf`. Raises `CredentialRefusedError` for what isn't a NumericDate."""
    expires_s, begins_s = _numeric_date(claims, "exp"), _numeric_date(claims, "nbf")
    if expires_s is None:
        raise CredentialRefusedError("token_exp_missing")
    return Lifetime(float("-inf") if begins_s is None else begins_s - leeway_s, expires_s + leeway_s)


def check_issued(claims: Mapping[str, Any], now_s: float, leeway_s: float) -> None:
    """Refuse a token from the future: somebody's clock can't be trusted. Raises `CredentialRefusedError`."""
    issued_s = _numeric_date(claims, "iat")
    if issued_s is not None and now_s < issued_s - leeway_s:
        raise CredentialRefusedError("token_issued_in_future")


def check_audience(claims: Mapping[str, Any], audiences: Sequence[str]) -> None:
    """Refuse a token that isn't for one of these. Raises `CredentialRefusedError`."""
    if "aud" not in claims:
        raise CredentialRefusedError("token_audience_missing")
    named = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not named or not all(isinstance(name, str) for name in named):
        raise CredentialRefusedError("token_audience_malformed")
    if not any(name in audiences for name in named):
        raise CredentialRefusedError("token_audience_wrong")


def _numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """RFC 7519, section 2: a JSON number, a fractional one too; Python's parser makes 1e400 infinite."""
    if name not in claims:
        return None
    number = claims[name]
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise CredentialRefusedError(_REFUSED[name])
    if not -MAX_NUMERIC_DATE <= number <= MAX_NUMERIC_DATE:
        raise CredentialRefusedError(_REFUSED[name])
    return number
