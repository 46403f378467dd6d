"""One text that comes in pieces: what of it may go on, and what has to wait because it may be the start of a leak."""

from collections import Counter

from sallyport.errors import ResponseBlockedError
from sallyport.policy.verification_rules import REDACT, REPORT
from sallyport.verification.leaks.looking import CONTEXT_CHARS, Lookers, Spot
from sallyport.verification.leaks.scanner import encoded, is_blocked

LOOKBACK = 8192
"""The most that is held back while it isn't certain that it is a leak, in bytes of UTF-8.

The longest of what the detectors look for before they are certain are the headers of a JWT and of a private key, which
have no bound in their specifications; 8 KB is what web servers take as one header. All others are certain within 1,000.
A leak that becomes certain only later is not found in a stream.
"""
MAX_LEAK = 65_536
"""The most that is held back of what certainly is one, such as a private key, before the answer is ended instead.

Rules that only report go on without the rest of it: it is counted, once.
"""
_GROWTH = 128
"""A finding that ends this much before the end of what is there has ended: no pattern goes on after more."""
_SHORT = 64
_PART = 8
"""What waits is looked at again when it has grown by an eighth, if it is longer than `_SHORT`. To look at 8 KB anew for
each piece of four letters would take a time that grows with their product.
"""


class HeldText:
    """Feed it the pieces; it gives what may go on, and what is found when the pieces are one text.

    `found`: how often what was found, by rule and kind. A finding that is to block raises `ResponseBlockedError` before
    any of it has gone. What waits is at most `LOOKBACK`, or `MAX_LEAK` of a leak, and an eighth of that.
    """

    def __init__(self, lookers: Lookers) -> None:
        self.found: Counter[tuple[str, str]] = Counter()
        self._lookers = lookers
        self._context = b""
        self._held = b""
        self._enough = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._held

    def feed(self, text: str) -> str:
        """Take a piece; give what may go on now."""
        self._held += encoded(text)
        if len(self._held) < self._enough:
            return ""
        going = self._released(is_end=False)
        waiting = len(self._held)
        self._enough = waiting + waiting // _PART if waiting > _SHORT else 0
        return going

    def flush(self) -> str:
        """Give the rest: the text is at its end."""
        self._enough = 0
        return self._released(is_end=True)

    def _released(self, *, is_end: bool) -> str:
        data, begin = self._context + self._held, len(self._context)
        spots = self._lookers.spots(data, begin)
        cut = len(data) if is_end else self._cut(data, begin, spots)
        going = [spot for spot in spots if spot.end <= cut and spot.lead < cut]
        self.found.update((spot.rule, spot.kind) for spot in going)
        if is_blocked(going):
            raise ResponseBlockedError("The answer holds what may not go out.")
        text = _redacted(data, begin, cut, going)
        self._context, self._held = _last_characters(data[:cut]), data[cut:]
        return text

    def _cut(self, data: bytes, begin: int, spots: list[Spot]) -> int:
        cut = _before_spots(self._lookers.undecided(data, begin), spots)
        while len(data) - cut > LOOKBACK:
            end = _end_of_spots(cut, spots)
            if end > max(cut, len(data) - _GROWTH):
                return _held_from(cut, len(data), spots)
            end = max(end, cut + 1)
            cut = max(end, _before_spots(self._lookers.undecided(data, end), spots))
        return cut


def _end_of_spots(start: int, spots: list[Spot]) -> int:
    """Give where the findings that begin at a place, and those that overlap them, end; the place itself without any."""
    end = max((spot.end for spot in spots if spot.lead == start), default=start)
    while further := [spot.end for spot in spots if spot.lead < end < spot.end]:
        end = max(further)
    return end


def _before_spots(cut: int, spots: list[Spot]) -> int:
    """Move a cut before every finding that it would go through: what overlaps goes on together."""
    through = [spot.lead for spot in spots if spot.lead < cut < spot.end]
    while through:
        cut = min(through)
        through = [spot.lead for spot in spots if spot.lead < cut < spot.end]
    return cut


def _held_from(cut: int, end: int, spots: list[Spot]) -> int:
    """Give where a leak that goes on and on is held from."""
    if end - cut <= MAX_LEAK:
        return cut
    if all(spot.action == REPORT for spot in spots):
        return end
    raise ResponseBlockedError("The answer holds what may not go out, and more of it than can be taken out.")


def _redacted(data: bytes, at: int, end: int, spots: list[Spot]) -> str:
    pieces: list[str] = []
    for spot in sorted(spots, key=lambda spot: (spot.start, -spot.end)):
        if spot.action != REDACT:
            continue
        if spot.start >= at:
            pieces += [data[at : spot.start].decode(errors="surrogatepass"), f"[{spot.kind}]"]
        at = max(at, spot.end)
    pieces.append(data[at:end].decode(errors="surrogatepass"))
    return "".join(pieces)


def _last_characters(data: bytes) -> bytes:
    """Give whole characters: half of one would begin the next text with bytes that aren't UTF-8."""
    text = data[-CONTEXT_CHARS * 4 :].decode(errors="ignore")
    return text[-CONTEXT_CHARS:].encode()
