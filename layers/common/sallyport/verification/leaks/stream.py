"""The leak guard over an event stream: it looks at the texts that the deltas make together, whatever the events.

Rules that only report change no byte. Rules that redact or block hold back, per channel, only the end that may be the
start of a leak (see `held_text.LOOKBACK`); it goes on with the next delta, or in an event of the channel's own shape
before the channel ends. Log probabilities, which spell the tokens, are left out of a changed event (`walk`).

What is to be blocked raises before a character of it has gone. What can't be known: a leak that isn't certain within
LOOKBACK, one cut in two by the channel's end, and one that two channels, or other fields of two events, hold the parts
of. Comments, names and ids of events aren't looked at. A client that sends redacted thinking back to Anthropic is
refused there: its signature is of the text as it was.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sallyport.errors import InvalidJsonError, ResponseBlockedError
from sallyport.verification.event_stream import Event
from sallyport.verification.findings import Finding
from sallyport.verification.leaks.channels import Channel, Path, Piece, shape_of
from sallyport.verification.leaks.held_text import HeldText
from sallyport.verification.leaks.scanner import Found, Scanner
from sallyport.verification.leaks.walk import scan_json, without_tokens
from sallyport.verification.strict_json import parse_strict

_DONE = "[DONE]"
_MAX_WAITING = 256
"""Channels; an answer has at most 128 choices."""
_MAX_KNOWN = 64
_MAX_KNOWN_CHARS = 128


class LeakStream:
    """Looks at one answer. Feed it whole events, in their order, then call `end`."""

    def __init__(self, route: str, scanner: Scanner) -> None:
        self._shape = shape_of(route)
        self._scanner = _Remembering(scanner)
        self._acting, self._reporting = scanner.acting, scanner.reporting
        self._held: dict[Channel, HeldText] = {}
        self._watched: dict[Channel, HeldText] = {}
        self._last: dict[Channel, Piece] = {}
        self._others: Counter[tuple[str, str]] = Counter()
        self._repeated: Counter[tuple[str, str]] = Counter()
        self._number = self._inserted = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far. What an event tells again counts once."""
        texts = [*self._held.values(), *self._watched.values()]
        counts = sum(
            (Counter({(f"leaks/{rule}", kind): times for (rule, kind), times in text.found.items()}) for text in texts),
            self._others,
        )
        return tuple(Finding(*place, times) for place, times in (counts | self._repeated).items())

    def feed(self, event: Event, data: Any = None) -> bytes:
        """Give what may go on; `b""` never leaves an event out. Raises `ResponseBlockedError`.

        `data`: the event's, where it is known already; it is changed.
        """
        try:
            data = data or (parse_strict(event.data) if event.data.strip() != _DONE else None)
        except InvalidJsonError:
            data = event.data
        if not isinstance(data, dict):
            return self._feed_other(event, data)
        pieces = list(self._shape.pieces(data))
        self._watch(data, pieces)
        return self._passed(event, data, pieces)

    def end(self) -> bytes:
        """Give what still waits, where the upstream didn't say that the channels are at their end."""
        for text in self._watched.values():
            text.flush()
        return self._flushed([*self._held])

    def _feed_other(self, event: Event, data: Any) -> bytes:
        """An event that isn't an object: `[DONE]`, or something of no API of ours, looked at as it stands."""
        if data is None:
            return self.end() + event.raw
        changed = self._look_at(data, is_repeated=False)
        if changed is data:
            return event.raw
        return _rewritten(event, changed if isinstance(changed, str) else json.dumps(changed))

    def _watch(self, data: dict[str, Any], pieces: list[Piece]) -> None:
        if self._reporting is None:
            return
        for piece in pieces:
            self._watched.setdefault(piece.channel, HeldText(self._reporting)).feed(piece.text)
        ended = [channel for channel in self._watched if self._shape.ends(data, channel)]
        for channel in [*ended, *_too_many(self._watched)]:
            self._watched[channel].flush()

    def _passed(self, event: Event, data: dict[str, Any], pieces: list[Piece]) -> bytes:
        for piece in pieces:
            _put(data, piece.path, "")
        rest = self._look_at(data, is_repeated=self._shape.repeats(data))
        is_changed = rest is not data
        for piece, going in zip(pieces, self._going(data, pieces), strict=True):
            is_changed |= going != piece.text
            _put(rest, piece.path, going)
        self._last |= {piece.channel: piece for piece in pieces}
        self._last |= zip((piece.channel for piece in pieces), self._shape.pieces(rest), strict=False)
        flushed = self._flushed([channel for channel in self._held if self._shape.ends(data, channel)])
        flushed += self._flushed(_too_many(self._held))
        is_renumbered = self._renumber(rest)
        if is_changed:
            rest = without_tokens(rest)
        return flushed + (_rewritten(event, json.dumps(rest)) if is_changed or is_renumbered else event.raw)

    def _look_at(self, data: Any, *, is_repeated: bool) -> Any:
        scanned = scan_json(self._scanner, data)
        counts = _counted(scanned.findings)
        if is_repeated:
            self._repeated |= counts
        else:
            self._others += counts
        if scanned.is_blocked:
            raise ResponseBlockedError("The answer holds what may not go out.")
        return scanned.value

    def _going(self, data: dict[str, Any], pieces: list[Piece]) -> list[str]:
        """Give what of each piece may go on now; all that waits, if its channel ends with this event."""
        if self._acting is None:
            return [piece.text for piece in pieces]
        going = []
        for piece in pieces:
            held = self._held.setdefault(piece.channel, HeldText(self._acting))
            text = held.feed(piece.text)
            going.append(text + held.flush() if self._shape.ends(data, piece.channel) else text)
        return going

    def _flushed(self, channels: Iterable[Channel]) -> bytes:
        return b"".join(self._flushed_event(channel) for channel in channels if not self._held[channel].is_empty)

    def _flushed_event(self, channel: Channel) -> bytes:
        """Give an event of its own for what waits in a channel."""
        text, last = self._held[channel].flush(), self._last[channel]
        data = without_tokens(last.shaped(text))
        if "sequence_number" in data:
            self._inserted += 1
            self._number += 1
            data["sequence_number"] = self._number
        name = "" if last.event_type == "message" else f"event: {last.event_type}\n"
        return f"{name}data: {json.dumps(data)}\n\n".encode()

    def _renumber(self, data: dict[str, Any]) -> bool:
        """Count events on behind those that were put in."""
        if not isinstance(data.get("sequence_number"), int):
            return False
        data["sequence_number"] += self._inserted
        self._number = data["sequence_number"]
        return self._inserted > 0


