"""Paths and queries to an app: what every server reads the same way passes as it came, all else is refused."""

from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import RequestError
from sallyport.gateway.app_paths import MAX_PATH_CHARS, MAX_QUERY_CHARS, app_target, check_path

FINE = [
    "",
    "v1/things",
    "v1/things/",
    "v1.2/x..y",
    "a%20b",
    "%C3%A9t%C3%A9",
    "100%25",
    "100%2525",
    "a:b@c/d;e=f,g!$&'()*+=~_-",
    ".well-known/x",
    "x" * MAX_PATH_CHARS,
]
REFUSED = [
    ".",
    "..",
    "a/../b",
    "a/./b",
    "a/..",
    "..;/b",
    "..;x=1/b",
    ".;/b",
    ";x=1/b",
    "..%3fb",
    "a/%2e%23/b",
    "%3Fa",
    "..%253f",
    "...",
    "..%20",
    "%20",
    "%2e",
    "%2E%2e/b",
    ".%2e/b",
    "%252e%252e/b",
    "%25252e%25252e/b",
    "%c0%ae%c0%ae/b",
    "%e0%80%ae%e0%80%ae/b",
    "%EF%BC%8E%EF%BC%8E/b",
    "%E2%80%A4%E2%80%A4/b",
    "%E2%80%A5/b",
    "%u002e%u002e/b",
    "%25u002e%25u002e/b",
    "/",
    "/a",
    "a//b",
    "a//",
    "a%2fb",
    "a%2Fb",
    "..%2fb",
    "a%252fb",
    "a%5cb",
    "..%5cb",
    "a%255Cb",
    "a%EF%BC%8Fb",
    "a%EF%BC%BCb",
    "a\\b",
    "..\\b",
    "a%00",
    "a%2500",
    "a%0d%0aX:%20y",
    "a%7f",
    "a%C2%85b",
    "a\r\nb",
    "a\x00",
    "a b",
    "a\tb",
    "\u00e9",
    "a?b",
    "a#b",
    "a%",
    "a%2",
    "a%zz",
    "a%ff",
    "%25252525252525",
    "http://[::1]/",
    "x" * (MAX_PATH_CHARS + 1),
]


@pytest.mark.parametrize("path", FINE)
def test_a_path_that_can_be_read_in_one_way_is_kept_as_it_came(path: str) -> None:
    assert app_target("/base", path, {}) == f"/base/{path}"


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_that_could_be_read_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(RequestError):
        check_path(path)


@pytest.mark.parametrize("path", ["secret-value/../x", "secret-value%zz", "secret-value%ff"])
def test_a_refusal_never_repeats_the_path(path: str) -> None:
    with pytest.raises(RequestError) as refused:
        check_path(path)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", None, "/"),
        ("/", None, "/"),
        ("", "", "/"),
        ("", "a", "/a"),
        ("/base", None, "/base"),
        ("/base/", None, "/base"),
        ("/base", "", "/base/"),
        ("/base/", "a/b", "/base/a/b"),
    ],
)
def test_the_target_is_below_the_base_path(base: str, path: str | None, target: str) -> None:
    assert app_target(base, path, {}) == target


def test_a_query_is_encoded_anew_in_its_order() -> None:
    query = {"b": ["2", "1"], "a b": ["c&d=e", "+ #"], "\u00e9": [""]}
    assert app_target("", "x", query) == "/x?b=2&b=1&a%20b=c%26d%3De&a%20b=%2B%20%23&%C3%A9="


@pytest.mark.parametrize("query", [{"a": ["x" * MAX_QUERY_CHARS]}, {"\ud800": ["x"]}, {"x": ["\udfff"]}])
def test_a_query_that_cant_be_sent_is_refused(query: dict[str, list[str]]) -> None:
    with pytest.raises(RequestError):
        app_target("", "x", query)


@given(st.text(alphabet="./%25eEfFcC0aA\\;u\u00e9 ", max_size=24))
def test_no_accepted_path_climbs_however_often_it_is_decoded(path: str) -> None:
    try:
        check_path(path)
    except RequestError:
        return
    decoded = path
    for _ in range(8):
        segments = [segment.partition(";")[0] for segment in decoded.split("/")]
        assert not {".", ".."} & set(segments)
        assert "" not in segments[:-1]
        assert "\\" not in decoded
        assert decoded.count("/") == path.count("/")
        decoded = unquote(decoded)


@given(st.dictionaries(st.text(max_size=8), st.lists(st.text(max_size=8), min_size=1, max_size=3), max_size=4))
def test_a_query_comes_to_the_app_as_the_client_wrote_it(query: dict[str, list[str]]) -> None:
    target = app_target("", "x", query)
    text = target.partition("?")[2]
    assert target.isascii()
    assert target.isprintable()
    assert parse_qsl(text, keep_blank_values=True) == [(name, value) for name in query for value in query[name]]
