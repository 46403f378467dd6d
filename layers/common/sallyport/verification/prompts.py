"""An operator's rules for the words of a prompt: patterns, characters that hide something, endless repetition.

A message's texts are looked at one by one and, where they are parts of one, also as one, for models read them so.
Everything takes time that grows with the text alone: patterns are RE2's, and the two expressions below never look at a
character more than a few times, whatever the text.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sallyport.errors import PromptRefusedError, SchemaViolationError
from sallyport.policy.verification_rules import BLOCK, PromptRules
from sallyport.verification.findings import Finding, added_up
from sallyport.verification.patterns import Pattern, compile_pattern
from sallyport.verification.prompt_texts import Place, PromptText, PromptTexts

DENY, ALLOW, CONTROL, BIDI, REPETITION = "deny", "allow", "control", "bidi", "repetition"

_FORBIDDEN = {
    CONTROL: re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"),
    BIDI: re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"),
}
"""Unicode's `Cc` but for tab, line feed and carriage return; and what has the property `Bidi_Control` (UAX #9)."""
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""What has the property `Default_Ignorable_Code_Point` (UAX #44): nobody sees it, and models read over it."""
_REASONS = {
    DENY: "has what it denies",
    ALLOW: "has nothing of what it allows",
    CONTROL: "has control characters",
    BIDI: "has characters that change the direction of writing",
    REPETITION: "repeats a character or a word too often",
}
_DEFINITIONS = frozenset(
    {"tools", "functions", "response_format", "text", "output_config", "output_format"}
    | {"context_management", "fallbacks", "web_search_options"}
)
_NOT_SAID = frozenset(
    {"name", "namespace", "url", "image_url", "file_url", "format"}
    | {"input", "arguments", "attributes", "tool_calls", "function_call", "action", "actions"}
)
"""Of a message: names, addresses and calls of tools, which, like definitions, no `allow` is asked about."""
MAX_TEXTS = 100_000
"""Of one body that rules look at: each takes its time, however short it is, by each pattern of each rule."""
_PROBE = 8
"""Times in a row from which on a run is counted: a shorter one is passed at no more than this many looks at each."""


class PromptChecker:
    """Rules for prompts, compiled; make it once per policy version. Raises `ValueError` for what is no pattern."""

    def __init__(self, rules: Sequence[PromptRules]) -> None:
        self._rules = tuple(_Rule.compiled(one) for one in rules)

    def check(self, route: str, body: Mapping[str, Any]) -> list[Finding]:
        """Give what the rules that report have found.

        Raises `PromptRefusedError` for a rule that blocks; it names the rule and the text's place, and never a word.
        Raises `SchemaViolationError` for a body of more texts than can be looked at.
        """
        if not self._rules:
            return []
        found: list[Finding] = []
        count = 0
        for message in PromptTexts(route, body).by_message():
            for texts in _joined(message):
                count += len(texts)
                if count > MAX_TEXTS:
                    raise SchemaViolationError(f"Invalid request: the body has more than {MAX_TEXTS} texts.")
                for rule in self._rules:
                    found += rule.findings(texts)
        return list(added_up(found))


class _Rule(NamedTuple):
    rules: PromptRules
    deny: tuple[Pattern, ...]
    allow: tuple[Pattern, ...]
    repetition: Callable[[str], bool] | None

    @classmethod
    def compiled(cls, rules: PromptRules) -> "_Rule":
        repeats = None if rules.max_repetition is None else _repetition(rules.max_repetition)
        return cls(rules, tuple(map(compile_pattern, rules.deny)), tuple(map(compile_pattern, rules.allow)), repeats)

    def findings(self, texts: Sequence[PromptText]) -> Iterator[Finding]:
        """Give what is wrong with texts that are read as one, each kind once; the last text is all of it as one."""
        if texts[0].role not in self.rules.roles:
            return
        places = {kind: text for text in reversed(texts) for kind in self._kinds(text.text)}
        if self.allow and _is_said(texts[-1]) and not _has(self.allow, texts[-1].text):
            places[ALLOW] = texts[-1]
        for kind, text in places.items():
            yield self._finding(kind, text)

    def _kinds(self, text: str) -> Iterator[str]:
        if self.deny and any(_has(self.deny, reading) for reading in _readings(text)):
            yield DENY
        yield from (kind for kind in self.rules.forbid if _FORBIDDEN[kind].search(text))
        if self.repetition is not None and self.repetition(text):
            yield REPETITION

    def _finding(self, kind: str, text: PromptText) -> Finding:
        name = self.rules.name
        if self.rules.action == BLOCK:
            message = f"The rule {name!r} doesn't let this prompt pass: {text.path} {_REASONS[kind]}."
            error = PromptRefusedError(message, param=text.path)
            error.findings = (str(Finding(f"prompts/{name}", kind)),)
            raise error
        return Finding(f"prompts/{name}", kind)


def _has(patterns: Iterable[Pattern], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _readings(text: str) -> Iterator[str]:
    """Give a text as it is and as it is seen: characters that nobody sees, between its letters, would hide any word."""
    yield text
    if not text.isascii() and _UNSEEN.search(text):
        yield _UNSEEN.sub("", text)


def _joined(message: Iterable[PromptText]) -> Iterator[list[PromptText]]:
    """Give a message's texts one by one, but parts of one together, and last, if there are several, all of it as one.

    Whatever else a part holds doesn't come between: a field that no upstream knows would be enough to hide two halves.
    Upstreams put parts together with nothing between them, or with a line's end: a blank stands for that.
    """
    parts_of: dict[tuple[str, int], tuple[Place, list[PromptText]]] = {}
    for text in message:
        whole = _whole(text.place)
        if whole is None:
            yield [text]
        else:
            parts_of.setdefault((text.role, id(whole)), (whole, []))[1].append(text)
    for (role, _), (whole, parts) in parts_of.items():
        if len(parts) > 1:
            texts = [part.text for part in parts]
            parts.extend(PromptText(role, whole, between.join(texts)) for between in (" ", ""))
        yield parts


def _whole(place: Place) -> Place | None:
    """Give the list that a text is a part of, as `content` for `content[1].text`; None for one that stands alone."""
    part = place.within
    return part.within if part is not None and place.step == "text" and isinstance(part.step, int) else None


def _is_said(text: PromptText) -> bool:
    """Say whether somebody says this, as `messages[0].content[1].text`, to the model or as the model."""
    root, *inside = text.place.steps
    return root not in _DEFINITIONS and _NOT_SAID.isdisjoint(inside)


def _repetition(times: int) -> Callable[[str], bool]:
    """Give whether a character, or a word between blanks, stands more than so often in a row."""
    least = min(times, _PROBE)
    character = re.compile(rf"(.)\1{{{least},}}+", re.DOTALL)
    word = re.compile(rf"(?<!\S)(\S++)(?:\s++\1(?!\S)){{{least},}}+")

    def repeats(text: str) -> bool:
        if len(text) <= times:
            return False
        if any(len(run[0]) > times for run in character.finditer(text)):
            return True
        return any(_word_count(run[0]) > times for run in word.finditer(text))

    return repeats


def _word_count(text: str) -> int:
    return sum(1 for _ in re.finditer(r"\S++", text))
