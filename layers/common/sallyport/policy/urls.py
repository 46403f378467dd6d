"""URLs that the operator may configure: https, or http to this very machine.

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


def check_url(text: str) -> str:
    """Give a URL back if prompts and keys may go there. Raises `ValueError` that says why not."""
    url = parse_url(text)
    if url.scheme != "https" and url.host not in _LOOPBACK:
        raise ValueError("must begin with https:// (http:// only to this machine itself)")
    return text
