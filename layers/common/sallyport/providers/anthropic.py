"""Anthropic's API: its own routes pass as they are, and OpenAI's chat is translated there and back."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from sallyport.errors import RequestError, UnsupportedFieldError
from sallyport.policy.upstream_rules import CREDENTIAL_HEADERS, UpstreamRules
from sallyport.policy.urls import parse_url
from sallyport.providers.anthropic_answer import Heading, told_failure, translated_error, translated_message
from sallyport.providers.anthropic_events import read_events
from sallyport.providers.anthropic_request import messages_request
from sallyport.providers.anthropic_stream import translated_stream
from sallyport.providers.anthropic_usage import AnthropicBodyUsage, AnthropicStreamUsage, CountTokensUsage
from sallyport.providers.chat_request import read_chat_request
from sallyport.providers.hosted_tools import check_hosted_tools
from sallyport.providers.http_answers import EVENT_STREAM, JSON, check_answer, check_first_bytes, returned
from sallyport.providers.kept_data import check_kept_data
from sallyport.providers.provider import CHAT_COMPLETIONS, COUNT_TOKENS, MESSAGES, Call, UsageReader
from sallyport.providers.stream_usage import asks_for_usage
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse
from sallyport.providers.usage import BodyUsage, StreamUsage

API_VERSION = "2023-06-01"
"""What is spoken unless the client of a route of Anthropic's own says otherwise."""

RETURNED_HEADERS = ("content-type", "request-id", "retry-after", "retry-after-ms", "x-should-retry")
"""What of the upstream's headers is returned as it is; a chat's request id is returned as `x-upstream-request-id`."""

_PATHS = {
    CHAT_COMPLETIONS: "/v1/messages",
    MESSAGES: "/v1/messages",
    COUNT_TOKENS: "/v1/messages/count_tokens",
}
_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BETA = re.compile(r"[A-Za-z0-9._, -]{1,1024}")
_EVENT_END = re.compile(rb"\r?\n\r?\n")
_EVENT_END_OVERLAP = 3
MAX_FIRST_EVENT_BYTES = 64 * 1024


