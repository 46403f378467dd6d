"""JSON's grammar (RFC 8259) read slowly, character by character; it shares no code with what it is compared with."""

import math
import re
from typing import Any

_MAX_NUMBER_CHARS, _MAX_DEPTH = 64, 64
_BLANKS = " \t\n\r"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}


class NotStrictError(Exception):
    """The reference refuses the text."""


class Reference:
    """One value, character by character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def document(self) -> Any:
        value = self.value(0)
        self.skip()
        if self.at != len(self.text):
            raise NotStrictError
        return value

    def value(self, depth: int) -> Any:
        self.skip()
        character = self.text[self.at : self.at + 1]
        if character in ("{", "["):
            if depth == _MAX_DEPTH:
                raise NotStrictError
            return self.object(depth + 1) if character == "{" else self.array(depth + 1)
        if character == '"':
            return self.string()
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.number()

    def object(self, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        while self.goes_on("{" if not value else ",", "}", is_first=not value):
            self.skip()
            name = self.string()
            self.skip()
            self.take(":")
            if name in value:
                raise NotStrictError
            value[name] = self.value(depth)
        return value

    def array(self, depth: int) -> list[Any]:
        value: list[Any] = []
        while self.goes_on("[" if not value else ",", "]", is_first=not value):
            value.append(self.value(depth))
        return value

    def goes_on(self, before: str, end: str, *, is_first: bool) -> bool:
        self.skip()
        if not is_first and self.text.startswith(end, self.at):
            self.at += 1
            return False
        self.take(before)
        self.skip()
        if is_first and self.text.startswith(end, self.at):
            self.at += 1
            return False
        return True

    def string(self) -> str:
        self.take('"')
        units = ""
        while not self.text.startswith('"', self.at):
            units += self.character()
        self.at += 1
        try:
            return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise NotStrictError from None

    def character(self) -> str:
        character = self.text[self.at : self.at + 1]
        if not character or character < " " or "\ud800" <= character <= "\udfff":
            raise NotStrictError
        self.at += 1
        if character != "\\":
            return character
        escape = self.text[self.at : self.at + 1]
        self.at += 1
        if escape != "u":
            if escape not in _ESCAPES:
                raise NotStrictError
            return _ESCAPES[escape]
        digits = self.text[self.at : self.at + 4]
        if re.fullmatch("[0-9a-fA-F]{4}", digits) is None:
            raise NotStrictError
        self.at += 4
        return chr(int(digits, 16))

    def number(self) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        if found is None or len(found[0]) > _MAX_NUMBER_CHARS:
            raise NotStrictError
        self.at = found.end()
        if found[1] is None and found[2] is None:
            return int(found[0])
        number = float(found[0])
        if math.isinf(number):
            raise NotStrictError
        return number

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANKS:
            self.at += 1

    def take(self, character: str) -> None:
        if not self.text.startswith(character, self.at):
            raise NotStrictError
        self.at += 1


def read(text: str) -> tuple[bool, Any]:
    """Say whether a text is strict JSON, and which value it is of."""
    try:
        return True, Reference(text).document()
    except NotStrictError:
        return False, None
