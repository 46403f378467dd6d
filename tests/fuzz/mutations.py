"""Changes to JSON: to its values, to its text, and to the size of either."""

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1.0, -0.0, 0.5, 1e308, 2**53 + 1, -(2**63) - 1, 10**63, "", " ", "x", "auto",
    "none", "user", "\x00", "\u202e", "\U0001f600", "\u017f", [], {}, [[]], [{}], {"": None}, {"type": "text"}, [None],
    ["x"], {"$ref": "#"}, {"__proto__": {}}, "data:image/png;base64,AAAA", "https://198.51.100.1/x.png",
)  # fmt: skip
ODD_NAMES = (
    "", "Model", "MODEL", "model ", "stream", "n", "store", "tools", "user", "logprobs", "\u017ftore", "to\u212aens",
    "__proto__", "$ref", "a.b", "a[0]", "\x00", "x" * 200, "previous_response_id", "background", "stop", "seed",
    "messages",
)  # fmt: skip
PIECES = (
    "{", "}", "[", "]", ",", ":", '"', "\\", "\\u", r"\ud800", r"\u0000", r"\u0022", "0", "-", "01", ".", "e", "E+400",
    "NaN", "Infinity", "-Infinity", "1e400", "9" * 65, "0." + "1" * 80, "null", "tru", " ", "\n", "\t", "\f", "\u00a0",
    "\ufeff", "\x00", "\x1f", "\u2028", "\ud800", "\udfff", "\U0001f600", "/**/", "//", "'", "[" * 70, '{"a":' * 70,
    "[" * 5000, '"model":"other",', r'"\u006dodel":"other",', '"messages":[],', '"stream":true,', '"a":1,"a":1,',
)  # fmt: skip
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BIG_CHARS = 400_000


class Mutator:
    """Changes values and texts, as one generator of random numbers says."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance

    def text_of(self, value: Any) -> str:
        """Give a text of a value, changed in up to three places, of which most stay JSON."""
        for _ in range(self.chance.choice((0, 1, 1, 2, 3))):
            value = self.changed(value)
        text = self._written(value)
        for _ in range(self.chance.choice((0, 0, 0, 0, 0, 1, 1, 2))):
            text = self.chance.choice((self._put_in, self._cut, self._doubled, self._other_number))(text)
        return text

    def changed(self, value: Any) -> Any:
        """Give a value with one change somewhere in it; rarely with one that makes it big."""
        path = self._place(value)
        change = self._grown if self.chance.random() < 1 / 500 else self.chance.choice(self._changes())
        return _replaced(value, path, change)

    def _changes(self) -> Sequence[Callable[[Any], Any]]:
        return (self._odd, self._odd, self._without, self._renamed, self._with_more, self._doubled_items, self._nested)

    def _place(self, value: Any) -> list[str | int]:
        """Give the path of a value, each level as likely to be the last as any."""
        path: list[str | int] = []
        while isinstance(value, dict | list) and value and self.chance.random() < 0.75:
            step = self.chance.choice(list(value)) if isinstance(value, dict) else self.chance.randrange(len(value))
            path.append(step)
            value = value[step]
        return path

    def _odd(self, _: Any) -> Any:
        return self.chance.choice(ODD_VALUES)

    def _without(self, value: Any) -> Any:
        if isinstance(value, dict) and value:
            gone = self.chance.choice(list(value))
            return {name: child for name, child in value.items() if name != gone}
        return value[1:] if isinstance(value, list | str) else value

    def _renamed(self, value: Any) -> Any:
        if not isinstance(value, dict) or not value:
            return self._odd(value)
        old, new = self.chance.choice(list(value)), self.chance.choice(ODD_NAMES)
        return {new if name == old else name: child for name, child in value.items()}

    def _with_more(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {**value, self.chance.choice(ODD_NAMES): self.chance.choice(ODD_VALUES)}
        return [*value, self.chance.choice(ODD_VALUES)] if isinstance(value, list) else [value]

    def _doubled_items(self, value: Any) -> Any:
        return value * 2 if isinstance(value, list | str) else [value, value]

    def _nested(self, value: Any) -> Any:
        for _ in range(self.chance.choice((1, 5, 30, 61, 64, 80, 300))):
            value = [value] if self.chance.random() < 0.5 else {"a": value}
        return value

    def _grown(self, value: Any) -> Any:
        """Give a value of hundreds of kilobytes, up to what is too large for a request."""
        size = self.chance.choice((_BIG_CHARS, _BIG_CHARS, 2 * _BIG_CHARS, 14 * _BIG_CHARS))
        if isinstance(value, list) and value:
            return value * max(1, size // (len(json.dumps(value)) * self.chance.choice((1, 4))))
        if isinstance(value, dict):
            return {**value, **{f"{self.chance.choice('xX')}{number}": {} for number in range(size // 20)}}
        return self.chance.choice(["x", "\u0416", "\U0001f600", "{[,", '"']) * (size // 2)

    def _written(self, value: Any) -> str:
        separators = self.chance.choice(((",", ":"), (", ", ": "), (" ,\n", "\t:  ")))
        return json.dumps(value, ensure_ascii=self.chance.random() < 0.5, separators=separators)

    def _put_in(self, text: str) -> str:
        at = self.chance.randrange(len(text) + 1)
        if self.chance.random() < 0.3:
            at = 1  # behind the first brace, where another field does best
        return text[:at] + self.chance.choice(PIECES) + text[at:]

    def _cut(self, text: str) -> str:
        start = self.chance.randrange(len(text) + 1)
        return text[:start] + text[start + self.chance.choice((1, 1, 2, 10, 10_000_000)) :]

    def _doubled(self, text: str) -> str:
        start = self.chance.randrange(len(text) + 1)
        end = start + self.chance.choice((1, 2, 20))
        return text[:end] + text[start:]

    def _other_number(self, text: str) -> str:
        places = list(_NUMBER.finditer(text[:100_000]))
        if not places:
            return text
        place = self.chance.choice(places)
        return text[: place.start()] + self.chance.choice(PIECES) + text[place.end() :]


def _replaced(value: Any, path: Sequence[str | int], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return [_replaced(child, rest, change) if at == step else child for at, child in enumerate(value)]
    return {name: _replaced(child, rest, change) if name == step else child for name, child in value.items()}