class _Remembering(Scanner):
    """Ids and names stand in every event of a stream; once is enough to look at them."""

    def __init__(self, scanner: Scanner) -> None:
        self.acting, self.reporting = scanner.acting, scanner.reporting
        self._known: set[str] = set()

    def scan(self, text: str) -> list[Found]:
        """Give what is found; nothing in a text in which nothing was found before."""
        if not text or text in self._known:
            return []
        found = super().scan(text)
        if not found and len(text) <= _MAX_KNOWN_CHARS and len(self._known) < _MAX_KNOWN:
            self._known.add(text)
        return found


def _too_many(texts: Mapping[Channel, HeldText]) -> list[Channel]:
    """Give the channels that wait longest, if more wait than there are in any answer: each takes memory."""
    waiting = [channel for channel, text in texts.items() if not text.is_empty]
    return waiting[: max(0, len(waiting) - _MAX_WAITING)]


def _counted(findings: Iterable[Finding]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        counts[finding.rule, finding.kind] += finding.times
    return counts


def _put(data: Any, path: Path, text: str) -> None:
    for step in path[:-1]:
        data = data[step]
    data[path[-1]] = text


def _rewritten(event: Event, data: str) -> bytes:
    """Give an event's bytes with other data; its other lines stay."""
    lines, is_written = [], False
    for line in event.raw.splitlines(keepends=True):
        if line.removeprefix(b"\xef\xbb\xbf").partition(b":")[0].rstrip(b"\r\n") != b"data":
            lines.append(line)
        elif not is_written:
            lines += [b"data: " + part.encode() + b"\n" for part in data.split("\n")]
            is_written = True
    return b"".join(lines)
