"""Which headers pass between a client and an operator's own app: lists of those that do, whatever else arrives.

An app may name more, but none that says who is calling or where from, carries a credential, or belongs to one
connection: those are the gateway's own to write, or nobody's.
"""

import re
from collections.abc import Iterable, Mapping

from sallyport.errors import RequestError

FORWARDED_HEADERS = (
    "accept",
    "accept-language",
    "content-language",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "last-event-id",
    "prefer",
    "range",
    "traceparent",
    "tracestate",
    "user-agent",
)
"""What of every client's headers goes to an app."""

RETURNED_HEADERS = (
    "accept-ranges",
    "allow",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-range",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "preference-applied",
    "retry-after",
    "vary",
)
"""What of every app's headers goes back. Not `www-authenticate`: a client has no credential of the app's."""

MAX_RETURNED_CHARS = 8000
"""Of all headers in an answer: Lambda takes 16 KB, the gateway's own among them."""

_NEVER_FORWARDED = frozenset(
    {
        "api-key",
        "authorization",
        "client-ip",
        "cookie",
        "cookie2",
        "forwarded",
        "host",
        "proxy",
        "true-client-ip",
        "x-api-key",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-origin-verify",
        "x-real-ip",
    }
)
_NEVER_FORWARDED_PREFIXES = ("x-amz", "x-forwarded", "x-original-", "x-rewrite-", "cloudfront-", "cf-")
_NEVER_RETURNED = frozenset({"set-cookie", "set-cookie2", "www-authenticate", "x-request-id"})
_NEVER_RETURNED_PREFIXES = ("ratelimit", "x-amz", "x-ratelimit-")
_OF_ONE_CONNECTION = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
"""RFC 9110, section 7.6.1, and what says how a body is sent."""
_OURS = ("proxy-", "x-sallyport")
_NAME = re.compile(r"[a-z0-9!#$&'*+.^`|~-]+")
"""Without underscores: to a CGI or WSGI application they are dashes."""
_TEXT = re.compile(r"[ -~\t]*")


def may_forward(name: str) -> bool:
    """Say whether an app may ask for a client's header of this name, in lower case."""
    return _may_pass(name) and name not in _NEVER_FORWARDED and not name.startswith(_NEVER_FORWARDED_PREFIXES)


def may_return(name: str) -> bool:
    """Say whether an app may have its header of this name, in lower case, shown to clients."""
    return _may_pass(name) and name not in _NEVER_RETURNED and not name.startswith(_NEVER_RETURNED_PREFIXES)


def forwarded_headers(client: Mapping[str, str], more: Iterable[str]) -> dict[str, str]:
    """Give what of a client's headers, by lower-case name, goes to the app, which has named `more`.

    Raises `RequestError` for one of them that can't be sent: left out, the request would mean something else.
    """
    names = dict.fromkeys([*FORWARDED_HEADERS, *filter(may_forward, map(str.lower, more))])
    headers = {name: client[name].strip(" \t") for name in names if name in client}
    for name, value in headers.items():
        if _TEXT.fullmatch(value) is None:
            raise RequestError(f"The header {name} has a character that can't be forwarded.", param=name)
    return headers


def returned_headers(app: Mapping[str, str], more: Iterable[str]) -> dict[str, str]:
    """Give what of an app's headers, by lower-case name, its clients see; those that can't be sent are left out."""
    headers: dict[str, str] = {}
    left = MAX_RETURNED_CHARS
    for name in dict.fromkeys([*RETURNED_HEADERS, *filter(may_return, map(str.lower, more))]):
        value = app.get(name, "")
        size = len(name) + len(value)
        if value and _TEXT.fullmatch(value) is not None and size <= left:
            headers[name] = value
            left -= size
    return headers


def _may_pass(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _OF_ONE_CONNECTION and not name.startswith(_OURS)
