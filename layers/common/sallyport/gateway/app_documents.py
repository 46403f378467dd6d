"""Apps' OpenAPI documents in force: a request is held to its app's before anything else is asked, an answer by its mode.

report: the answer passes as it comes; of a JSON body a copy of at most `MAX_COPIED_BYTES` is kept, and looked at once the
client has everything. enforce: a JSON body is held, up to `MAX_HELD_BYTES`, and looked at before its first byte goes out;
of any other body, streams among them, only status and content type are looked at, before it begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sallyport.gateway.app_paths import check_path
from sallyport.gateway.app_requests import app_body, app_path, check_method
from sallyport.policy.verification_rules import ENFORCE, OFF
from sallyport.verification.openapi.checks import OpenApiChecks, Operation
from sallyport.verification.openapi.media_types import essence, is_json
from sallyport.verification.violations import MEDIA_TYPE, SIZE, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sallyport.gateway.app_requests import Query
    from sallyport.gateway.request import Request
    from sallyport.policy.upstream_rules import AppRules
    from sallyport.providers.transport import UpstreamResponse

MAX_COPIED_BYTES = 1_048_576
MAX_HELD_BYTES = 6 * 1_048_576


class Described(NamedTuple):
    """The operation of an app that a request is, in its document."""

    checks: OpenApiChecks
    operation: Operation


class AppDocuments:
    """The documents, by app; each is prepared once, and anew when a policy brings another."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Mapping[str, Any], OpenApiChecks]] = {}

    def check(self, name: str, app: AppRules, request: Request, query: Query) -> Described | None:
        """Hold a request to its app's document; None: it has none.

        Raises `OperationNotFoundError`, `MethodNotAllowedError`, and every `RequestError`.
        """
        if app.openapi is None:
            return None
        check_method(request)
        path = app_path(request) or ""
        check_path(path)
        checks = self._checks(name, app.openapi)
        operation = checks.find(request.method, f"/{path}")
        text = app_body(request).decode()
        checks.check_request(operation, query, request.headers, request.headers.get("content-type", ""), text)
        return Described(checks, operation)

    def _checks(self, name: str, compiled: Mapping[str, Any]) -> OpenApiChecks:
        kept = self._kept.get(name)
        if kept is None or (kept[0] is not compiled and kept[0] != compiled):
            kept = self._kept[name] = (compiled, OpenApiChecks(compiled))
        return kept[1]


class AnswerJudge:
    """Looks at one answer. `violations` are what it has found; `held` is a body that was read before it may go on."""

    def __init__(self, described: Described, response: UpstreamResponse, *, has_body: bool) -> None:
        self.violations: list[Violation] = []
        self.held: list[bytes] | None = None
        self.is_unchecked = False
        self._described = described
        self._response = response
        self._has_body = has_body
        self._copy: list[bytes] = []
        self._size = 0
        self._wants_body = has_body and is_json(essence(response.headers.get("content-type", "")))

    def begin(self, mode: str) -> None:
        """Look at status and content type, and in enforce at a JSON body. Raises what the response does."""
        found = self._look(None)
        if found is not None and (self._has_body or found.kind != MEDIA_TYPE):
            self.violations.append(found)
        elif mode == ENFORCE and self._wants_body:
            self._hold()
        if found is not None or mode == ENFORCE:
            self._wants_body = False

    def see(self, chunk: bytes) -> None:
        """Keep a copy of a chunk that goes on, as long as that is small."""
        if not self._wants_body:
            return
        self._size += len(chunk)
        self._copy.append(chunk)
        if self._size > MAX_COPIED_BYTES:
            self._copy, self._wants_body, self.is_unchecked = [], False, True

    def end(self) -> None:
        """Note that all of the body has gone on; it can be looked at."""
        self.is_whole = True

    def finish(self) -> None:
        """Look at the copy, while nobody waits."""
        if self._wants_body and self.is_whole:
            self._note(self._look(b"".join(self._copy)))
        self._copy, self._wants_body = [], False

    is_whole = False

    def _hold(self) -> None:
        held: list[bytes] = []
        size = 0
        for chunk in self._response.chunks():
            size += len(chunk)
            if size > MAX_HELD_BYTES:
                self.violations.append(Violation(SIZE, ""))
                return
            held.append(chunk)
        self.held = held
        self._note(self._look(b"".join(held)))

    def _note(self, found: Violation | None) -> None:
        if found is not None:
            self.violations.append(found)

    def _look(self, body: bytes | None) -> Violation | None:
        checks, operation = self._described
        return checks.check_answer(operation, self._response.status, self._response.headers, body)


def judge(described: Described | None, mode: str, response: UpstreamResponse, *, has_body: bool) -> AnswerJudge | None:
    """Give who looks at an answer; None: nobody does."""
    return None if described is None or mode == OFF else AnswerJudge(described, response, has_body=has_body)
