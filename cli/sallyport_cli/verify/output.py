"""What would become of a body, in words and as JSON; nothing that a rule has found is ever in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sallyport_cli.printable import printable
from sallyport_cli.verify.outcome import Outcome, Refusal


def in_words(outcome: Outcome) -> str:
    """Give the verdict in a line, and what there is to say of it below."""
    lines = [_verdict(outcome), *(f"  {label:<9} {printable(text)}" for label, text in _details(outcome))]
    return "\n".join(lines)


def as_json(outcome: Outcome, *, show: bool) -> dict[str, Any]:
    """Give it as one object; with the body that would go on, if that is to be shown."""
    refusal = None if outcome.refusal is None else _refusal_json(outcome.refusal)
    shown = {"body": None if outcome.passed is None else outcome.passed.decode(errors="replace")} if show else {}
    return {
        "passes": outcome.refusal is None,
        "refusal": refusal,
        "mode": outcome.mode or None,
        "findings": list(outcome.findings),
        "violations": list(outcome.violations),
        "changed": outcome.is_changed,
        "bytes": None if outcome.passed is None else len(outcome.passed),
        "notes": list(outcome.notes),
        **shown,
    }


def _refusal_json(refusal: Refusal) -> dict[str, Any]:
    return {
        "status": None if refusal.is_midway else refusal.status,
        "code": refusal.code,
        "param": refusal.param,
        "reason": refusal.reason,
        "midway": refusal.is_midway,
    }


def _verdict(outcome: Outcome) -> str:
    refusal = outcome.refusal
    if refusal is None:
        return f"passes, {_going_on(outcome)}"
    if refusal.is_midway:
        return f"breaks off after {_size(outcome.passed)}: an error event with {refusal.code}"
    return f"refused: {refusal.status} {refusal.code}"


def _going_on(outcome: Outcome) -> str:
    size = _size(outcome.passed)
    return f"changed: {size} instead of {len(outcome.given):,}" if outcome.is_changed else f"unchanged: {size}"


def _size(body: bytes | None) -> str:
    return f"{len(body or b''):,} bytes"


def _details(outcome: Outcome) -> Iterator[tuple[str, str]]:
    if outcome.refusal is not None:
        if outcome.refusal.param is not None:
            yield "field", outcome.refusal.param
        yield "reason", outcome.refusal.reason
    if outcome.mode:
        yield "mode", outcome.mode
    yield from (("violation", " ".join(text.split())) for text in outcome.violations)  # a path may be empty
    yield from (("found", text) for text in outcome.findings)
    yield from (("note", text) for text in outcome.notes)
