"""AWS Signature Version 4 for requests with their whole body at hand, to every service but S3.

S3 alone signs a path as it is sent; for all others what is encoded in it is encoded once more.

Source: AWS General Reference, "Create a signed AWS API request". Checked against botocore's signer in the tests.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import NamedTuple

_UNENCODED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


class Credentials(NamedTuple):
    """What signs; in Lambda they come with the environment and hold as long as the process."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        return "Credentials(...)"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Credentials":
        """Read the three variables that Lambda sets. Raises `ValueError` if the first two are missing."""
        key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
        if not key_id or not secret:
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set")
        return cls(key_id, secret, environ.get("AWS_SESSION_TOKEN", ""))


class Signer:
    """Signs for one service in one region; the signing key is derived once a day."""

    def __init__(self, credentials: Credentials, region: str, service: str, host: str) -> None:
        self._credentials = credentials
        self._scope = f"{region}/{service}/aws4_request"
        self._region = region
        self._service = service
        self._host = host
        self._day = ""
        self._key = b""

    def sign(
        self, headers: Mapping[str, str], body: bytes, now_s: float, *, method: str = "POST", target: str = "/"
    ) -> dict[str, str]:
        """Give the headers with `Host`, `X-Amz-Date`, `Authorization` (and the session token) added.

        All headers given are signed. `target` is path and query as they are sent: percent-encoded, and the path without
        empty or dot segments.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        signed = {name.lower(): value for name, value in headers.items()}
        signed |= {"host": self._host, "x-amz-date": stamp}
        if self._credentials.session_token:
            signed["x-amz-security-token"] = self._credentials.session_token
        names = ";".join(sorted(signed))
        scope = f"{stamp[:8]}/{self._scope}"
        signature = self._signature(_canonical_request(method, target, signed, body), stamp, scope)
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._credentials.access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return signed

    def _signature(self, canonical_request: str, stamp: str, scope: str) -> str:
        digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        return hmac.new(self._signing_key(stamp[:8]), to_sign.encode(), hashlib.sha256).hexdigest()

    def _signing_key(self, day: str) -> bytes:
        if day != self._day:
            key = f"AWS4{self._credentials.secret_access_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day, self._key = day, key
        return self._key


def _canonical_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    path, _, query = target.partition("?")
    names = sorted(headers)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    digest = hashlib.sha256(body).hexdigest()
    return f"{method}\n{_encoded(path)}\n{_canonical_query(query)}\n{lines}\n{';'.join(names)}\n{digest}"


def _encoded(path: str) -> str:
    """Encode a path that is encoded already: `%3A` becomes `%253A`."""
    return "".join(char if char in _UNENCODED else f"%{ord(char):02X}" for char in path)


def _canonical_query(query: str) -> str:
    """Sort by name and value; the encoding is the sender's."""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
    return "&".join(f"{name}={value}" for name, value in pairs)
