"""What an app is asked: a client's method, path, query, allowed headers and body, and nothing else of its request."""

from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.errors import MethodNotAllowedError, RequestError, RequestTooLargeError, UnsupportedMediaTypeError
from sallyport.gateway.app_headers import forwarded_headers
from sallyport.gateway.app_paths import app_target
from sallyport.gateway.request import MAX_BODY_BYTES, Request
from sallyport.policy.upstream_rules import AppRules, UpstreamRules
from sallyport.policy.urls import parse_url
from sallyport.providers.transport import UpstreamRequest

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

type Query = Mapping[str, Sequence[str]]
"""Each name's values, as API Gateway has decoded them."""


def read_query(event: Mapping[str, Any]) -> Query:
    """Give a proxy event's query."""
    return event.get("multiValueQueryStringParameters") or {}


def app_request(request: Request, query: Query, app: AppRules, upstream: UpstreamRules) -> UpstreamRequest:
    """Give the request to an app, without the caller's identity. Raises `RequestError` and `MethodNotAllowedError`."""
    check_method(request)
    url = parse_url(upstream.base_url)
    target = app_target(url.path, app_path(request), query)
    body = app_body(request)
    headers = {"user-agent": "sallyport", **forwarded_headers(request.headers, app.request_headers)}
    headers |= {"host": url.authority, "accept-encoding": "identity"}
    if request.method in _WITH_BODY and not body:
        headers["content-length"] = "0"  # RFC 9110, section 8.6; a body's own length is added where it is sent
    return UpstreamRequest(request.method, target, headers, body)


def check_method(request: Request) -> None:
    """Raise `MethodNotAllowedError` for a method that no app is asked by."""
    if request.method not in METHODS:
        raise MethodNotAllowedError("No app is asked by this method.", headers={"allow": ", ".join(METHODS)})


def app_path(request: Request) -> str | None:
    """Give the path below the app, None for the app itself. Raises `RequestError`.

    API Gateway's variable may lack the slashes around it.
    """
    if "//" in request.path:
        raise RequestError("The path has an empty segment.")
    path = request.path_parameters.get("proxy")
    if not request.path.endswith("/"):
        return path
    bare = (path or "").rstrip("/")
    return f"{bare}/" if bare else ""


def app_body(request: Request) -> bytes:
    """Give the body. Raises `UnsupportedMediaTypeError`, `RequestError` and `RequestTooLargeError`."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaTypeError("A compressed request body isn't supported.")
    try:
        body = request.body.encode()
    except UnicodeEncodeError:
        raise RequestError("The request's body isn't UTF-8.") from None
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLargeError(f"The request body is over the limit of {MAX_BODY_BYTES} bytes.")
    return body
