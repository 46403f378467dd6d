"""Answers that aren't as their API says, and answers with what mustn't go out, for whoever tries the verification.

The status is 200, and whatever else there is of an answer is sound, so that nothing but the fault is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sallyport_cli.echo.faults import HTML, LEAK, ORDER, SCHEMA, UNFINISHED, Faults

LEAK_TEXT: Final = "The key is AKIAIOSFODNN7EXAMPLE and the card is 4111 1111 1111 1111."
"""AWS's key of its own documentation, and a card network's number for tests. In a stream both come in pieces."""

PAGE: Final = b"<!doctype html><title>Sign in</title><p>The network wants you to sign in."
"""What a proxy between the gateway and its upstream may answer."""

_SPOILED_AT: Final = 2
_ENDING: Final = 2
_LISTS_AND_COUNTS: Final = ("choices", "content", "data", "input_tokens", "output")
"""Of a whole answer, in whichever API: one of them is there, and none may be a text."""


def asked(body: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """Give a request as it is answered: what is to leak is said by whoever asks, for the echo says it again."""
    if faults.violation != LEAK:
        return body
    if "input" in body:
        return {**body, "input": LEAK_TEXT}
    turns = body.get("messages")
    said = {"role": "user", "content": [{"text": LEAK_TEXT}]}
    return {**body, "messages": [*turns, said]} if isinstance(turns, list) and turns else body


def spoiled(body: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """Give a whole answer with a field of a wrong type, if that is what is to go wrong."""
    if faults.violation != SCHEMA:
        return body
    return {**body, **{name: "none" for name in _LISTS_AND_COUNTS if name in body}}


def sent(data: bytes, faults: Faults) -> bytes:
    """Give a whole answer's bytes; half of them, if it is to be unfinished, and a page instead of it."""
    if faults.violation == HTML:
        return PAGE
    return data[: len(data) // 2] if faults.violation == UNFINISHED else data


def streamed(events: Iterable[bytes], wrong: bytes, faults: Faults) -> list[bytes]:
    """Give a stream's events; `wrong` is one of this API with a field of a wrong type."""
    chunks = list(events)
    if faults.violation == SCHEMA:
        return [*chunks[:_SPOILED_AT], wrong, *chunks[_SPOILED_AT + 1 :]]
    if faults.violation == ORDER:
        return [*chunks[:_SPOILED_AT], chunks[0], *chunks[_SPOILED_AT:], chunks[0]]
    if faults.violation == UNFINISHED:
        return chunks[:-_ENDING]
    return [PAGE] if faults.violation == HTML else chunks


def content_type(usual: str, faults: Faults) -> str:
    """Give what the answer says that it is."""
    return "text/html; charset=utf-8" if faults.violation == HTML else usual
