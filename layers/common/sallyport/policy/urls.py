"""URLs that the operator may configure: https, or http to this very machine; and those that a remote document may name.

One strict pattern reads them, for the check and for the connection alike: the standard library's `urlsplit` finds hosts
where another parser would find different ones.
"""

import re
from typing import NamedTuple

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<authority>(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?)"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*)"
)
_NUMBER = re.compile(r"[0-9]+|0[Xx][0-9A-Fa-f]*")
"""A host whose last label is one is an IPv4 address to some resolver (WHATWG URL, 3.5): 127.1, 2130706433, 0x7f.1."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_PORT = 65_535


class Url(NamedTuple):
    """A URL taken apart. `host` is without an IPv6 address's brackets; `authority` is what a Host header has."""

    scheme: str
    host: str
    port: int
    authority: str
    path: str


def parse_url(text: str) -> Url:
    """Read an http or https URL without user, query or fragment. Raises `ValueError` that says what is wrong."""
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("must be an http(s) URL of a host, maybe a port and a path, and nothing else")
    port = int(match["port"] or (443 if match["scheme"] == "https" else 80))
    if port > _MAX_PORT:
        raise ValueError("must have a port of at most 65535")
    return Url(match["scheme"], match["host"].strip("[]"), port, match["authority"], match["path"])


def check_url(text: str, *, loopback_http: bool = True) -> str:
    """Give a URL back if prompts and keys may go there. Raises `ValueError` that says why not.

    Without `loopback_http` http isn't taken at all: on Lambda, loopback is where the Runtime API listens.
    """
    url = parse_url(text)
    if url.scheme != "https" and not (loopback_http and url.host in _LOOPBACK):
        exception = " (http:// only to this machine itself)" if loopback_http else ""
        raise ValueError(f"must begin with https://{exception}")
    return text


def check_published_url(text: str) -> str:
    """Give a URL back if a document from elsewhere may send us there: https, and the host has a public kind of name.

    Raises `ValueError` that says why not. An address as the host is refused, in any notation, and so is `localhost`.
    """
    host = parse_url(check_url(text, loopback_http=False)).host.lower()
    last = host.rpartition(".")[2]
    if ":" in host or _NUMBER.fullmatch(last) is not None or last == "localhost":
        raise ValueError("must have a name as its host, not an address or this machine")
    return text


def is_loopback(text: str) -> bool:
    """Say whether a URL leads to this very machine. Raises `ValueError` for what isn't a URL."""
    return parse_url(text).host in _LOOPBACK
