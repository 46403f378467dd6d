"""The leak guard over an event stream: it looks at the texts that the deltas make together, whatever the events.

Rules that only report change no byte. Rules that redact or block hold back, per channel, only the end that may be the
start of a leak (see `held_text.LOOKBACK`); it goes on with the next delta, or in an event of the channel's own shape
before the channel ends. Log probabilities, which spell the tokens, are left out of a changed event (`walk`).

What is to be blocked raises before a character of it has gone. What can't be known: a leak that isn't certain within
LOOKBACK, one cut in two by the channel's end, and one that two channels, or other fields of two events, hold the parts
of. Comments, names and ids of events aren't looked at. A client that sends redacted thinking back to Anthropic is
refused there: its signature is of the text as it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from sallyport.errors import InvalidJsonError, ResponseBlockedError
from sallyport.verification.event_stream import Event
from sallyport.verification.findings import Finding
from sallyport.verification.leaks.channels import Channel, Path, Piece, shape_of
from sallyport.verification.leaks.held_text import HeldText
from sallyport.verification.leaks.looking import Lookers
from sallyport.verification.leaks.scanner import Found, Scanner
from sallyport.verification.leaks.walk import scan_json, without_tokens
from sallyport.verification.strict_json import parse_strict

_DONE = "[DONE]"
_MAX_OPEN = 256
"""Channels; an answer has at most 128 choices. The one that had nothing for longest ends where there are more."""
_MAX_KNOWN = 64
_MAX_KNOWN_CHARS = 128


class LeakStream:
    """Looks at one answer. Feed it whole events, in their order, then call `end`."""

    def __init__(self, route: str, scanner: Scanner) -> None:
        self._shape = shape_of(route)
        self._scanner = _Remembering(scanner)
        self._acting = _Texts(scanner.acting) if scanner.acting is not None else None
        self._reporting = _Texts(scanner.reporting) if scanner.reporting is not None else None
        self._last: dict[Channel, Piece] = {}
        self._others: Counter[tuple[str, str]] = Counter()
        self._repeated: Counter[tuple[str, str]] = Counter()
        self._number = self._inserted = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far. What an event tells again counts once."""
        counts = sum((texts.found for texts in (self._acting, self._reporting) if texts is not None), self._others)
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
        if self._reporting is not None:
            for channel in self._reporting:
                self._reporting.end(channel)
        return b"" if self._acting is None else b"".join(map(self._ended, self._acting))

    def _feed_other(self, event: Event, data: Any) -> bytes:
        """An event that isn't an object: `[DONE]`, or something of no API of ours, looked at as it stands."""
        if data is None:
            return self.end() + event.raw
        changed = self._look_at(data, is_repeated=False)
        if changed is data:
            return event.raw
        return event.with_data(changed if isinstance(changed, str) else json.dumps(changed)).raw

    def _watch(self, data: dict[str, Any], pieces: list[Piece]) -> None:
        if self._reporting is None:
            return
        for piece in pieces:
            self._reporting.feed(piece.channel, piece.text)
        for channel in self._ending(self._reporting, data):
            self._reporting.end(channel)

    def _passed(self, event: Event, data: dict[str, Any], pieces: list[Piece]) -> bytes:
        for piece in pieces:
            _put(data, piece.path, "")
        rest = self._look_at(data, is_repeated=self._shape.repeats(data))
        is_changed = rest is not data
        for piece, going in zip(pieces, self._going(data, pieces), strict=True):
            is_changed |= going != piece.text
            _put(rest, piece.path, going)
        flushed = self._flushed(data, rest, pieces)
        is_renumbered = self._renumber(rest)
        if is_changed:
            rest = without_tokens(rest)
        return flushed + (event.with_data(json.dumps(rest)) if is_changed or is_renumbered else event).raw

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
            text = self._acting.feed(piece.channel, piece.text)
            going.append(text + self._acting.end(piece.channel) if self._shape.ends(data, piece.channel) else text)
        return going

    def _flushed(self, data: dict[str, Any], rest: dict[str, Any], pieces: list[Piece]) -> bytes:
        """Give events of their own for what waits in channels that end with this event, or have to."""
        if self._acting is None:
            return b""
        latest = {piece.channel: piece for piece in pieces}
        latest |= zip(latest, self._shape.pieces(rest), strict=False)
        self._last |= {channel: piece for channel, piece in latest.items() if channel in self._acting}
        return b"".join(map(self._ended, self._ending(self._acting, data)))

    def _ending(self, texts: _Texts, data: dict[str, Any]) -> list[Channel]:
        ended = [channel for channel in texts if self._shape.ends(data, channel)]
        left = [channel for channel in texts if channel not in ended] if len(texts) > _MAX_OPEN else []
        return ended + left[: max(0, len(left) - _MAX_OPEN)]

    def _ended(self, channel: Channel) -> bytes:
        """Give an event of its own for what waits in a channel, which ends."""
        assert self._acting is not None  # nothing waits else
        text, last = self._acting.end(channel), self._last.pop(channel)
        return self._inserted_event(text, last) if text else b""

    def _inserted_event(self, text: str, last: Piece) -> bytes:
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


class _Texts:
    """The texts that have begun, by channel; the one with the latest piece is the last."""

    def __init__(self, lookers: Lookers) -> None:
        self._lookers = lookers
        self._open: dict[Channel, HeldText] = {}
        self._ended: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, channel: Channel) -> bool:
        return channel in self._open

    @property
    def found(self) -> Counter[tuple[str, str]]:
        """How often what was found, by rule and kind."""
        return sum((_named(text) for text in self._open.values()), self._ended)

    def feed(self, channel: Channel, piece: str) -> str:
        """Take a channel's next piece; give what may go on."""
        text = self._open.pop(channel, None) or HeldText(self._lookers)
        self._open[channel] = text
        return text.feed(piece)

    def end(self, channel: Channel) -> str:
        """Give the rest of a channel, which is forgotten."""
        text = self._open.pop(channel)
        try:
            return text.flush()
        finally:
            self._ended += _named(text)


def _named(text: HeldText) -> Counter[tuple[str, str]]:
    return Counter({(f"leaks/{rule}", kind): times for (rule, kind), times in text.found.items()})


def _counted(findings: Iterable[Finding]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        counts[finding.rule, finding.kind] += finding.times
    return counts


def _put(data: Any, path: Path, text: str) -> None:
    for step in path[:-1]:
        data = data[step]
    data[path[-1]] = text
