"""The leak guard's rules for one route, app and tenant, as one thing that looks at texts."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sallyport.policy.verification_rules import BLOCK, REPORT, LeakRules
from sallyport.verification.findings import Finding, added_up
from sallyport.verification.leaks.looking import Looker, Lookers, Spot, lookers_of


class Found(NamedTuple):
    """A leak in a text: characters `start` to `end`. `action`: report, redact or block."""

    rule: str
    kind: str
    start: int
    end: int
    action: str


class Scanner:
    """Make it once per policy version: it compiles for 0.1 s. Raises `ValueError` for a pattern that isn't RE2's.

    `reporting` and `acting` are its rules that only tell, and those that change or stop what goes on; None: there are
    none.
    """

    def __init__(self, rules: Sequence[LeakRules]) -> None:
        lookers = [looker for rule in rules for looker in lookers_of(rule)]
        self.reporting = _together([looker for looker in lookers if looker.action == REPORT])
        self.acting = _together([looker for looker in lookers if looker.action != REPORT])

    def scan(self, text: str) -> list[Found]:
        """Give what is found, by where it begins."""
        data = encoded(text)
        spots = [spot for part in (self.reporting, self.acting) if part for spot in part.spots(data)]
        spots.sort(key=lambda spot: (spot.start, -spot.end))
        return _in_characters(data, spots)

    def redact(self, text: str, found: Iterable[Found]) -> str:
        """Put `[kind]` where what isn't only reported was; what overlaps counts as one, named by the first of it."""
        pieces, at = [], 0
        for leak in (leak for leak in found if leak.action != REPORT):
            if leak.start >= at:
                pieces += [text[at : leak.start], f"[{leak.kind}]"]
            at = max(at, leak.end)
        return "".join([*pieces, text[at:]])


def findings_of(found: Iterable[Found | Spot]) -> tuple[Finding, ...]:
    """Give what a log is told."""
    return added_up(Finding(f"leaks/{leak.rule}", leak.kind) for leak in found)


def is_blocked(found: Iterable[Found | Spot]) -> bool:
    """Say whether any of it may not go on at all."""
    return any(leak.action == BLOCK for leak in found)


def encoded(text: str) -> bytes:
    """Give UTF-8; half a surrogate pair, which JSON can hold, becomes bytes that no pattern matches."""
    return text.encode(errors="surrogatepass")


def _together(lookers: list[Looker]) -> Lookers | None:
    return Lookers(lookers) if lookers else None


def _in_characters(data: bytes, spots: Sequence[Spot]) -> list[Found]:
    """Count from one place to the next: from the start each time would take the square."""
    places = sorted({place for spot in spots for place in (spot.start, spot.end)})
    characters, before, count = {}, 0, 0
    for place in places:
        count += len(data[before:place].decode(errors="surrogatepass"))
        characters[place], before = count, place
    return [Found(s.rule, s.kind, characters[s.start], characters[s.end], s.action) for s in spots]
