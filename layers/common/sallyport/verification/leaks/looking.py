"""One rule's forms of leaks, compiled, and where they are in a text's UTF-8 bytes.

Bytes, because RE2 works on them: given a text it would encode it anew for each search, which makes a long text with
many matches take the square of its length. Every search is linear (RE2), and after a match that isn't accepted the next
one begins a character later, which is why our own patterns match a bounded length or begin with a fixed word.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sallyport.policy.verification_rules import LeakRules
from sallyport.verification.leaks.detectors import ANCHOR_AFTER, ANCHOR_BEFORE, DETECTORS, Shape
from sallyport.verification.leaks.prefixes import prefixes_of
from sallyport.verification.patterns import compile_pattern

CONTEXT_CHARS = 4
"""Before a text that is looked at: as much as decides whether a match stands alone."""
_CHAR_BYTES = 4
_MAX_MEMORY_BYTES = 8_388_608
_MAX_MEMORY_BYTES_OF_ALL = 33_554_432
_MAX_COMPILED = 256
_LARGE = frozenset({"credentials", "private_keys", "email"})
"""Detectors with long patterns."""
_MAX_GAP = 8
_GAP = rf"(?:\s|\\[nrt]){{1,{_MAX_GAP}}}"


class Spot(NamedTuple):
    """A finding, in bytes. `lead`: where its pattern began to match; what is before `start` isn't secret."""

    rule: str
    kind: str
    action: str
    lead: int
    start: int
    end: int


class Looker(NamedTuple):
    """One form that one rule looks for; `group`: the detector it is of.

    `own` is an operator's pattern, which matches at most `max_length` characters; None: `shape.pattern` is ours.
    """

    rule: str
    action: str
    shape: Shape
    group: str
    own: Any = None
    max_length: int = 0

    def spots(self, data: bytes, begin: int) -> Iterator[Spot]:
        """Give every finding from `begin` on, none overlapping."""
        if self.own:
            yield from self._own_spots(data, begin)
        elif not self.shape.anchor:
            yield from self._built_in_spots(data, begin, len(data))
        else:
            for start, end in _windows(data, begin, self.shape.anchor):
                yield from self._built_in_spots(data, start, end)

    def _built_in_spots(self, data: bytes, at: int, stop: int) -> Iterator[Spot]:
        regex = _compiled(self.shape.pattern, _MAX_MEMORY_BYTES)
        while (match := regex.search(data, at, stop)) is not None:
            start, end = match.span(regex.groups)  # the only group, `value`, or the whole match
            value = _decoded(data[start:end])
            length = self._accepted(data, start, end, value)
            if length:
                end = start + len(_encoded(value[:length]))
                yield Spot(self.rule, self.shape.kind, self.action, match.start(), start, end)
            at = end if length else match.start() + 1

    def _accepted(self, data: bytes, start: int, end: int, value: str) -> int:
        before = _decoded(data[max(0, start - CONTEXT_CHARS) : start])
        if self.shape.not_after is not None and self.shape.not_after.search(before):
            return 0
        return self.shape.accept(value, _decoded(data[end : end + _CHAR_BYTES])[:1])

    def _own_spots(self, data: bytes, at: int) -> Iterator[Spot]:
        """Look in windows: a pattern such as `a.*b|a` would look at all of the rest for each match."""
        longest = self.max_length * _CHAR_BYTES + _CHAR_BYTES
        while at < len(data):
            match = self.own.search(data, at, at + 2 * longest)
            if match is None:
                at += longest
                continue
            start = match.start()
            match = self.own.search(data, start, start + longest)
            if match is None or match.start() > start:
                at = start + 1
                continue
            at = max(match.end(), start + 1)
            yield Spot(self.rule, self.shape.kind, self.action, start, start, match.end())


