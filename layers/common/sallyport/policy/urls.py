"""URLs that the operator may configure: https, or http to this very machine."""

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-f:]+\]")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def check_url(text: str) -> str:
    """Give the URL back if it may be called. Raises `ValueError` that says why not.

    Stricter than `urlsplit`, which finds a host where another parser would find a different one.
    """
    if not text.isascii() or any(c <= " " or c in '\\"<>^`{|}' for c in text):
        raise ValueError("has a character that URLs can't have")
    parts = urlsplit(text)
    if "@" in parts.netloc or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError("must have no user, query or fragment")
    host, _, port = parts.netloc.rpartition(":") if re.search(r":[0-9]*$", parts.netloc) else (parts.netloc, "", "1")
    if _HOST.fullmatch(host) is None or not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004 - TCP
        raise ValueError("must name a host, and may name a port")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must begin with https:// (http:// only to this machine itself)")
    return text
