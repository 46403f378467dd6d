"""Texts that could be read in two ways: base64url, JSON, and the compact form made of both."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.identity import base64url
from sallyport.identity.compact_token import read_compact
from sallyport.identity.strict_json import MAX_DEPTH, read_json
from tests.support.issuer import encode


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=40))
def test_bytes_have_one_text(raw: bytes) -> None:
    assert base64url.decode(encode(raw)) == raw


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="ABQgwxyz019-_=+/ \n.\u00e4", max_size=8))
def test_a_text_is_its_bytes_only_text_or_none(text: str) -> None:
    try:
        raw = base64url.decode(text)
    except ValueError:
        return
    assert encode(raw) == text


@pytest.mark.parametrize(
    "text", ["A", "AB", "AAA=", "AA==", "AAB", "A A", "AA\n", "AA+A", "AA/A", "\u0661AAA", "=", "A==="]
)
def test_what_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64url|ASCII"):
        base64url.decode(text)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{}{}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": 1, "\\u0061": 2}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        b"1" * 5000,
        b"[" * 5000 + b"]" * 5000,
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    ],
)
def test_json_that_another_parser_reads_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(raw)


@pytest.mark.parametrize("value", [None, 1.5, "a", {"a": {"a": 1}}, [[[]]], [{}] * 100, {"ä": "\U0001f600"}])
def test_json_that_all_parsers_read_alike_is_read(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_json(deep) is not None


def test_a_compact_token_keeps_its_bytes() -> None:
    token = f"{encode(b' { } ')}.{encode(b'{}')}.{encode(b'signature')}"
    compact = read_compact(token)
    assert compact.signed.decode() == token.rpartition(".")[0]
    assert (compact.header, compact.claims, compact.signature) == ({}, {}, b"signature")
