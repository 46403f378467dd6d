"""Where a request comes from: the address that API Gateway saw, or the one that a trusted proxy vouches for.

Anyone can put a CloudFront distribution of their own before the gateway, and then its addresses are CloudFront's, so an
address alone makes no proxy trusted: the request has to carry a secret that only the operator's own distribution adds.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sallyport.access.networks import NetworkSet, format_address, parse_address

SECRET_HEADER = "x-origin-verify"  # noqa: S105 - a header's name
FORWARDED_HEADER = "x-forwarded-for"
COUNTRY_HEADER = "cloudfront-viewer-country"
MAX_HOPS = 64
UNREADABLE_COUNTRY = "?"
"""Two countries, or what can't be one: some proxy let a client's own header pass, so no list can be trusted with it."""
MAX_FORWARDED_CHARS = 2048
"""How much of `X-Forwarded-For` is looked at, from its end: so what a client puts before it hides nothing."""

type Headers = Mapping[str, Sequence[str]]
"""By lower-case name, every value in the order in which they came."""


class Source(NamedTuple):
    """A client's address as canonical text, and as IP version and number. `country`: ISO 3166-1, or empty, or `?`."""

    address: str
    version: int
    number: int
    country: str = ""


class SourceUnreadableError(Exception):
    """It can't be said where the request comes from, so no list can be trusted to judge it; `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OriginSecret(Protocol):
    """The secret that the operator's own proxy adds to each request."""

    def matches(self, presented: str) -> bool:
        """Say in constant time whether it is the secret, current or previous. Raises where that can't be known."""


class SourceReader:
    """Finds the source of requests. Without an origin secret no proxy is trusted."""

    def __init__(
        self, trusted_proxies: NetworkSet, origin_secret: OriginSecret | None, *, required: bool = False
    ) -> None:
        """With `required`, what doesn't come through a trusted proxy with the secret is refused."""
        self._trusted_proxies = trusted_proxies
        self._origin_secret = origin_secret
        self._required = required

    def read(self, source_ip: str, headers: Headers) -> Source:
        """Give the source. Raises `SourceUnreadableError`, and what `OriginSecret.matches` raises."""
        try:
            version, number = parse_address(source_ip)
        except ValueError:
            raise SourceUnreadableError("address_unreadable") from None
        if not self._is_trusted_proxy(version, number, headers):
            if self._required:
                raise SourceUnreadableError("origin_unproven")
            return Source(format_address(version, number), version, number)
        version, number = self._forwarded_for(headers.get(FORWARDED_HEADER, ())) or (version, number)
        return Source(format_address(version, number), version, number, _country(headers.get(COUNTRY_HEADER, ())))

    def _is_trusted_proxy(self, version: int, number: int, headers: Headers) -> bool:
        if self._origin_secret is None or not self._trusted_proxies.contains(version, number):
            return False
        # A proxy may add its header beside the client's own, or append to it; nobody but the proxy knows the secret, so
        # it counts wherever it stands. A secret may hold a comma.
        values = headers.get(SECRET_HEADER, ())
        presented = {part.strip(" \t") for value in values for part in (value, *value.split(","))} - {""}
        return any(self._origin_secret.matches(value) for value in presented)

    def _forwarded_for(self, values: Sequence[str]) -> tuple[int, int] | None:
        """Give the rightmost address that is no trusted proxy; each proxy appends its peer, API Gateway last of all.

        None where there are trusted proxies alone. Raises `SourceUnreadableError`.
        """
        entries, is_all = _last_entries(",".join(values))
        for entry in reversed(entries):
            try:
                version, number = parse_address(entry.strip(" \t"))
            except ValueError:
                raise SourceUnreadableError("forwarded_for_unreadable") from None
            if not self._trusted_proxies.contains(version, number):
                return version, number
        if not is_all:
            raise SourceUnreadableError("forwarded_for_unreadable")
        return None


def _last_entries(forwarded: str) -> tuple[list[str], bool]:
    """Give the entries at the end that are looked at, and whether those are all."""
    if not forwarded:
        return [], True
    end = forwarded[-MAX_FORWARDED_CHARS:]
    entries = end.split(",")
    if len(end) < len(forwarded):
        del entries[0]  # it may lack its beginning
    is_all = len(end) == len(forwarded) and len(entries) <= MAX_HOPS
    return entries[-MAX_HOPS:], is_all


def _country(values: Sequence[str]) -> str:
    if not values:
        return ""
    code = values[0] if len(values) == 1 else ""
    is_code = len(code) == 2 and code.isascii() and code.isalpha() and code.isupper()  # noqa: PLR2004 - ISO 3166-1
    return code if is_code else UNREADABLE_COUNTRY
