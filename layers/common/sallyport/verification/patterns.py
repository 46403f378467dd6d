"""Operators' patterns, matched in time that grows with the text alone: RE2 has no backtracking.

Python's `re` and jsonschema-rs' own engine take minutes over some short patterns and texts; callers write the texts.
RE2 is loaded when the first pattern is compiled, so that a process without such rules never pays for it.
"""

import re
from collections.abc import Iterator
from typing import Protocol

MAX_PROGRAM_BYTES = 1_048_576
"""Of a compiled pattern with its cache: an e-mail address takes 0.1 MB, fifty letters of any alphabet nearly 1 MB."""
_WINDOW_CHARS = 4096
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NOT_EMPTY = ("", "a", "a b", "1\n", ".", "\u0416")
"""Texts in which a pattern that can match nothing at all does so."""


class Match(Protocol):
    """A place in a text, in characters."""

    def start(self) -> int:
        """Give where it begins."""

    def end(self) -> int:
        """Give where the text after it begins."""


class Pattern(Protocol):
    """A compiled pattern; it has no groups. A text with half a surrogate pair raises `UnicodeEncodeError`.

    `search` takes time that grows with the text. `finditer` may take its square: after each match it looks at the rest
    anew. `spans` doesn't.
    """

    def search(self, text: str) -> Match | None:
        """Give the first match."""

    def finditer(self, text: str, pos: int | None = None, endpos: int | None = None) -> Iterator[Match]:
        """Give all matches between two places, none overlapping."""


def compile_pattern(text: str, *, max_length: int = 512) -> Pattern:
    """Compile a pattern of at most `max_length` characters in RE2's syntax (github.com/google/re2/wiki/Syntax).

    Raises `ValueError` that says to an operator what is wrong with it; it may quote a piece of the pattern.
    """
    import re2  # noqa: PLC0415 - 9 ms and 4 MiB that only rules with patterns pay

    if len(text) > max_length:
        raise ValueError(f"a pattern may have at most {max_length} characters")
    if any(escape[1] == "C" for escape in _ESCAPE.finditer(text)):
        raise ValueError(r"\C matches half a character")
    options = re2.Options()
    options.max_mem = MAX_PROGRAM_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        pattern: Pattern = re2.compile(text, options)
    except re2.error as error:
        raise ValueError(_explain(error.args[0])) from None
    except UnicodeEncodeError:
        raise ValueError("the pattern has half a surrogate pair") from None
    if any(_matches_nothing(pattern, sample) for sample in _NOT_EMPTY):
        raise ValueError("the pattern matches where there is nothing; every text would match")
    return pattern


def spans(pattern: Pattern, text: str, longest: int) -> Iterator[tuple[int, int]]:
    """Give start and end of every match, leftmost first, none overlapping. A match has at most `longest` characters.

    Looked for in windows, for `a.*b|a` in a text of letters a would make every match look at all of the rest: 40,000
    letters took 2 seconds. What is longer than `longest` may be cut there.
    """
    if pattern.search(text) is None:
        return
    start = 0
    while start < len(text):
        window_end = start + _WINDOW_CHARS
        before = max(0, start - 1)  # a character on each side, so that `\b` and `^` mean what they mean in the text
        piece = text[before : window_end + longest + 1]
        stop = min(len(text), window_end + longest) - before
        start, offset = window_end, start - before
        for match in pattern.finditer(piece, offset, stop):
            if before + match.start() >= window_end:
                break
            yield before + match.start(), before + match.end()
            start = max(start, before + match.end())


def _matches_nothing(pattern: Pattern, sample: str) -> bool:
    return any(match.start() == match.end() for match in pattern.finditer(sample))


def _explain(reason: bytes | str) -> str:
    """Put RE2's words into an operator's; what isn't listed is told as RE2 says it."""
    words = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
    if re.search(r"operator: \(\?(<?[=!]|<$)", words):
        return "look-ahead and look-behind can't be matched in linear time"
    if "operator: (?" in words:
        return "atomic groups, conditions and comments aren't RE2's"
    if re.search(r"escape sequence: \\([1-9]|k)", words):
        return "a back-reference can't be matched in linear time"
    if "too large" in words:
        return f"the pattern needs more than {MAX_PROGRAM_BYTES} bytes when compiled; shorten its repetitions"
    if "repetition size" in words:
        return f"{words}; RE2 repeats at most 1000 times, nested repetitions multiplied"
    return words
