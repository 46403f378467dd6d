"""Fetches an issuer's JWKS document: no redirect is followed, time and size are bounded."""

from sallyport.adapters.connection import KeptConnection, within
from sallyport.http1 import ResponseError
from sallyport.identity.jwks import KeySourceError
from sallyport.policy.urls import parse_url

TIMEOUT_S = 3.0
MAX_BYTES = 262_144


class HttpKeySource:
    """A `KeySource` that fetches from one URL."""

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._connection = KeptConnection(self._url, TIMEOUT_S)

    def fetch(self) -> bytes:
        """Give the document. Raises `KeySourceError` for anything but a 200 of at most 256 KB within the timeout."""
        headers = {"host": self._url.authority, "accept": "application/json", "accept-encoding": "identity"}
        try:
            response = self._connection.request("GET", self._url.path or "/", headers, b"", within(TIMEOUT_S))
            document = response.read_all(MAX_BYTES)
        except (OSError, ResponseError) as error:
            raise KeySourceError(type(error).__name__) from error
        finally:
            self._connection.close()
        if response.status != 200:  # noqa: PLR2004 - HTTP
            raise KeySourceError(f"status {response.status}")
        return document
