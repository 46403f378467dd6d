"""Finds the one credential of a request, or refuses: anything ambiguous is no credential."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

HEADERS = ("authorization", "x-api-key", "api-key")
"""Where SDKs put it: OpenAI's in Authorization, Anthropic's in x-api-key, Azure's in api-key."""

MAX_CREDENTIAL_LENGTH = 8192
_MAX_HEADER_LENGTH = MAX_CREDENTIAL_LENGTH + 64
"""With the scheme before it."""

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>[^ ]+)")  # RFC 9110, section 11.1: the scheme is caseless
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1: b64token


class CredentialRefusedError(Exception):
    """Nobody is let in. `reason` goes to the log alone: the client's answer is the same for all of them."""

    def __init__(self, reason: str, *, key_id: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.key_id = key_id


class Credential(NamedTuple):
    """`method` is `api_key` or `jwt`; `text` is secret and must not be logged."""

    method: str
    text: str

    def __repr__(self) -> str:
        return f"Credential(method={self.method!r}, text=...)"


def find_credential(headers: Mapping[str, Iterable[object]]) -> Credential:
    """Give the request's one credential, from headers with lower-case names.

    Raises `CredentialRefusedError` if there is none, a malformed one, or two that differ (the same one in two headers
    is fine: some SDKs send it twice). A value may be anything that an event's JSON can hold.
    """
    found = {_read(name, value) for name in HEADERS for value in _values(headers, name)}
    if not found:
        raise CredentialRefusedError("no_credential")
    if len(found) > 1:
        raise CredentialRefusedError("several_credentials")
    text = found.pop()
    return Credential("api_key" if text.startswith("sp_") else "jwt", text)


def _values(headers: Mapping[str, Iterable[object]], name: str) -> Iterable[object]:
    values = headers.get(name, ())
    if not isinstance(values, list | tuple):
        raise CredentialRefusedError("credential_malformed")
    return values


def _read(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_HEADER_LENGTH:
        raise CredentialRefusedError("credential_malformed")
    token = value
    if name == "authorization":
        match = _BEARER.fullmatch(value)
        if match is None:
            raise CredentialRefusedError("authorization_malformed")
        token = match["token"]
    if len(token) > MAX_CREDENTIAL_LENGTH or _TOKEN.fullmatch(token) is None:
        raise CredentialRefusedError("credential_malformed")
    return token
