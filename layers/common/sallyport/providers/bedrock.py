"""Amazon Bedrock: chats by its Converse API, Anthropic's messages by InvokeModel, signed with the function's role."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sallyport.errors import RequestError
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.urls import parse_url
from sallyport.providers.anthropic_usage import AnthropicBodyUsage, AnthropicStreamUsage
from sallyport.providers.aws_event_stream import CONTENT_TYPE, read_messages
from sallyport.providers.bedrock_answers import Envelope, answer_id, completion, completion_events
from sallyport.providers.bedrock_converse import converse_body
from sallyport.providers.bedrock_errors import MAX_ERROR_BYTES, check_bedrock_answer, error_body
from sallyport.providers.bedrock_events import told_early
from sallyport.providers.bedrock_messages import invoke_body, message_events
from sallyport.providers.bedrock_models import model_path
from sallyport.providers.chat_chunks import ChatStream
from sallyport.providers.hosted_tools import check_hosted_tools
from sallyport.providers.http_answers import EVENT_STREAM, JSON, check_first_bytes, invalid_answer, returned
from sallyport.providers.kept_data import check_kept_data
from sallyport.providers.provider import CHAT_COMPLETIONS, MESSAGES, Call, UsageReader
from sallyport.providers.stream_usage import asks_for_usage
from sallyport.providers.transport import UpstreamRequest, UpstreamResponse
from sallyport.providers.usage import BodyUsage, StreamUsage

RETURNED_HEADERS = ("retry-after", "retry-after-ms")
REQUEST_ID_HEADER = "x-amzn-requestid"
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Of a chat's JSON answer, which must be whole to be translated."""

_ACTIONS = {
    (CHAT_COMPLETIONS, False): "converse",
    (CHAT_COMPLETIONS, True): "converse-stream",
    (MESSAGES, False): "invoke",
    (MESSAGES, True): "invoke-with-response-stream",
}


class BedrockProvider:
    """A `Provider` for Bedrock in one region. `sign` adds the signature; `now` gives seconds since 1970."""

    def __init__(
        self,
        rules: UpstreamRules,
        sign: Callable[[UpstreamRequest], UpstreamRequest],
        now: Callable[[], float] = time.time,
    ) -> None:
        url = parse_url(rules.base_url)
        self._host = url.authority
        self._base_path = url.path.rstrip("/")
        self._hosted_tools = rules.hosted_tools
        self._sign = sign
        self._now = now

    def request(self, call: Call) -> UpstreamRequest:
        """Give the request, not signed yet. Raises `UnsupportedFieldError`, and `RequestError` as the protocol says."""
        target = self._base_path + model_path(call.model, _ACTIONS[call.operation, call.stream])
        check_hosted_tools(call.operation, call.body, self._hosted_tools)
        check_kept_data(call.operation, call.body)
        body = converse_body(call.body) if _is_chat(call) else invoke_body(call.body, call.headers)
        return UpstreamRequest("POST", target, self._headers(call), _serialised(body))

    def authorize(self, request: UpstreamRequest, secret: str) -> UpstreamRequest:  # noqa: ARG002 - there is none
        """Give the request signed as of now."""
        return self._sign(request)

    def check(self, response: UpstreamResponse, call: Call) -> None:
        """Raise an `UpstreamError` unless the answer is a success, or a 4xx that can be told in the route's shape."""
        check_bedrock_answer(response, CONTENT_TYPE if call.stream else JSON)

    def chunks(self, response: UpstreamResponse, call: Call) -> Iterator[bytes]:
        """Give the body in the route's API; Anthropic's JSON as it came. Raises `UpstreamError`s."""
        if _is_refusal(response):
            yield error_body(response.status, _start(response.chunks(), MAX_ERROR_BYTES), call.operation)
        elif call.stream:
            yield from told_early(self._events(response, call))
        elif _is_chat(call):
            yield completion(_whole(response.chunks()), self._envelope(response, call))
        else:
            yield from response.chunks()

    def check_start(self, start: bytes, response: UpstreamResponse, call: Call) -> None:
        """Raise an `UpstreamError` if the first bytes can't be the route's answer."""
        check_first_bytes(start, response, EVENT_STREAM if call.stream else JSON)

    def usage(self, call: Call) -> UsageReader:
        """Give what reads the usage from the route's own API."""
        if _is_chat(call):
            return StreamUsage() if call.stream else BodyUsage()
        return AnthropicStreamUsage() if call.stream else AnthropicBodyUsage()

    def returned_headers(self, response: UpstreamResponse, call: Call) -> dict[str, str]:
        """Give the headers that the client may see: those of the route's own API."""
        media_type = EVENT_STREAM if call.stream and not _is_refusal(response) else JSON
        headers = {**returned(response.headers, RETURNED_HEADERS, REQUEST_ID_HEADER), "content-type": media_type}
        request_id = headers.get("x-upstream-request-id")
        return headers if _is_chat(call) or not request_id else {**headers, "request-id": request_id}

    def _headers(self, call: Call) -> dict[str, str]:
        return {
            "host": self._host,
            "user-agent": "sallyport",
            "content-type": JSON,
            "accept": CONTENT_TYPE if call.stream else JSON,
            "accept-encoding": "identity",
        }

    def _events(self, response: UpstreamResponse, call: Call) -> Iterator[bytes]:
        messages = read_messages(response.chunks())
        if not _is_chat(call):
            return message_events(messages)
        include_usage = call.ask_usage or asks_for_usage(call.body)
        return completion_events(messages, ChatStream(*self._envelope(response, call), include_usage=include_usage))

    def _envelope(self, response: UpstreamResponse, call: Call) -> Envelope:
        upstream_id = response.headers.get(REQUEST_ID_HEADER, "")
        return Envelope(answer_id(upstream_id, _random_id), int(self._now()), str(call.body.get("model", "")))


def _is_chat(call: Call) -> bool:
    return call.operation == CHAT_COMPLETIONS


def _is_refusal(response: UpstreamResponse) -> bool:
    return response.status >= 400  # noqa: PLR2004 - HTTP


def _random_id() -> str:
    return os.urandom(16).hex()


def _serialised(body: Any) -> bytes:
    """Give JSON; what stood as JSON in a text, a function's arguments, may still be what can't be written."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except (UnicodeEncodeError, RecursionError):
        raise RequestError("The request has a character that can't be forwarded, or is nested too deeply.") from None


def _start(chunks: Iterable[bytes], limit: int) -> bytes:
    """Give no more of a body than `limit`, so that a long one isn't held."""
    held = b""
    for chunk in chunks:
        held += chunk
        if len(held) >= limit:
            break
    return held[:limit]


def _whole(chunks: Iterable[bytes]) -> bytes:
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise invalid_answer()
    return b"".join(parts)