class AnthropicProvider:
    """A `Provider` for one upstream of Anthropic's API. `now` gives seconds since 1970."""

    def __init__(self, rules: UpstreamRules, now: Callable[[], float] = time.time) -> None:
        url = parse_url(rules.base_url)
        self._rules = rules
        self._host = url.authority
        self._base_path = url.path.rstrip("/")
        self._credential_header = rules.credential_header or CREDENTIAL_HEADERS["anthropic"]
        self._now = now

    def request(self, call: Call) -> UpstreamRequest:
        """Give the upstream's request. A body of Anthropic's own API that nothing is changed of keeps its bytes.

        Raises `UnsupportedFieldError` for what has no counterpart or isn't permitted, `RequestError` for a header or a
        character that can't be forwarded.
        """
        check_hosted_tools(call.operation, call.body, self._rules.hosted_tools)
        check_kept_data(call.operation, call.body)
        is_chat = call.operation == CHAT_COMPLETIONS
        body = _translated(call) if is_chat else _own(call)
        headers = {
            "anthropic-version": API_VERSION,
            **({} if is_chat else _client_headers(call.headers)),
            "host": self._host,
            "user-agent": "sallyport",
            "content-type": JSON,
            "accept": _media_type(call),
            "accept-encoding": "identity",
        }
        return UpstreamRequest("POST", self._base_path + _PATHS[call.operation], headers, body)

    def authorize(self, request: UpstreamRequest, secret: str) -> UpstreamRequest:
        """Give the request with its credential: as it is, or as a Bearer token in `authorization`."""
        if not secret:
            return request
        value = f"Bearer {secret}" if self._credential_header == "authorization" else secret
        return request._replace(headers={**request.headers, self._credential_header: value})

    def check(self, response: UpstreamResponse, call: Call) -> None:
        """Raise an `UpstreamError` unless the answer is a success, or a 4xx in JSON that may be shown."""
        check_answer(response, _media_type(call))

    def chunks(self, response: UpstreamResponse, call: Call) -> Iterator[bytes]:
        """Give the body: a chat's in OpenAI's words, others as they arrive.

        A stream whose first event is an error raises it: another target may still be asked.
        """
        if call.operation != CHAT_COMPLETIONS:
            is_stream = call.stream and response.status < 400  # noqa: PLR2004 - HTTP
            return _unless_error(response.chunks()) if is_stream else response.chunks()
        return self._chat_chunks(response, call)

    def check_start(self, start: bytes, response: UpstreamResponse, call: Call) -> None:
        """Raise an `UpstreamError` if the first bytes of a body that `check` let pass aren't of its content type."""
        check_first_bytes(start, response, _media_type(call))

    def usage(self, call: Call) -> UsageReader:
        """Give what reads the usage of a successful answer."""
        if call.operation == COUNT_TOKENS:
            return CountTokensUsage()
        if call.operation == MESSAGES:
            return AnthropicStreamUsage() if call.stream else AnthropicBodyUsage()
        return StreamUsage() if call.stream else BodyUsage()

    def returned_headers(self, response: UpstreamResponse, call: Call) -> dict[str, str]:
        """Give the headers of an answer that the client may see; Anthropic's SDK looks for `request-id`."""
        headers = returned(response.headers, RETURNED_HEADERS)
        request_id = headers.get("request-id")
        if call.operation == CHAT_COMPLETIONS:
            headers.pop("request-id", None)
        return headers | ({"x-upstream-request-id": request_id} if request_id else {})

    def _chat_chunks(self, response: UpstreamResponse, call: Call) -> Iterator[bytes]:
        heading = Heading(int(self._now()), str(call.body.get("model", "")))
        if response.status >= 400:  # noqa: PLR2004 - HTTP
            yield translated_error(response)
        elif call.stream:
            include_usage = call.ask_usage or asks_for_usage(call.body)
            yield from translated_stream(response.chunks(), heading, include_usage=include_usage)
        else:
            yield translated_message(response.chunks(), heading)


def _translated(call: Call) -> bytes:
    return _serialised(messages_request(read_chat_request(call.body), call.model, stream=call.stream))


def _own(call: Call) -> bytes:
    """Give a body of Anthropic's API. Where it is processed is the operator's to say, not the client's."""
    if call.body.get("inference_geo") is not None:
        raise UnsupportedFieldError("inference_geo isn't for clients of this gateway to choose.", param="inference_geo")
    if call.raw is not None and call.body.get("model") == call.model:
        return call.raw
    return _serialised({**call.body, "model": call.model})


def _client_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give what of the client's headers goes upstream. Raises `RequestError` for betas that can't be names."""
    beta, version = headers.get("anthropic-beta"), headers.get("anthropic-version", "")
    if beta and not _BETA.fullmatch(beta):
        name = "anthropic-beta"
        raise RequestError(f"The header {name} has a character that can't be forwarded, or is too long.", param=name)
    forwarded = {"anthropic-version": version} if _VERSION.fullmatch(version) else {}
    return forwarded | ({"anthropic-beta": beta} if beta else {})


def _unless_error(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give a stream as it arrives once its first event is known not to be an error. Raises that error."""
    held = bytearray()
    for chunk in chunks:
        looked_at = max(len(held) - _EVENT_END_OVERLAP, 0)
        held += chunk
        if _EVENT_END.search(held, looked_at) or len(held) > MAX_FIRST_EVENT_BYTES:
            break
    event = next(read_events((bytes(held),)), {})
    if event.get("type") == "error":
        raise told_failure(event)
    if held:
        yield from chain((bytes(held),), chunks)


def _media_type(call: Call) -> str:
    return EVENT_STREAM if call.stream else JSON


def _serialised(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except (UnicodeEncodeError, RecursionError):
        raise RequestError("The request has a character that can't be forwarded, or is nested too deeply.") from None
