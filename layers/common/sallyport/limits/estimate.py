"""How many tokens a prompt has, guessed: what is reserved before the provider has counted them.

A tokenizer's vocabulary is larger than all the rest of the layer, and a provider's next model brings another one. So
text is measured by what its UTF-8 bytes are: each class of characters has a weight in tokens, fitted to o200k_base
over prose in some thirty languages, program code, JSON, logs and random identifiers. `make bench ARGS=estimate`
measures the error and the time, below ten microseconds per KB. The guess is no bound: the charge is set right once the
provider has reported what it counted.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

_WEIGHTS = (
    # name, leading bytes of the class, tokens for each in hundredths
    ("lower", b"abcdefghijklmnopqrstuvwxyz", 23),
    ("upper", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 40),
    ("digit", b"0123456789", 74),
    ("newline", b"\n", 200),  # the next line's indentation with it
    ("space", b"\t\r ", 1),  # goes into the token of the word after it
    ("mark", bytes(byte for byte in range(0x21, 0x7F) if not chr(byte).isalnum()), 36),
    ("control", bytes([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F]), 100),
    ("latin", bytes(range(0xC2, 0xCE)), 150),  # with an accent: it breaks up the word around it, too
    ("greek", b"\xce\xcf", 43),
    ("cyrillic", bytes(range(0xD0, 0xD4)), 32),
    ("hebrew", bytes(range(0xD4, 0xD8)), 47),  # and Armenian
    ("arabic", bytes(range(0xD8, 0xE0)), 39),
    ("indic", b"\xe0", 42),  # and Thai
    ("asian", b"\xe1", 25),  # Vietnamese, Georgian, Khmer and more
    ("symbol", b"\xe2\xee\xef", 78),
    ("kana", b"\xe3", 75),
    ("han", bytes(range(0xE4, 0xEA)), 88),
    ("hangul", bytes(range(0xEA, 0xEE)), 78),
    ("astral", bytes(range(0xF0, 0xF5)), 165),  # emoji
)
_HUNDREDTHS = 100
_WORD_LETTERS = 12
_RUN_WEIGHT = 38
"""For each ASCII letter beyond what words of `_WORD_LETTERS` would hold: base64 and the like."""


_ASCII_CLASSES = 7
"""The first ones."""


def _class_table() -> bytes:
    table = bytearray(b"\xff" * 256)
    for number, (_, leading, _) in enumerate(_WEIGHTS):
        for byte in leading:
            table[byte] = number
    return bytes(table)


_CLASS_OF = _class_table()
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_NOT_LEADING = bytes(range(0xC0))
"""ASCII, and the bytes inside of characters."""
_NUMBERS = {name: number for number, (name, _, _) in enumerate(_WEIGHTS)}

MESSAGE_TOKENS = 4
"""Around each message: its role and its two ends."""
REPLY_TOKENS = 3
"""What the answer is begun with."""
TOOL_TOKENS = 8
"""Around each tool."""
IMAGE_TOKENS, SMALL_IMAGE_TOKENS = 1105, 85
"""An image in high detail, as a portrait of 2:1 costs with gpt-4o; one in low detail. The bytes say nothing of it."""
AUDIO_CHARACTERS_PER_TOKEN = 1000
"""Of base64: 10 tokens a second, at 60 kbit/s."""
FILE_CHARACTERS_PER_TOKEN = 100
"""Of base64: a PDF page of 1,000 tokens has 75 KB."""
ANSWER_BYTES_PER_TOKEN = 3.5

_UNCOUNTED = frozenset({"type", "role", "id", "tool_call_id", "detail", "cache_control"})


def estimate_prompt_tokens(route: str, body: Mapping[str, Any]) -> int:
    """Guess the tokens of a request's prompt, as the provider will count them.

    `route` is the operation's name, such as chat_completions. Token arrays of embeddings are counted exactly. Images
    count a fixed number each; audio and files that are in the request count by their length, and 0 where they aren't.
    `body` has passed the route's schema; what that leaves open counts nothing if it isn't what it should be.
    """
    if route == "embeddings":
        return _embeddings(body.get("input"))
    prompt = _Prompt()
    messages = body.get("messages") or ()
    for message in messages:
        prompt.read(message)
    tools = [tool for name in ("tools", "functions") for tool in body.get(name) or ()]
    schemas = [*tools, *(body[name] for name in ("response_format", "prediction") if body.get(name))]
    prompt.texts += [json.dumps(schema, ensure_ascii=False, separators=(",", ":")) for schema in schemas]
    overhead = MESSAGE_TOKENS * len(messages) + TOOL_TOKENS * len(tools) + REPLY_TOKENS
    return prompt.tokens + estimate_text_tokens("".join(prompt.texts)) + overhead


def estimate_text_tokens(text: str) -> int:
    """Guess the tokens of a text alone, rounded up. Never more than its bytes in UTF-8."""
    data = text.encode("utf-8", "surrogatepass")
    ascii_classes = data.translate(_CLASS_OF, _BEYOND_ASCII)
    counts = [ascii_classes.count(number) for number in range(_ASCII_CLASSES)]
    if not text.isascii():
        classes = data.translate(_CLASS_OF, _NOT_LEADING)
        counts += [classes.count(number) for number in range(_ASCII_CLASSES, len(_WEIGHTS))]
    hundredths = sum(count * weight for count, (_, _, weight) in zip(counts, _WEIGHTS, strict=False))
    return min(-(-(hundredths + _RUN_WEIGHT * _letters_beyond_words(counts)) // _HUNDREDTHS), len(data))


def estimate_output_tokens(text_bytes: int, chunks: int) -> int:
    """Guess the tokens of an answer of which `text_bytes` of UTF-8 came in `chunks` events of a stream, rounded up.

    Providers mostly send an event per token, and some gather tokens: the greater of both counts.
    """
    return max(-int(-text_bytes // ANSWER_BYTES_PER_TOKEN), chunks)


def _letters_beyond_words(counts: list[int]) -> int:
    letters = counts[_NUMBERS["lower"]] + counts[_NUMBERS["upper"]]
    gaps = counts[_NUMBERS["space"]] + counts[_NUMBERS["newline"]] + counts[_NUMBERS["mark"]]
    return max(letters - _WORD_LETTERS * (gaps + 1), 0)


def _embeddings(given: Any) -> int:
    """`given` is a text, a list of texts, of tokens, or of lists of tokens."""
    parts = [given] if isinstance(given, str) else given or []
    # To a schema 5.0 is a whole number too.
    exact = sum(len(part) if isinstance(part, list) else 1 for part in parts if not isinstance(part, str))
    return exact + sum(estimate_text_tokens(part) for part in parts if isinstance(part, str))


class _Prompt:
    """The texts of messages, and the tokens of whatever isn't text."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tokens = 0

    def read(self, message: Any) -> None:
        """Take in a message: every text in it, wherever the provider puts one next, but for names of its own."""
        waiting = [message]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                self.texts.append(value)
            elif isinstance(value, list):
                waiting += value
            elif isinstance(value, dict):
                waiting += self._unmeasured(value)

    def _unmeasured(self, fields: Mapping[str, Any]) -> Iterable[Any]:
        kind = fields.get("type")
        if kind == "image_url":
            image = fields.get(kind)
            is_small = isinstance(image, dict) and image.get("detail") == "low"
            self.tokens += SMALL_IMAGE_TOKENS if is_small else IMAGE_TOKENS
        elif kind == "input_audio":
            self.tokens += _by_length(fields.get(kind), "data", AUDIO_CHARACTERS_PER_TOKEN)
        elif kind == "file":
            self.tokens += _by_length(fields.get(kind), "file_data", FILE_CHARACTERS_PER_TOKEN)
        else:
            return [value for name, value in fields.items() if name not in _UNCOUNTED]
        return ()


def _by_length(part: Any, name: str, characters_per_token: int) -> int:
    data = part.get(name) if isinstance(part, dict) else None
    return -(-len(data) // characters_per_token) if isinstance(data, str) else 0
