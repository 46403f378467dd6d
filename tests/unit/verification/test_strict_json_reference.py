"""The strict parser against a slow one, written straight from RFC 8259's grammar, on texts that are nearly JSON."""

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sallyport.errors import InvalidJsonError
from sallyport.verification.answers import parse_answer
from sallyport.verification.strict_json import parse_strict
from tests.support.json_grammar import read

PIECES = st.sampled_from([
    "{", "}", "[", "]", ",", ":", '"', '"a"', '"b"', r'"\u0061"', r'"\ud83d"', r'"\ud83d\ude00"', r"\ude00", "\\",
    "\\u", "\\/", "0", "-", "1", "01", "1.5", "1.", ".5", "1e3", "1E+400", "1e-400", "9" * 64, "9" * 65, "-0", "+1",
    "0x1", "NaN", "Infinity", "-Infinity", "true", "false", "null", "True", "nul", " ", "\n", "\t", "\f", "\v",
    "\u00a0", "\ufeff", "\x00", "\x1f", "\x7f", "\u2028", "\ud800", "\udc00", "\u0661", "\U0001f600", "/**/", "//", "'",
    "[1,2]", '{"a":1}', '{"a":1,"a":1}', "[" * 40, "]" * 40, '{"a":' * 40, "}" * 40,
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=2), children, max_size=4),
    max_leaves=8,
)


@st.composite
def nearly_json(draw: st.DrawFn) -> str:
    """A written value with some of it left out, put twice, or something put in."""
    text = json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 4)))
        text = text[:start] + draw(PIECES | st.just("") | st.just(text[start:end] * 2)) + text[end:]
    return text


@given(nearly_json() | st.lists(PIECES, max_size=12).map("".join))
@example('"\\ud83d\ude00"')
@example('{"a":1,"\\u0061":1}')
@example("[" * 64 + "]" * 64)
@example("[" * 65 + "]" * 65)
@example("-0")
def test_what_is_read_and_what_is_refused_is_as_the_grammar_says(text: str) -> None:
    is_strict, expected = read(text)
    if not is_strict:
        with pytest.raises(InvalidJsonError):
            parse_strict(text)
        return
    value = parse_strict(text)
    assert repr(value) == repr(expected)


@given(nearly_json(), st.binary(max_size=3), st.integers(0, 60))
@example("[1]", b"\xff", 1)
@example('"a"', b"\xc0\xaf", 1)
@example('"a"', b"\xed\xa0\x80", 1)
@example("[1]", b"\xef\xbb\xbf", 0)
def test_bytes_are_read_if_they_are_utf_8_of_a_text_that_is(text: str, put_in: bytes, at: int) -> None:
    raw = text.encode(errors="replace")
    raw = raw[:at] + put_in + raw[at:]
    is_strict, expected = False, None
    with contextlib.suppress(UnicodeDecodeError):
        is_strict, expected = read(raw.decode("utf-8"))
    if is_strict:
        assert repr(parse_answer(raw)) == repr(expected)
    else:
        with pytest.raises(InvalidJsonError):
            parse_answer(raw)


@given(st.sampled_from("abc"), st.integers(0, 2), st.data())
def test_name_that_stands_twice_is_refused_however_it_is_spelt(name: str, depth: int, data: st.DataObject) -> None:
    spelling = st.sampled_from([name, f"\\u{ord(name):04x}", f"\\u{ord(name):04X}"])
    between = data.draw(st.sampled_from(["", '"other": {},', '"A": 1, "B": [{}],']))

    def text(second: str) -> str:
        fields = f'"{data.draw(spelling)}": 1, {between} "{second}": [2]'
        return "[" * depth + "{" + fields + "}" + "]" * depth

    with pytest.raises(InvalidJsonError):
        parse_strict(text(data.draw(spelling)))
    assert parse_strict(text("z"))


@given(nearly_json())
def test_what_was_read_is_written_and_read_alike(text: str) -> None:
    """A body that is changed is sent as it is written anew, which must be JSON that says the same."""
    is_strict, expected = read(text)
    if is_strict:
        assert parse_strict(json.dumps(parse_strict(text), ensure_ascii=False, allow_nan=False)) == expected


@pytest.mark.parametrize("depth", [500, 990, 1_000, 3_000, 9_000, 30_000])
@pytest.mark.parametrize("inside", ["1", r'"\ud83d\ude00"', r'"\ud83d"'])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_any_depth_is_refused_and_never_a_failure(depth: int, inside: str, opening: str, closing: str) -> None:
    """Half a surrogate pair is looked for by writing the value, which can be nested too deeply for that."""
    with pytest.raises(InvalidJsonError):
        parse_strict(opening * depth + inside + closing * depth)
