"""YAML whose meaning depends on nobody's reader."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport_cli.policy.yaml_reading import MAX_DOCUMENT_BYTES, YamlError, parse_yaml

DECEIVING = "\u0085\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
TEXT = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=DECEIVING)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcNO1", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("n", "n"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("0o17", "0o17"),
        ("017", "017"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("17", 17),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        ("'17'", "17"),
        ("!!str 17", "17"),
        ("~", None),
        ("", None),
        ("203.0.113.9", "203.0.113.9"),
    ],
)
def test_a_scalar_means_what_json_would_say(text: str, value: object) -> None:
    read = parse_yaml(f"a: {text}").values["a"]
    assert (type(read), read) == (type(value), value)


def test_keys_are_text_as_written() -> None:
    assert list(parse_yaml("NO: 1\n12: 2\ntrue: 3\n'a': 4").values) == ["NO", "12", "true", "a"]


@given(st.dictionaries(st.text("abcNO1", min_size=1), JSON_VALUES))
@settings(deadline=None)
def test_json_reads_as_itself(values: dict[str, object]) -> None:
    assert parse_yaml(json.dumps(values)).values == values


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key a is there twice; first on line 1"),
        ("a: {b: 1,\n b: 2}", 2, "the key b is there twice; first on line 1"),
        ("a: &x 1", 1, "anchors such as &x aren't taken"),
        ("b: 1\na: *x", 2, "aliases such as *x aren't taken; write the value out"),
        ("<<: {a: 1}", 1, "merge keys (<<) aren't taken; write the values out"),
        ("a: !!python/object:os.system 1", 1, "has a tag; only plain YAML is taken"),
        ("a: !!set {b, c}", 1, "has a tag; only plain YAML is taken"),
        ("a: 1\n--- \nb: 1", 2, "a second document begins here; one file is one document"),
        ("- a", 1, "is no mapping; a policy document begins with `version: 1`"),
        ("? [a]\n: 1", 1, "a key is text"),
        ("", None, "is empty"),
        ("# only a comment\n", None, "is empty"),
        ("a: b: c", 1, "isn't YAML: mapping values are not allowed in this context"),
        ("a:\n\tb: 1", 2, "isn't YAML: found character that cannot start any token"),
        ("a: " + "[" * 100_000, 1, "is nested more than 20 deep"),
        ("a: " + "x" * MAX_DOCUMENT_BYTES, None, "is larger than 8 MB"),
    ],
)
def test_what_isn_t_plain_yaml_is_refused(text: str, line: int | None, reason: str) -> None:
    with pytest.raises(YamlError) as refused:
        parse_yaml(text)
    assert (refused.value.line, refused.value.reason) == (line, reason)


@pytest.mark.parametrize("character", DECEIVING)
def test_what_hides_or_reorders_yaml_in_review_is_refused(character: str) -> None:
    with pytest.raises(YamlError) as refused:
        parse_yaml(f"a: 1\r\n# harmless{character}b: 2\n")
    assert refused.value.line == 2
    assert refused.value.reason.startswith(f"has U+{ord(character):04X}, which can't be seen")


@pytest.mark.parametrize("escape", [r"\e[2K", r"\u202e", r"\x07", r"\r", r"\u2028"])
def test_an_escape_brings_in_nothing_that_a_terminal_obeys(escape: str) -> None:
    for text in (f'a: 1\nb: "x{escape}y"\n', f'a: 1\n"x{escape}y": 1\n'):
        with pytest.raises(YamlError) as refused:
            parse_yaml(text)
        assert refused.value.line == 2
        assert refused.value.reason.isprintable()


def test_json_may_escape_what_lies_beyond_the_first_plane() -> None:
    text = r'{"a": "\ud83d\ude00", "b": "\\ud83d\\ude00", "c": "\u00e9"}'
    assert parse_yaml(text).values == json.loads(text)
    with pytest.raises(YamlError):
        parse_yaml(r'{"a": "\ud83d"}')


@given(st.text("ab:-[]{}&*!|>'\"%@`#,? \n\t\x01\ufeff\ud800"))
@settings(deadline=None, max_examples=500)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(YamlError):
        assert isinstance(parse_yaml(text).values, dict)


def test_every_value_and_key_has_its_line() -> None:
    lines = parse_yaml("a:\n  - 1\n  - b: 2\n    c:\n      3\r\n").lines
    assert lines.of_value(("a", 0)) == 2
    assert lines.of_value(("a", 1, "b")) == 3
    assert (lines.of_key(("a", 1, "c")), lines.of_value(("a", 1, "c"))) == (4, 5)
    assert lines.of_value(("a", 1, "missing", "below")) == 3
