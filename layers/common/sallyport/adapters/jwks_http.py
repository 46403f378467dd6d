"""Fetches an issuer's JWKS document, by its URL or by the discovery document that names it.

No redirect is followed; time and size are bounded, all requests of one fetch together.
"""

from collections.abc import Callable

from sallyport.adapters.connection import KeptConnection, within
from sallyport.adapters.socket_reader import Wait
from sallyport.http1 import ResponseError
from sallyport.identity.jwks import MAX_DOCUMENT_BYTES
from sallyport.identity.strict_json import read_json
from sallyport.identity.verification_keys import KeySourceError, NoTimeLeftError
from sallyport.policy.urls import check_published_url, check_url, is_loopback, parse_url

TIMEOUT_S = 3.0


class HttpKeySource:
    """A `KeySource` that fetches from one URL."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, left_s: Callable[[], float] = lambda: TIMEOUT_S) -> None:
        """`left_s` says how long the caller can wait."""
        self._url = url
        self._timeout_s = timeout_s
        self._left_s = left_s

    def fetch(self) -> bytes:
        """Give the document. Raises `KeySourceError` for anything but a 200 of at most 256 KB within the timeout."""
        return _get(self._url, _wait(self._timeout_s, self._left_s()))


class DiscoveredKeySource:
    """A `KeySource` that asks the issuer's discovery document (OpenID Connect Discovery 1.0) where its keys are.

    It is asked anew for each fetch, which is seldom: an issuer may move its keys.
    """

    def __init__(
        self,
        url: str,
        issuer: str,
        *,
        loopback_http: bool,
        timeout_s: float = TIMEOUT_S,
        left_s: Callable[[], float] = lambda: TIMEOUT_S,
    ) -> None:
        """With `loopback_http`, a document on this very machine may name a URL on it."""
        self._url = url
        self._issuer = issuer
        self._loopback_http = loopback_http and is_loopback(url)
        self._timeout_s = timeout_s
        self._left_s = left_s

    def fetch(self) -> bytes:
        """Give the JWKS document, as `HttpKeySource` does. Raises `KeySourceError`."""
        wait = _wait(self._timeout_s, self._left_s())
        return _get(self._read_keys_url(_get(self._url, wait)), wait)

    def _read_keys_url(self, document: bytes) -> str:
        """Section 4.3: the document's `issuer` is exactly the configured one, or another issuer speaks for it.

        A document must not have us call what only this machine can reach: on Lambda, the Runtime API.
        """
        try:
            metadata = read_json(document)
            issuer, url = metadata["issuer"], metadata["jwks_uri"]
        except (ValueError, KeyError, TypeError) as error:
            raise KeySourceError("not a discovery document") from error
        if issuer != self._issuer:
            raise KeySourceError("the discovery document is another issuer's")
        try:
            return check_url(url) if self._loopback_http else check_published_url(url)
        except (ValueError, TypeError) as error:
            raise KeySourceError("the discovery document names a URL that isn't gone to") from error


def _wait(timeout_s: float, left_s: float) -> Wait:
    """Give how long a fetch may wait. Raises `NoTimeLeftError`."""
    if left_s <= 0:
        raise NoTimeLeftError("no time left to fetch keys")
    return within(min(timeout_s, left_s))


def _get(url: str, wait: Wait) -> bytes:
    target = parse_url(url)
    headers = {"host": target.authority, "accept": "application/json", "accept-encoding": "identity"}
    connection = KeptConnection(target, TIMEOUT_S)
    try:
        response = connection.request("GET", target.path or "/", headers, b"", wait)
        document = response.read_all(MAX_DOCUMENT_BYTES)
    except (OSError, ResponseError) as error:
        raise KeySourceError(type(error).__name__) from error
    finally:
        connection.close()
    if response.status != 200:  # noqa: PLR2004 - HTTP
        raise KeySourceError(f"status {response.status}")
    return document
