"""Secrets from Secrets Manager, kept for a few minutes: an upstream's credential, and a proxy's origin secret."""

import hmac
import time
from collections.abc import Callable

from sallyport.adapters.aws_client import AwsCall, AwsError
from sallyport.errors import SecretUnavailableError

FRESH_S = 300.0
RETRY_S = 30.0
RETRY_WITHOUT_S = 1.0
"""Between two tries while there is no value that may still be used."""
STALE_S = 3600.0
"""While Secrets Manager can't be asked, the last value is used until it is this old."""
MIN_ORIGIN_SECRET_CHARS = 16


class CachedSecret:
    """One secret's text. Neither it nor a part of it is ever logged."""

    def __init__(self, client: AwsCall, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Where the clock goes backwards, as a wall clock may, the secret counts as too old."""
        self._client = client
        self._name = name
        self._clock = clock
        self._text = ""
        self._read_s = float("-inf")
        self._next_read_s = float("-inf")

    def read(self) -> str:
        """Give the secret. Raises `SecretUnavailableError` if it can't be read or isn't fit for a header."""
        now_s = self._clock()
        if now_s >= self._next_read_s or now_s < self._read_s:
            try:
                self._text = self._fetch()
                self._read_s, self._next_read_s = now_s, now_s + FRESH_S
            except SecretUnavailableError:
                if not 0 <= now_s - self._read_s < STALE_S:
                    raise
                self._next_read_s = now_s + RETRY_S
        return self._text

    def expire(self) -> None:
        """Have the secret read anew for the next request: the upstream has refused this one."""
        self._next_read_s = float("-inf")

    def _fetch(self) -> str:
        try:
            return _fetch(self._client, self._name, "AWSCURRENT")
        except AwsError as error:
            detail = f"secret {self._name}: {error.code}"
            raise SecretUnavailableError("The upstream's credential can't be read.", detail) from error
        except ValueError as error:
            detail = f"secret {self._name}: {error}"
            raise SecretUnavailableError("The upstream's credential isn't fit for use.", detail) from error


class OriginSecretValues:
    """The origin secret (`access.source.OriginSecret`): its current version, and the one before it while that is kept.

    So a rotation needs no moment at which the proxy and the gateway change together. What matches neither version makes
    the secret be read anew, at most every 30 s, so a new version counts at once, too.
    """

    def __init__(self, client: AwsCall, name: str, now_s: Callable[[], float] = time.time) -> None:
        """`now_s` is the wall clock: a process may be frozen between requests. One that went back makes all stale."""
        self._client = client
        self._name = name
        self._now_s = now_s
        self._values: tuple[bytes, bytes] = (b"", b"")
        self._read_s = self._tried_s = float("-inf")
        self._failure = ""

    def matches(self, presented: str) -> bool:
        """Compare in constant time with both versions. Raises `SecretUnavailableError` where none can be read."""
        now_s = self._now_s()
        if not _is_within(FRESH_S, self._read_s, now_s):
            self._refresh(now_s, RETRY_S if _is_within(STALE_S, self._read_s, now_s) else RETRY_WITHOUT_S)
        if not _is_within(STALE_S, self._read_s, now_s):
            raise SecretUnavailableError("The origin secret can't be read.", f"secret {self._name}: {self._failure}")
        if self._holds(presented):
            return True
        return self._refresh(now_s, RETRY_S) and self._holds(presented)

    def _holds(self, presented: str) -> bool:
        given = presented.encode("utf-8", "surrogatepass")
        current, previous = (hmac.compare_digest(given, value) for value in self._values)
        return current or previous

    def _refresh(self, now_s: float, retry_s: float) -> bool:
        """Read both versions unless that was tried within `retry_s`, and say whether they were read."""
        if _is_within(retry_s, self._tried_s, now_s):
            return False
        self._tried_s = now_s
        try:
            current = self._fetch_current()
            self._values = (current, self._fetch_previous() or current)
        except (AwsError, ValueError) as error:
            self._failure = error.code if isinstance(error, AwsError) else str(error)
            return False
        self._read_s = now_s
        return True

    def _fetch_current(self) -> bytes:
        return _long_enough(_fetch(self._client, self._name, "AWSCURRENT"))

    def _fetch_previous(self) -> bytes | None:
        """Give None where there is no such version (`ResourceNotFoundException`, as for a secret never changed)."""
        try:
            return _long_enough(_fetch(self._client, self._name, "AWSPREVIOUS"))
        except ValueError:
            return None  # whoever has mended an unfit secret shouldn't have to do it twice
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise


def _is_within(seconds: float, since_s: float, now_s: float) -> bool:
    return 0 <= now_s - since_s < seconds


def _fetch(client: AwsCall, name: str, stage: str) -> str:
    """Give one version's text. Raises `AwsError`, and `ValueError` if it isn't fit for a header."""
    text = str(client.call("GetSecretValue", {"SecretId": name, "VersionStage": stage}).get("SecretString", "")).strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("the secret isn't printable ASCII without spaces")
    return text


def _long_enough(text: str) -> bytes:
    if len(text) < MIN_ORIGIN_SECRET_CHARS:
        raise ValueError("the secret is short enough to be guessed")
    return text.encode()
