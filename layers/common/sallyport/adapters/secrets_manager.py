"""The upstream's credential, from Secrets Manager, kept for a few minutes."""

import time
from collections.abc import Callable

from sallyport.adapters.aws_client import AwsCall, AwsError
from sallyport.errors import SecretUnavailableError

FRESH_S = 300.0
RETRY_S = 30.0
STALE_S = 3600.0
"""While Secrets Manager can't be asked, the last value is used until it is this old."""


class CachedSecret:
    """One secret's text. Neither it nor a part of it is ever logged."""

    def __init__(self, client: AwsCall, name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._name = name
        self._monotonic = monotonic
        self._text = ""
        self._read_s = float("-inf")
        self._next_read_s = float("-inf")

    def read(self) -> str:
        """Give the secret. Raises `SecretUnavailableError` if it can't be read or isn't fit for a header."""
        now_s = self._monotonic()
        if now_s >= self._next_read_s:
            try:
                self._text = self._fetch()
                self._read_s, self._next_read_s = now_s, now_s + FRESH_S
            except SecretUnavailableError:
                if now_s - self._read_s >= STALE_S:
                    raise
                self._next_read_s = now_s + RETRY_S
        return self._text

    def expire(self) -> None:
        """Have the secret read anew for the next request: the upstream has refused this one."""
        self._next_read_s = float("-inf")

    def _fetch(self) -> str:
        try:
            text = self._client.call("GetSecretValue", {"SecretId": self._name}).get("SecretString", "")
        except AwsError as error:
            raise SecretUnavailableError("The upstream's credential can't be read.") from error
        stripped = str(text).strip()
        if not stripped or not stripped.isascii() or any(not c.isprintable() or c == " " for c in stripped):
            raise SecretUnavailableError("The upstream's credential isn't fit for use.")
        return stripped
