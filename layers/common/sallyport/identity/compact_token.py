"""A JWT in compact form (RFC 7515, section 3.1), taken apart; nothing of it is believed yet."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sallyport.identity import base64url
from sallyport.identity.credentials import MAX_CREDENTIAL_LENGTH, CredentialRefusedError
from sallyport.identity.strict_json import read_json


class CompactToken(NamedTuple):
    """`signed` are the bytes that the signature is of: header and payload as they came."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def read_compact(token: str) -> CompactToken:
    """Take a token apart. Raises `CredentialRefusedError` unless it can be read in one way only.

    Header members that bring or name a key (`jwk`, `jku`, `x5u`, `x5c`) are left where they are: nobody asks for them.
    """
    parts = token.split(".") if len(token) <= MAX_CREDENTIAL_LENGTH else ()
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise CredentialRefusedError("token_malformed")
    signed = f"{parts[0]}.{parts[1]}"
    try:
        header, claims = read_json(base64url.decode(parts[0])), read_json(base64url.decode(parts[1]))
        compact = CompactToken(header, claims, signed.encode(), base64url.decode(parts[2]))
    except ValueError as error:
        raise CredentialRefusedError("token_malformed") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise CredentialRefusedError("token_malformed")
    if "crit" in header:  # RFC 7515, section 4.1.11: no extension is understood here, so none may be critical
        raise CredentialRefusedError("token_extension_refused")
    return compact
