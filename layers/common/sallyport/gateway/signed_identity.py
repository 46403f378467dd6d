"""Who is calling, told to an operator's own app in headers that only this gateway can have written.

The app shares a secret with the gateway. A signature over the identity and over the request itself proves both: neither
can be changed on the way, and none can be used for another request, or much later.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from sallyport.errors import SecretUnavailableError
from sallyport.identity.principal import Principal
from sallyport.providers.transport import UpstreamRequest

PREFIX = "x-sallyport-"
"""Of all headers that the gateway alone may send."""

SIGNATURE_VERSION = "v1"
SIGNED = ("tenant", "subject", "key-id", "scopes", "method", "request-id")
"""The identity's headers without their prefix, in the order in which they are signed. `method`: how the caller proved
to be who it is, `api_key` or `jwt`."""

MIN_SECRET_CHARS = 32
"""RFC 2104, section 3: a key shorter than the hash's output weakens the signature."""

_UNQUOTED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


class Signing(NamedTuple):
    """Who is calling, in which request, and when: the wall clock's whole seconds."""

    principal: Principal
    request_id: str
    at_s: int


def signed(request: UpstreamRequest, signing: Signing, secret: str) -> UpstreamRequest:
    """Give the request with the caller's identity. It must be sent as it is: method, target and body are signed.

    Raises `SecretUnavailableError` for a secret that is missing or could be guessed: whoever has it can be anybody.
    """
    if len(secret) < MIN_SECRET_CHARS:
        raise SecretUnavailableError("The app's signing secret isn't fit for use.", "the secret is too short")
    identity = _identity(signing)
    timestamp = str(signing.at_s)
    text = canonical(request.method, request.target, request.body, timestamp, list(identity.values()))
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    named = {**identity, "timestamp": timestamp, "signature": f"{SIGNATURE_VERSION}={digest}"}
    return request._replace(headers={**request.headers, **{PREFIX + name: value for name, value in named.items()}})


def canonical(method: str, target: str, body: bytes, timestamp: str, identity: Sequence[str]) -> str:
    """Give what is signed, line by line; `identity` are the values of `SIGNED`, as they stand in the headers."""
    return "\n".join([SIGNATURE_VERSION, timestamp, method, target, hashlib.sha256(body).hexdigest(), *identity])


def _identity(signing: Signing) -> Mapping[str, str]:
    principal = signing.principal
    values = (
        principal.tenant,
        _as_header(principal.subject),
        principal.key_id,
        " ".join(principal.scopes),
        principal.method,
        signing.request_id,
    )
    return dict(zip(SIGNED, values, strict=True))


def _as_header(text: str) -> str:
    """Percent-encode spaces, percent signs and what isn't ASCII, so that no two texts look the same in a header."""
    return quote(text, safe=_UNQUOTED)
