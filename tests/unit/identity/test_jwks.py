"""The issuer's keys: which are usable, how often they are fetched, how long they are believed."""

from typing import Any

import pytest

from sallyport.identity.jwks import FRESH_S, MAX_KEYS, RETRY_S, STALE_S, KeySet, KeySourceError, read_key_set
from tests.support.issuer import EC_KEY, RSA_KEY, document, jwk


class Issuer:
    """A key source whose answers and clock the test holds."""

    def __init__(self, answer: bytes) -> None:
        self.answer: bytes | None = answer
        self.fetches = 0
        self.now_s = 1000.0

    def fetch(self) -> bytes:
        self.fetches += 1
        if self.answer is None:
            raise KeySourceError("down")
        return self.answer


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(document(jwk(RSA_KEY, "rsa-1")))


@pytest.fixture
def keys(issuer: Issuer) -> KeySet:
    return KeySet(issuer, lambda: issuer.now_s)


def test_keys_are_fetched_once_while_fresh(issuer: Issuer, keys: KeySet) -> None:
    for _ in range(5):
        assert keys.key_for("rsa-1", "RS256") is not None
    assert issuer.fetches == 1
    issuer.now_s += FRESH_S
    keys.key_for("rsa-1", "RS256")
    assert issuer.fetches == 2


def test_an_unknown_kid_causes_at_most_one_fetch_in_the_interval(issuer: Issuer, keys: KeySet) -> None:
    keys.key_for("rsa-1", "RS256")
    for number in range(100):
        assert keys.key_for(f"unknown-{number}", "RS256") is None
    assert issuer.fetches == 1
    issuer.now_s += RETRY_S
    assert keys.key_for("unknown", "RS256") is None
    assert issuer.fetches == 2


def test_a_new_key_is_found_after_a_rotation(issuer: Issuer, keys: KeySet) -> None:
    keys.key_for("rsa-1", "RS256")
    issuer.answer = document(jwk(EC_KEY, "ec-2"))
    issuer.now_s += RETRY_S
    assert keys.key_for("ec-2", "ES256") is not None
    assert keys.key_for("rsa-1", "RS256") is None


def test_stale_keys_serve_while_the_issuer_is_down_and_not_for_ever(issuer: Issuer, keys: KeySet) -> None:
    keys.key_for("rsa-1", "RS256")
    issuer.answer = None
    issuer.now_s += STALE_S - 1
    assert keys.key_for("rsa-1", "RS256") is not None
    issuer.now_s += 1
    with pytest.raises(KeySourceError):
        keys.key_for("rsa-1", "RS256")


def test_an_issuer_that_was_never_up_is_an_error_each_time_and_a_fetch_seldom(issuer: Issuer, keys: KeySet) -> None:
    issuer.answer = None
    for _ in range(5):
        with pytest.raises(KeySourceError):
            keys.key_for("rsa-1", "RS256")
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"d": "AQAB"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kid": 7},
        {"kty": ["RSA"]},
        {"kty": None},
    ],
)
def test_a_key_that_is_not_for_checking_signatures_is_left_out(changes: dict[str, Any]) -> None:
    spoilt = jwk(RSA_KEY, "spoilt", **changes)
    assert set(read_key_set(document(spoilt, jwk(EC_KEY, "ec-1")))) == {"ec-1"}


def test_a_kid_that_stands_twice_is_no_key() -> None:
    both = document(jwk(RSA_KEY, "twin"), jwk(EC_KEY, "twin"), jwk(EC_KEY, "ec-1"))
    assert set(read_key_set(both)) == {"ec-1"}


@pytest.mark.parametrize(
    "changes", [{"n": "AQAB"}, {"n": "!"}, {"e": ""}, {"alg": "RS384"}, {"alg": "none"}, {"kty": "EC"}]
)
def test_a_broken_or_unfit_key_is_no_key(issuer: Issuer, keys: KeySet, changes: dict[str, Any]) -> None:
    issuer.answer = document(jwk(RSA_KEY, "rsa-1", **changes))
    assert keys.key_for("rsa-1", "RS256") is None


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"keys": 5}', b"\xff", b"[" * 100_000])
def test_what_is_no_key_set_is_an_error(answer: bytes) -> None:
    with pytest.raises(KeySourceError):
        read_key_set(answer)


def test_too_many_keys_are_an_error() -> None:
    with pytest.raises(KeySourceError):
        read_key_set(document(*[jwk(EC_KEY, f"ec-{number}") for number in range(MAX_KEYS + 1)]))
