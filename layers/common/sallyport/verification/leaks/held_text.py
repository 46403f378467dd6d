"""One text that comes in pieces: what of it may go on, and what has to wait because it may be the start of a leak."""

from sallyport.errors import ResponseBlockedError
from sallyport.policy.verification_rules import REDACT
from sallyport.verification.leaks.looking import CONTEXT_CHARS, Lookers, Spot
from sallyport.verification.leaks.scanner import encoded, is_blocked

LOOKBACK = 8192
"""The most that is held back while it isn't certain that it is a leak, in bytes of UTF-8.

The longest of what the detectors look for before they are certain are the headers of a JWT and of a private key, which
have no bound in their specifications; 8 KB is what web servers take as one header. All others are certain within 1,000.
A leak that becomes certain only later is not found in a stream.
"""
MAX_LEAK = 65_536
"""The most that is held back of what certainly is one, such as a private key, before the answer is ended instead."""


class HeldText:
    """Feed it the pieces; it gives what may go on, and what is found when the pieces are one text.

    `found`: all findings so far. A finding that is to block raises `ResponseBlockedError` before any of it has gone.
    """

    def __init__(self, lookers: Lookers) -> None:
        self.found: list[Spot] = []
        self._lookers = lookers
        self._context = b""
        self._held = b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._held

    def feed(self, text: str) -> str:
        """Take a piece; give what may go on now."""
        self._held += encoded(text)
        return self._released(is_end=False)

    def flush(self) -> str:
        """Give the rest: the text is at its end."""
        return self._released(is_end=True)

    def _released(self, *, is_end: bool) -> str:
        data, begin = self._context + self._held, len(self._context)
        spots = self._lookers.spots(data, begin)
        cut = len(data) if is_end else self._cut(data, begin, spots)
        going = [spot for spot in spots if spot.end <= cut and spot.lead < cut]
        self.found += going
        if is_blocked(going):
            raise ResponseBlockedError("The answer holds what may not go out.")
        text = _redacted(data, begin, cut, going)
        self._context, self._held = _last_characters(data[:cut]), data[cut:]
        return text

    def _cut(self, data: bytes, begin: int, spots: list[Spot]) -> int:
        cut = _before_spots(self._lookers.undecided(data, begin), spots)
        while len(data) - cut > LOOKBACK:
            if any(spot.lead == cut for spot in spots):
                _check_length(len(data) - cut)
                return cut
            cut = _before_spots_from(cut, self._lookers.undecided(data, cut + 1), spots)
        return cut


def _before_spots(cut: int, spots: list[Spot]) -> int:
    """Move a cut before every finding that it would go through: what overlaps goes on together."""
    through = [spot.lead for spot in spots if spot.lead < cut < spot.end]
    while through:
        cut = min(through)
        through = [spot.lead for spot in spots if spot.lead < cut < spot.end]
    return cut


def _before_spots_from(least: int, cut: int, spots: list[Spot]) -> int:
    """Move a cut as before, but not back to where it came from."""
    return max(_before_spots(cut, spots), least + 1)


def _check_length(length: int) -> None:
    if length > MAX_LEAK:
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
