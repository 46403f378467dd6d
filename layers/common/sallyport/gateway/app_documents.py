"""Apps' OpenAPI documents in force: a request is held to its app's before anything else is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sallyport.errors import ServiceUnavailableError
from sallyport.gateway.app_paths import check_path
from sallyport.gateway.app_requests import app_body, app_path, check_method

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sallyport.gateway.app_requests import Query
    from sallyport.gateway.request import Request
    from sallyport.policy.upstream_rules import AppRules
    from sallyport.verification.openapi.checks import OpenApiChecks, Operation


class Described(NamedTuple):
    """The operation of an app that a request is, in its document."""

    checks: OpenApiChecks
    operation: Operation


class _Kept(NamedTuple):
    compiled: Mapping[str, Any]
    checks: OpenApiChecks


class AppDocuments:
    """The documents, by app; each is prepared once, and anew when a policy brings another."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def check(self, name: str, apps: Mapping[str, AppRules], request: Request, query: Query) -> Described | None:
        """Hold a request to its app's document; None: it has none.

        Raises `OperationNotFoundError`, `MethodNotAllowedError`, every `RequestError`, and `ServiceUnavailableError`
        for a document that can't be read: a newer gateway has compiled it, say.
        """
        compiled = apps[name].openapi
        if compiled is None:
            return None
        check_method(request)
        path = app_path(request) or ""
        check_path(path)
        checks = self._checks(name, compiled, apps)
        operation = checks.find(request.method, f"/{path}")
        text = app_body(request).decode()
        checks.check_request(operation, query, request.headers, request.headers.get("content-type", ""), text)
        return Described(checks, operation)

    def _checks(self, name: str, compiled: Mapping[str, Any], apps: Mapping[str, AppRules]) -> OpenApiChecks:
        kept = self._kept.get(name)
        if kept is None or kept.compiled is not compiled:
            checks = kept.checks if kept is not None and kept.compiled == compiled else _prepared(compiled)
            self._kept = {other: one for other, one in self._kept.items() if other in apps}
            kept = self._kept[name] = _Kept(compiled, checks)
        return kept.checks


def _prepared(compiled: Mapping[str, Any]) -> OpenApiChecks:
    from sallyport.verification.openapi.checks import OpenApiChecks  # noqa: PLC0415 - where an app has a document

    try:
        return OpenApiChecks(compiled)
    except (KeyError, TypeError, ValueError):
        raise ServiceUnavailableError("The app's OpenAPI document can't be used at the moment.") from None
