"""One rule's forms of leaks, compiled, and where they are in a text's UTF-8 bytes.

Bytes, because RE2 works on them: given a text it would encode it anew for each search, which makes a long text with many
matches take the square of its length. Every search is linear (RE2), and after a match that isn't accepted the next one
begins a character later, which is why our own patterns match a bounded length or begin with a fixed word.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sallyport.policy.verification_rules import LeakRules
from sallyport.verification.leaks.detectors import DETECTORS, Shape
from sallyport.verification.leaks.prefixes import prefixes_of
from sallyport.verification.patterns import compile_pattern

CONTEXT_CHARS = 4
"""Before a text that is looked at: as much as decides whether a match stands alone."""
_CHAR_BYTES = 4
_MAX_MEMORY_BYTES = 8_388_608
_MAX_MEMORY_BYTES_OF_ALL = 33_554_432
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
    """One form that one rule looks for. `max_length` is an operator's, in characters; None: `shape.pattern` says it."""

    rule: str
    action: str
    shape: Shape
    regex: Any
    max_length: int | None = None

    def spots(self, data: bytes, begin: int) -> Iterator[Spot]:
        """Give every finding from `begin` on, none overlapping."""
        return self._own_spots(data, begin) if self.max_length else self._built_in_spots(data, begin)

    def _built_in_spots(self, data: bytes, at: int) -> Iterator[Spot]:
        while (match := self.regex.search(data, at)) is not None:
            start, end = match.span(self.regex.groups)  # the only group, `value`, or the whole match
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
        longest = (self.max_length or 0) * _CHAR_BYTES + _CHAR_BYTES
        while at < len(data):
            match = self.regex.search(data, at, at + 2 * longest)
            if match is None:
                at += longest
                continue
            start = match.start()
            match = self.regex.search(data, start, start + longest)
            if match is None or match.start() > start:
                at = start + 1
                continue
            at = max(match.end(), start + 1)
            yield Spot(self.rule, self.shape.kind, self.action, start, start, match.end())


class Lookers:
    """Several forms, looked for together: a text that has none of them is read once."""

    def __init__(self, lookers: Sequence[Looker]) -> None:
        self._lookers = lookers
        wholes = [_ungrouped(looker.shape.pattern) for looker in lookers]
        self._any = _compiled("|".join(f"(?:{whole})" for whole in wholes), _MAX_MEMORY_BYTES_OF_ALL)
        tails = {prefixes_of(looker.shape.pattern) for looker in lookers if not looker.max_length}
        self._tail = _compiled(f"(?:{'|'.join(sorted(tails))})\\z", _MAX_MEMORY_BYTES_OF_ALL) if tails else None
        self._own_length = max((looker.max_length or 0 for looker in lookers), default=0)

    def spots(self, data: bytes, begin: int = 0) -> list[Spot]:
        """Give every finding from `begin` on; those of one form don't overlap, those of several may."""
        if self._any.search(data, begin) is None:
            return []
        return [spot for looker in self._lookers for spot in looker.spots(data, begin)]

    def undecided(self, data: bytes, begin: int) -> int:
        """Give from where on a match may begin, or may still grow, that more text would decide about."""
        match = self._tail.search(data, begin) if self._tail else None
        start: int = match.start() if match else len(data)
        return min(start, self._own_undecided(data, begin))

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
    shapes = [shape for name in rules.detectors for shape in DETECTORS[name].shapes]
    shapes += [Shape("word", _word_pattern(word)) for word in rules.words]
    found = [Looker(rules.name, rules.action, shape, _compiled(shape.pattern, _MAX_MEMORY_BYTES)) for shape in shapes]
    for own in rules.patterns:
        shape = Shape(own.name, own.pattern)
        found.append(Looker(rules.name, rules.action, shape, compile_pattern(own.pattern), own.max_length))
    return found


def _word_pattern(word: str) -> str:
    """Whatever its capitals and the white space in it, a line's end in JSON included."""
    parts = ("".join(f"\\x{{{ord(char):X}}}" for char in part) for part in word.split())
    return f"(?i:{_GAP.join(parts)})"


def _ungrouped(pattern: str) -> str:
    return pattern.replace("(?P<value>", "(?:")


def _compiled(pattern: str, max_memory_bytes: int) -> Any:
    import re2  # noqa: PLC0415 - only rules with something to look for pay its 9 ms

    options = re2.Options()
    options.max_mem = max_memory_bytes
    options.log_errors = False
    return re2.compile(pattern, options)


def _decoded(data: bytes) -> str:
    return data.decode(errors="ignore")


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
