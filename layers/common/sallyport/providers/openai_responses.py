"""OpenAI's Responses API: what of it needs an upstream that keeps answers, and what its answers tell of themselves."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.usage import ReportedUsage, Seen, read_responses_usage, search_usage

_DATA = re.compile(rb"^data:[ ]?(.*)$", re.MULTILINE)
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_DELTA = re.compile(rb'"delta"\s*:\s*"((?:[^"\\]++|\\.)*+)')
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_BEGUN_EVENT = re.compile(
    rb'\s*\{\s*(?:"type"\s*:\s*"[a-z._]+"\s*,\s*|"sequence_number"\s*:\s*[0-9]+\s*,\s*)*+'
    rb'"response"\s*:\s*\{\s*"id"\s*:\s*"([A-Za-z0-9_-]{1,256})"'
)
_BEGUN_BODY = re.compile(rb'\s*\{\s*"id"\s*:\s*"([A-Za-z0-9_-]{1,256})"')


def check_responses(body: Mapping[str, Any], *, may_store: bool) -> None:
    """Raise `UnsupportedFieldError` for what is answered later, and for going on from an answer that isn't kept.

    `may_store`: the upstream's rules permit it. Whose a `previous_response_id` is isn't looked at here.
    """
    if body.get("background"):
        raise UnsupportedFieldError("background answers aren't supported by this gateway.", param="background")
    if body.get("previous_response_id") is not None and not may_store:
        message = "This model's upstream isn't permitted to keep answers, so there is none to go on from."
        raise UnsupportedFieldError(message, param="previous_response_id")


def response_id(chunk: bytes) -> str | None:
    """Give the id of the response whose JSON, or whose event stream, begins with `chunk`; None if it isn't there.

    `chunk` may end anywhere. Only the response's own field counts: a request's parts are repeated further inside.
    """
    text = chunk.lstrip()
    if text.startswith(b"{"):
        begun = _BEGUN_BODY.match(text)
        return begun[1].decode() if begun else _own_id(_parsed(text))
    for match in _DATA.finditer(chunk):
        event = _parsed(match[1])
        found = _own_id(event.get("response")) if isinstance(event, dict) else _begun_id(match[1])
        if found:
            return found
    return None


def _begun_id(data: bytes) -> str | None:
    """Of an event that isn't whole only what comes first can be told from what a request has put inside."""
    begun = _BEGUN_EVENT.match(data)
    return begun[1].decode() if begun else None


class ResponsesStreamUsage:
    """Looks for usage in a response's event stream: the event that ends it has it.

    Text is counted where it is new: every piece of it is repeated whole when it is done.
    """

    def __init__(self) -> None:
        self.reported: ReportedUsage | None = None
        self._text_bytes = 0
        self._chunks = 0

    def feed(self, events: bytes) -> None:
        """Take one or more whole events."""
        deltas = [len(match[1]) for match in _DELTA.finditer(events)]
        self._chunks += len(deltas)
        self._text_bytes += sum(deltas)
        if _USAGE.search(events):
            self.reported = _usage_of(events) or self.reported

    @property
    def seen(self) -> Seen:
        """Give how much came by."""
        return Seen(self._text_bytes, self._chunks)


def _usage_of(events: bytes) -> ReportedUsage | None:
    """A too long event comes in pieces, which aren't JSON: its last piece has the usage."""
    found = None
    for match in _DATA.finditer(events):
        event = _parsed(match[1])
        response = event.get("response") if isinstance(event, dict) else None
        if isinstance(response, dict):
            found = read_responses_usage(response.get("usage")) or found
        elif event is None:
            found = search_usage(match[1], read_responses_usage) or found
    return found if found or b"data:" in events else search_usage(events, read_responses_usage)


def _own_id(response: Any) -> str | None:
    own = response.get("id") if isinstance(response, dict) else None
    return own if isinstance(own, str) and _ID.fullmatch(own) else None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
