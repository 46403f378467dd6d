"""OpenAI's API, spoken by OpenAI itself and by every compatible server."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sallyport.policy.upstream_rules import CREDENTIAL_HEADERS, UpstreamRules
from sallyport.policy.urls import parse_url
from sallyport.providers.hosted_tools import check_hosted_tools
from sallyport.providers.http_answers import (
    EVENT_STREAM,
    JSON,
    check_answer,
    check_first_bytes,
    forwarded,
    returned,
)
from sallyport.providers.kept_data import check_kept_data
from sallyport.providers.openai_responses import ResponsesStreamUsage, check_responses
from sallyport.providers.provider import CHAT_COMPLETIONS, EMBEDDINGS, RESPONSES, Call, UsageReader
from sallyport.providers.stream_usage import with_usage
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse
from sallyport.providers.usage import BodyUsage, StreamUsage, read_responses_usage

FORWARDED_HEADERS = ("idempotency-key", "openai-beta", "x-client-request-id")
"""What of a client's headers goes upstream, beside what the provider sets itself."""

RETURNED_HEADERS = (
    "content-type",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)
"""What of the upstream's headers is returned as it is; its request id is returned as `x-upstream-request-id`."""

_PATHS = {CHAT_COMPLETIONS: "/chat/completions", RESPONSES: "/responses", EMBEDDINGS: "/embeddings"}


class OpenAiProvider:
    """A `Provider` for one OpenAI-compatible base URL: bodies pass as they are, but for what the rules forbid."""

    def __init__(self, rules: UpstreamRules) -> None:
        url = parse_url(rules.base_url)
        self._rules = rules
        self._host = url.authority
        self._base_path = url.path.rstrip("/")
        self._credential_header = rules.credential_header or CREDENTIAL_HEADERS["openai"]

    def request(self, call: Call) -> UpstreamRequest:
        """Give the upstream's request. A body that nothing is changed of keeps its bytes.

        Raises `UnsupportedFieldError` for what this upstream isn't permitted to do.
        """
        self._check(call)
        changes = self._changes(call)
        headers = forwarded(call.headers, FORWARDED_HEADERS) | {
            "host": self._host,
            "user-agent": "sallyport",
            "content-type": JSON,
            "accept": _media_type(call),
            "accept-encoding": "identity",
        }
        raw = call.raw if call.raw is not None and not changes else _serialised({**call.body, **changes})
        return UpstreamRequest("POST", self._base_path + _PATHS[call.operation], headers, raw)

    def authorize(self, request: UpstreamRequest, secret: str) -> UpstreamRequest:
        """Give the request with its credential: a Bearer token, or as it is in a header of its own."""
        if not secret:
            return request
        value = f"Bearer {secret}" if self._credential_header == "authorization" else secret
        return request._replace(headers={**request.headers, self._credential_header: value})

    def check(self, response: UpstreamResponse, call: Call) -> None:
        """Raise an `UpstreamError` unless the answer may be passed on as it came: a success, or a 4xx in JSON."""
        check_answer(response, _media_type(call))

    def chunks(self, response: UpstreamResponse, call: Call) -> Iterator[bytes]:  # noqa: ARG002 - the same for all
        """Give the body as it arrives."""
        return response.chunks()

    def check_start(self, start: bytes, response: UpstreamResponse, call: Call) -> None:
        """Raise an `UpstreamError` if the first bytes of a body that `check` let pass aren't of its content type."""
        check_first_bytes(start, response, _media_type(call))

    def usage(self, call: Call) -> UsageReader:
        """Give what reads the usage of a successful answer."""
        if call.operation == RESPONSES:
            return ResponsesStreamUsage() if call.stream else BodyUsage(read_responses_usage)
        return StreamUsage() if call.stream else BodyUsage()

    def returned_headers(self, response: UpstreamResponse, call: Call) -> dict[str, str]:  # noqa: ARG002 - as above
        """Give the headers of an answer that the client may see."""
        return returned(response.headers, RETURNED_HEADERS, "x-request-id")

    def _check(self, call: Call) -> None:
        check_hosted_tools(call.operation, call.body, self._rules.hosted_tools)
        check_kept_data(call.operation, call.body)
        if call.operation == RESPONSES:
            check_responses(call.body, may_store=self._rules.store)

    def _changes(self, call: Call) -> dict[str, Any]:
        """Give the fields that go upstream in other words than the client's."""
        body = call.body
        changes: dict[str, Any] = {} if body.get("model") == call.model else {"model": call.model}
        if not self._rules.store and _would_store(call):
            changes["store"] = False
        if call.ask_usage and call.operation == CHAT_COMPLETIONS:
            changes["stream_options"] = with_usage(body)["stream_options"]
        return changes


def _would_store(call: Call) -> bool:
    """OpenAI keeps a response unless it is told not to, and a chat only if it is told to."""
    store = call.body.get("store")
    return store is not False if call.operation == RESPONSES else call.operation == CHAT_COMPLETIONS and store is True


def _media_type(call: Call) -> str:
    return EVENT_STREAM if call.stream else JSON


def _serialised(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
