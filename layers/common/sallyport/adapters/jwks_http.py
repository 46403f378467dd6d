"""Fetches an issuer's JWKS document: no redirect is followed, time and size are bounded."""

from urllib.parse import urlsplit

from sallyport.adapters.connection import KeptConnection, Origin
from sallyport.http1 import ResponseError
from sallyport.identity.jwks import KeySourceError

TIMEOUT_S = 3.0
MAX_BYTES = 262_144


class HttpKeySource:
    """A `KeySource` that fetches from one URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host = parts.netloc
        self._connection = KeptConnection(Origin.of(url), TIMEOUT_S)

    def fetch(self) -> bytes:
        """Give the document. Raises `KeySourceError` for anything but a 200 of at most 256 KB within the timeout."""
        headers = {"host": self._host, "accept": "application/json", "accept-encoding": "identity"}
        try:
            response = self._connection.request("GET", self._target, headers, b"", TIMEOUT_S)
            document = response.read_all(MAX_BYTES)
        except (OSError, ResponseError) as error:
            raise KeySourceError(type(error).__name__) from error
        finally:
            self._connection.close()
        if response.status != 200:  # noqa: PLR2004 - HTTP
            raise KeySourceError(f"status {response.status}")
        return document