class Lookers:
    """Several forms, looked for together: a text that has none of them is read once."""

    def __init__(self, lookers: Sequence[Looker]) -> None:
        self._anchored = [looker for looker in lookers if looker.shape.anchor]
        self._others = [looker for looker in lookers if not looker.shape.anchor]
        wholes = [_ungrouped(looker.shape.pattern) for looker in self._others]
        self._any = _compiled("|".join(f"(?:{whole})" for whole in wholes), _MAX_MEMORY_BYTES_OF_ALL)
        self._tails = [_tail(group) for group in _groups(lookers)]
        self._own_length = max((looker.max_length for looker in lookers), default=0)

    def spots(self, data: bytes, begin: int = 0) -> list[Spot]:
        """Give every finding from `begin` on; those of one form don't overlap, those of several may."""
        has_others = bool(self._others) and self._any.search(data, begin) is not None
        lookers = [*self._anchored, *self._others] if has_others else self._anchored
        return [spot for looker in lookers for spot in looker.spots(data, begin)]

    def undecided(self, data: bytes, begin: int) -> int:
        """Give from where on a match may begin, or may still grow, that more text would decide about."""
        starts: list[int] = [match.start() for tail in self._tails if (match := tail.search(data, begin)) is not None]
        return min([self._own_undecided(data, begin), *starts])

    def _own_undecided(self, data: bytes, begin: int) -> int:
        """An operator's pattern says only how long a match can be."""
        if not self._own_length:
            return len(data)
        start = len(data)
        for _ in range(self._own_length):
            start -= 1
            while start > begin and data[start] & 0xC0 == 0x80:  # noqa: PLR2004 - inside of a character
                start -= 1
            if start <= begin:
                return begin
        return start


def lookers_of(rules: LeakRules) -> list[Looker]:
    """Compile a rule. Raises `ValueError` for a pattern that isn't RE2's, `KeyError` for an unknown detector."""
    name, action = rules.name, rules.action
    found = [Looker(name, action, shape, group) for group in rules.detectors for shape in DETECTORS[group].shapes]
    found += [Looker(name, action, Shape("word", _word_pattern(word)), "words") for word in rules.words]
    return found + [
        Looker(name, action, Shape(own.name, own.pattern), "", compile_pattern(own.pattern), own.max_length)
        for own in rules.patterns
    ]


def _windows(data: bytes, begin: int, anchor: bytes) -> Iterator[tuple[int, int]]:
    """Give the parts of a text in which a match with its anchor can be, none overlapping.

    Base64 has no `@`, and is what a pattern of addresses takes longest over.
    """
    at = data.find(anchor, begin)
    while at >= 0:
        start = max(begin, at - ANCHOR_BEFORE)
        while (last := data.rfind(anchor, at + 1, at + ANCHOR_AFTER + ANCHOR_BEFORE)) >= 0:
            at = last
        yield start, min(at + ANCHOR_AFTER, len(data))
        at = data.find(anchor, at + 1)


def _groups(lookers: Sequence[Looker]) -> Iterator[set[Shape]]:
    """Give our own forms in groups: the prefixes of all of them as one are more than RE2 makes an automaton of."""
    groups: dict[str, set[Shape]] = {}
    for looker in lookers:
        if not looker.own:
            groups.setdefault(looker.group if looker.group in _LARGE else "", set()).add(looker.shape)
    yield from groups.values()


def _tail(shapes: set[Shape]) -> Any:
    prefixes = sorted({shape.beginnings or prefixes_of(shape.pattern) for shape in shapes})
    return _compiled(f"(?:{'|'.join(prefixes)})\\z", _MAX_MEMORY_BYTES_OF_ALL)


def _word_pattern(word: str) -> str:
    """Whatever its capitals and the white space in it, a line's end in JSON included."""
    parts = ("".join(f"\\x{{{ord(char):X}}}" for char in part) for part in word.split())
    return f"(?i:{_GAP.join(parts)})"


def _ungrouped(pattern: str) -> str:
    return pattern.replace("(?P<value>", "(?:")


@lru_cache(maxsize=_MAX_COMPILED)
def _compiled(pattern: str, max_memory_bytes: int) -> Any:
    """Compile when it is first needed: all of them take 0.1 s, and most policies and texts need few."""
    import re2  # noqa: PLC0415 - only rules with something to look for pay its 9 ms

    options = re2.Options()
    options.max_mem = max_memory_bytes
    options.log_errors = False
    return re2.compile(pattern, options)


def _decoded(data: bytes) -> str:
    return data.decode(errors="ignore")


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
