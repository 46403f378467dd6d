"""AWS Signature Version 4 for POST requests with a small body and no query: all that DynamoDB and Secrets Manager need.

Source: AWS General Reference, "Create a signed AWS API request". Checked against botocore's signer in the tests.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import NamedTuple


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

    def sign(self, headers: Mapping[str, str], body: bytes, now_s: float) -> dict[str, str]:
        """Give the headers with `Host`, `X-Amz-Date`, `Authorization` (and the session token) added."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        signed = {name.lower(): value for name, value in headers.items()}
        signed |= {"host": self._host, "x-amz-date": stamp}
        if self._credentials.session_token:
            signed["x-amz-security-token"] = self._credentials.session_token
        names = ";".join(sorted(signed))
        scope = f"{stamp[:8]}/{self._scope}"
        signature = self._signature(_canonical_request(signed, names, body), stamp, scope)
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


def _canonical_request(headers: Mapping[str, str], signed_names: str, body: bytes) -> str:
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    return f"POST\n/\n\n{lines}\n{signed_names}\n{hashlib.sha256(body).hexdigest()}"
