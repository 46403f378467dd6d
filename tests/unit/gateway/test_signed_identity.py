"""The caller's identity in headers: what is signed, and that no two callers look the same."""

import hashlib
import hmac
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import SecretUnavailableError
from sallyport.gateway.signed_identity import MIN_SECRET_CHARS, PREFIX, SIGNED, Signing, signed
from sallyport.identity.principal import is_subject
from sallyport.providers.transport import UpstreamRequest
from tests.support.events import ACME

SECRET = "0123456789abcdef0123456789abcdef"
REQUEST = UpstreamRequest("POST", "/base/v1/x?a=1", {"host": "app.example.com"}, b'{"q": 1}')
SIGNING = Signing(ACME, "request-1", 1_800_000_000)


def headers(request: UpstreamRequest = REQUEST, signing: Signing = SIGNING, secret: str = SECRET) -> dict[str, str]:
    return dict(signed(request, signing, secret).headers)


def test_identity_and_signature_are_added_to_what_there_is() -> None:
    lines = [
        "v1",
        "1800000000",
        "POST",
        "/base/v1/x?a=1",
        hashlib.sha256(b'{"q": 1}').hexdigest(),
        "acme",
        "demo",
        "KeyId00000000001",
        "chat embeddings models",
        "api_key",
        "request-1",
    ]
    assert headers() == {
        "host": "app.example.com",
        "x-sallyport-tenant": "acme",
        "x-sallyport-subject": "demo",
        "x-sallyport-key-id": "KeyId00000000001",
        "x-sallyport-scopes": "chat embeddings models",
        "x-sallyport-method": "api_key",
        "x-sallyport-request-id": "request-1",
        "x-sallyport-timestamp": "1800000000",
        "x-sallyport-signature": "v1=" + hmac.new(SECRET.encode(), "\n".join(lines).encode(), "sha256").hexdigest(),
    }


def test_nothing_but_headers_is_changed() -> None:
    assert signed(REQUEST, SIGNING, SECRET)[:2] == REQUEST[:2]
    assert signed(REQUEST, SIGNING, SECRET).body == REQUEST.body


def test_a_header_of_the_same_name_is_replaced() -> None:
    forged = REQUEST._replace(headers={PREFIX + "tenant": "victim"})
    assert headers(forged)[PREFIX + "tenant"] == "acme"


@pytest.mark.parametrize(
    "changed",
    [
        REQUEST._replace(method="PUT"),
        REQUEST._replace(target="/base/v1/x?a=2"),
        REQUEST._replace(body=b'{"q": 2}'),
        REQUEST._replace(body=b""),
    ],
)
def test_a_change_of_the_request_changes_the_signature(changed: UpstreamRequest) -> None:
    assert headers(changed)[PREFIX + "signature"] != headers()[PREFIX + "signature"]


@pytest.mark.parametrize(
    "changed",
    [
        SIGNING._replace(at_s=1_800_000_001),
        SIGNING._replace(request_id="request-2"),
        SIGNING._replace(principal=ACME._replace(tenant="other")),
        SIGNING._replace(principal=ACME._replace(subject="other")),
        SIGNING._replace(principal=ACME._replace(key_id="")),
        SIGNING._replace(principal=ACME._replace(scopes=("chat",))),
        SIGNING._replace(principal=ACME._replace(method="jwt")),
    ],
)
def test_a_change_of_the_identity_changes_the_signature(changed: Signing) -> None:
    assert headers(signing=changed)[PREFIX + "signature"] != headers()[PREFIX + "signature"]


def test_another_secret_makes_another_signature() -> None:
    assert headers(secret=SECRET[::-1])[PREFIX + "signature"] != headers()[PREFIX + "signature"]


@pytest.mark.parametrize("secret", ["", "x", "x" * (MIN_SECRET_CHARS - 1)])
def test_a_secret_that_is_missing_or_could_be_guessed_signs_nothing(secret: str) -> None:
    with pytest.raises(SecretUnavailableError):
        headers(secret=secret)


@pytest.mark.parametrize(
    ("subject", "header"),
    [
        ("demo@example.com", "demo@example.com"),
        ("auth0|5f7c", "auth0|5f7c"),
        ("J\u00f6rg M", "J%C3%B6rg%20M"),
        ("J%C3%B6rg", "J%25C3%25B6rg"),
        (" demo ", "%20demo%20"),
    ],
)
def test_a_subject_is_written_so_that_it_can_be_read_back(subject: str, header: str) -> None:
    assert headers(signing=SIGNING._replace(principal=ACME._replace(subject=subject)))[PREFIX + "subject"] == header


@given(st.text(min_size=1, max_size=30).filter(is_subject))
def test_every_subject_fits_into_a_header_and_is_read_back_as_it_was(subject: str) -> None:
    header = headers(signing=SIGNING._replace(principal=ACME._replace(subject=subject)))[PREFIX + "subject"]
    assert header.isascii()
    assert header.isprintable()
    assert header == header.strip()
    assert unquote(header) == subject


def test_every_identity_header_is_signed() -> None:
    assert {name.removeprefix(PREFIX) for name in headers()} == {*SIGNED, "timestamp", "signature", "host"}
