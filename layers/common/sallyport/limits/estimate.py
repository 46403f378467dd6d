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
CLAUDE_IMAGE_TOKENS = 1600
"""The most that Claude takes an image for: a larger one than some 1.2 megapixels is made smaller before."""
AUDIO_CHARACTERS_PER_TOKEN = 1000
"""Of base64: 10 tokens a second, at 60 kbit/s."""
FILE_CHARACTERS_PER_TOKEN = 100
"""Of base64: a PDF page of 1,000 tokens has 75 KB."""
DOCUMENT_CHARACTERS_PER_TOKEN = 33
"""The same, to Claude: it reads a page as text and as an image, of 3,000 tokens together."""
ENCRYPTED_CHARACTERS_PER_TOKEN = 6
"""Of earlier reasoning that only the provider can read."""
TOOL_USE_TOKENS = 346
"""What Claude is told of how tools are used, once there are some."""
ANSWER_BYTES_PER_TOKEN = 3.5

_UNCOUNTED = frozenset(
    {
        *("type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "detail", "status", "media_type"),
        *("cache_control", "signature"),
    }
)
_IMAGES = frozenset({"image_url", "input_image"})
_CLAUDE_ROUTES = frozenset({"messages", "count_tokens"})
_DATA = {
    # type of a part, where its data is, characters for a token
    "input_audio": ("input_audio", "data", AUDIO_CHARACTERS_PER_TOKEN),
    "file": ("file", "file_data", FILE_CHARACTERS_PER_TOKEN),
    "input_file": ("", "file_data", FILE_CHARACTERS_PER_TOKEN),
    "reasoning": ("", "encrypted_content", ENCRYPTED_CHARACTERS_PER_TOKEN),
    "redacted_thinking": ("", "data", ENCRYPTED_CHARACTERS_PER_TOKEN),
}


def estimate_prompt_tokens(route: str, body: Mapping[str, Any]) -> int:
    """Guess the tokens of a request's prompt, as the provider will count them.

    `route` is the operation's name, such as chat_completions. Token arrays of embeddings are counted exactly. Images
    count a fixed number each; audio and files that are in the request count by their length, and 0 where they aren't.
    `body` has passed the route's schema; what that leaves open counts nothing if it isn't what it should be.
    """
    if route == "embeddings":
        return _embeddings(body.get("input"))
    prompt = _Prompt()
    asked = body.get("input" if route == "responses" else "messages")
    messages = [asked] if isinstance(asked, str) else asked or ()
    for message in [*messages, *(body.get(name) for name in _BESIDE.get(route, ()))]:
        prompt.read(message)
    tools = [tool for name in ("tools", "functions") for tool in body.get(name) or ()]
    prompt.texts += map(_json, [*tools, *_schemas(body)])
    overhead = MESSAGE_TOKENS * len(messages) + TOOL_TOKENS * len(tools) + REPLY_TOKENS
    if tools and route in _CLAUDE_ROUTES:
        overhead += TOOL_USE_TOKENS
    return prompt.tokens + estimate_text_tokens("".join(prompt.texts)) + overhead


_BESIDE = {"responses": ("instructions",), "messages": ("system",), "count_tokens": ("system",)}
"""Where a prompt is beside its messages."""


def _schemas(body: Mapping[str, Any]) -> list[Any]:
    """Give what the answer is to look like, where that is told."""
    given = [body.get("response_format"), body.get("prediction")]
    for holder in (body.get("text"), body.get("output_config")):
        form = holder.get("format") if isinstance(holder, dict) else None
        given.append(form if isinstance(form, dict) and "schema" in form else None)
    return [schema for schema in given if schema]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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
        if not isinstance(kind, str):
            kind = ""
        if kind in _IMAGES:
            self.tokens += SMALL_IMAGE_TOKENS if _is_small(fields) else IMAGE_TOKENS
        elif kind in _DATA:
            inside, name, characters = _DATA[kind]
            part = fields.get(inside) if inside else fields
            self.tokens += _by_length(part, name, characters)
        elif kind == "image":
            self.tokens += CLAUDE_IMAGE_TOKENS
        elif kind == "image_generation_call":
            self.tokens += IMAGE_TOKENS
        elif kind == "document":
            return self._document(fields)
        elif kind == "tool_use":
            return [fields.get("name"), _json(fields.get("input"))]
        else:
            return [value for name, value in fields.items() if name not in _UNCOUNTED]
        return ()

    def _document(self, fields: Mapping[str, Any]) -> Iterable[Any]:
        source = fields.get("source")
        beside = [fields.get("title"), fields.get("context")]
        if isinstance(source, dict) and source.get("type") == "base64":
            self.tokens += _by_length(source, "data", DOCUMENT_CHARACTERS_PER_TOKEN)
            return beside
        return [source, *beside]


def _is_small(fields: Mapping[str, Any]) -> bool:
    """An image's detail is beside it, or in the object of a chat's part."""
    image = fields.get("image_url")
    return "low" in (fields.get("detail"), image.get("detail") if isinstance(image, dict) else None)


def _by_length(part: Any, name: str, characters_per_token: int) -> int:
    data = part.get(name) if isinstance(part, dict) else None
    return -(-len(data) // characters_per_token) if isinstance(data, str) else 0
