"""Headers between a client and an app: allow-lists, and what no app's own list can let through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import RequestError
from sallyport.gateway.app_headers import (
    FORWARDED_HEADERS,
    MAX_RETURNED_CHARS,
    RETURNED_HEADERS,
    forwarded_headers,
    may_forward,
    may_return,
    returned_headers,
)

NEVER_UP = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "x-api-key",
    "api-key",
    "x-origin-verify",
    "x-sallyport-tenant",
    "x-sallyport",
    "x-sallyport_tenant",
    "x_sallyport_tenant",
    "x-sallyport-anything-else",
    "x-forwarded-for",
    "x-forwarded-host",
    "forwarded",
    "x-real-ip",
    "x-amzn-trace-id",
    "x-amz-security-token",
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "content-encoding",
    "accept-encoding",
    "expect",
    "proxy",
    "proxy-connection",
    "x-custom\r\nx-sallyport-tenant",
    "x custom",
    "x-custom:",
    "",
    "X-Custom",
]
NEVER_DOWN = [
    "set-cookie",
    "www-authenticate",
    "proxy-authenticate",
    "x-sallyport-region",
    "x-request-id",
    "x-ratelimit-limit-requests",
    "ratelimit-policy",
    "x-amzn-errortype",
    "connection",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "upgrade",
    "trailer",
    "",
    "x_other",
]


@pytest.mark.parametrize("name", NEVER_UP)
def test_no_app_can_ask_for_a_header_that_is_the_gateways_or_nobodys(name: str) -> None:
    assert not may_forward(name)
    assert forwarded_headers({name: "secret"}, [name]) == {}


@pytest.mark.parametrize("name", NEVER_DOWN)
def test_no_app_can_return_a_header_that_is_the_gateways_or_nobodys(name: str) -> None:
    assert not may_return(name)
    assert returned_headers({name: "secret"}, [name]) == {}


@pytest.mark.parametrize("name", ["X-Sallyport-Tenant", "X-API-Key", "Authorization", "X_Sallyport_Tenant"])
def test_a_name_in_another_case_is_the_same_name(name: str) -> None:
    assert forwarded_headers({name.lower(): "secret"}, [name]) == {}


def test_the_usual_headers_and_the_apps_own_are_forwarded() -> None:
    client = dict.fromkeys(FORWARDED_HEADERS, "v") | {"x-custom": "c", "x-other": "o", "authorization": "Bearer k"}
    assert forwarded_headers(client, ["X-Custom"]) == {**dict.fromkeys(FORWARDED_HEADERS, "v"), "x-custom": "c"}


def test_the_usual_headers_and_the_apps_own_are_returned() -> None:
    app = dict.fromkeys(RETURNED_HEADERS, "v") | {"x-other": "o", "server": "s", "set-cookie": "a=b"}
    assert returned_headers(app, ["x-other"]) == {**dict.fromkeys(RETURNED_HEADERS, "v"), "x-other": "o"}


@pytest.mark.parametrize("value", ["caf\u00e9", "a\r\nx-sallyport-tenant: b", "a\nb", "a\x00b", "a\x7fb"])
def test_a_header_that_cant_be_sent_is_refused_by_name(value: str) -> None:
    with pytest.raises(RequestError) as refused:
        forwarded_headers({"if-match": value}, ())
    assert refused.value.param == "if-match"
    assert value not in refused.value.message


@pytest.mark.parametrize("value", ["caf\u00e9", "a\r\nb", "", "x" * MAX_RETURNED_CHARS])
def test_a_returned_header_that_could_spoil_the_answer_is_left_out(value: str) -> None:
    assert returned_headers({"etag": value, "vary": "accept"}, ()) == {"vary": "accept"}


@given(st.lists(st.text(alphabet="abcXYZ-_ :\r\n\u00e9", max_size=12), max_size=5), st.text(max_size=8))
def test_whatever_an_app_names_only_clean_lines_go_up(names: list[str], value: str) -> None:
    client = {name.lower(): value for name in names}
    try:
        headers = forwarded_headers(client, names)
    except RequestError:
        return
    for name, sent in headers.items():
        assert (name + sent).isascii()
        assert not set("\r\n\0_") & set(name)
        assert not set("\r\n\0") & set(sent)
