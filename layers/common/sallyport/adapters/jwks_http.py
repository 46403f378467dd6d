"""Fetches an issuer's JWKS document: no redirect is followed, time and size are bounded."""

import http.client
from urllib.parse import urlsplit

from sallyport.adapters.connection import KeptConnection, Origin
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
        headers = {"Host": self._host, "Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            response = self._connection.request("GET", self._target, headers, None, TIMEOUT_S)
            document = response.read(MAX_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise KeySourceError(type(error).__name__) from error
        finally:
            self._connection.close()
        if response.status != 200 or len(document) > MAX_BYTES:  # noqa: PLR2004 - HTTP
            raise KeySourceError(f"status {response.status}, {len(document)} bytes")
        return document
