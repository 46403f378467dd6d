"""The issuer's keys: which are usable, how often they are fetched, how long they are believed."""

import json
from typing import Any

import pytest

from sallyport.identity.jwks import (
    FRESH_S,
    MAX_DOCUMENT_BYTES,
    MAX_KEYS,
    RETRY_S,
    RETRY_WITHOUT_S,
    STALE_S,
    KeySet,
    read_key_set,
)
from sallyport.identity.verification_keys import KeySourceError, NoTimeLeftError
from tests.support.issuer import (
    EC_KEY,
    RSA_KEY,
    FakeSource,
    document,
    jwk,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> FakeSource:
    return FakeSource(document(jwk(RSA_KEY, "rsa-1")))


@pytest.fixture
def keys(issuer: FakeSource, clock: Clock) -> KeySet:
    return KeySet(issuer, clock)


def test_keys_are_fetched_once_while_fresh(issuer: FakeSource, keys: KeySet, clock: Clock) -> None:
    for _ in range(5):
        assert keys.key_for("rsa-1", "RS256") is not None
    assert issuer.fetches == 1
    clock.now_s += FRESH_S
    keys.key_for("rsa-1", "RS256")
    assert issuer.fetches == 2


def test_an_issuer_that_hangs_is_waited_for_once_in_the_interval(clock: Clock) -> None:
    class Hanging(FakeSource):
        def fetch(self) -> bytes:
            clock.now_s += 3
            return super().fetch()

    issuer = Hanging(None)
    keys = KeySet(issuer, clock)
    for _ in range(20):
        with pytest.raises(KeySourceError):
            keys.key_for("rsa-1", "RS256")
    assert issuer.fetches == 1
    clock.now_s += RETRY_WITHOUT_S
    issuer.answer = document(jwk(RSA_KEY, "rsa-1"))
    assert keys.key_for("rsa-1", "RS256") is not None
    assert issuer.fetches == 2


def test_a_fetch_for_which_no_time_was_left_counts_for_nothing(clock: Clock) -> None:
    class Hurried(FakeSource):
        left = False

        def fetch(self) -> bytes:
            if not self.left:
                raise NoTimeLeftError("no time")
            return super().fetch()

    issuer = Hurried(document(jwk(RSA_KEY, "rsa-1")))
    keys = KeySet(issuer, clock)
    with pytest.raises(KeySourceError):
        keys.key_for("rsa-1", "RS256")
    issuer.left = True
    assert keys.key_for("rsa-1", "RS256") is not None


def test_an_unknown_kid_causes_at_most_one_fetch_in_the_interval(
    issuer: FakeSource, keys: KeySet, clock: Clock
) -> None:
    keys.key_for("rsa-1", "RS256")
    for number in range(100):
        assert keys.key_for(f"unknown-{number}", "RS256") is None
    assert issuer.fetches == 1
    clock.now_s += RETRY_S
    for number in range(100):
        assert keys.key_for(f"unknown-{number}", "RS256") is None
    assert issuer.fetches == 2


def test_a_new_key_is_found_after_a_rotation(issuer: FakeSource, keys: KeySet, clock: Clock) -> None:
    keys.key_for("rsa-1", "RS256")
    issuer.answer = document(jwk(EC_KEY, "ec-2"))
    clock.now_s += RETRY_S
    assert keys.key_for("ec-2", "ES256") is not None
    assert keys.key_for("rsa-1", "RS256") is None


def test_stale_keys_serve_while_the_issuer_is_down_and_not_for_ever(
    issuer: FakeSource, keys: KeySet, clock: Clock
) -> None:
    keys.key_for("rsa-1", "RS256")
    issuer.answer = None
    clock.now_s += STALE_S - 1
    assert keys.key_for("rsa-1", "RS256") is not None
    clock.now_s += 1
    with pytest.raises(KeySourceError):
        keys.key_for("rsa-1", "RS256")
    issuer.answer = document(jwk(RSA_KEY, "rsa-1"))
    clock.now_s += RETRY_S
    assert keys.key_for("rsa-1", "RS256") is not None


@pytest.mark.parametrize("answer", [None, b"<html>", b'{"keys": []', b"{}"])
def test_an_issuer_that_is_down_or_talks_nonsense_is_asked_seldom_whatever_comes(
    issuer: FakeSource, keys: KeySet, clock: Clock, answer: bytes | None
) -> None:
    keys.key_for("rsa-1", "RS256")
    issuer.answer = answer
    clock.now_s += FRESH_S
    for number in range(10):
        assert keys.key_for("rsa-1", "RS256") is not None
        assert keys.key_for(f"unknown-{number}", "RS256") is None
    assert issuer.fetches == 2
    clock.now_s += RETRY_S
    keys.key_for("rsa-1", "RS256")
    keys.key_for("unknown", "RS256")
    assert issuer.fetches == 3


def test_an_issuer_that_was_never_up_is_an_error_each_time_and_a_fetch_seldom(issuer: FakeSource, keys: KeySet) -> None:
    issuer.answer = None
    for kid in ("rsa-1", "unknown", "rsa-1"):
        with pytest.raises(KeySourceError):
            keys.key_for(kid, "RS256")
    assert issuer.fetches == 1


def test_a_key_set_without_a_usable_key_knows_none(issuer: FakeSource, keys: KeySet) -> None:
    issuer.answer = b'{"keys": []}'
    assert keys.key_for("rsa-1", "RS256") is None
    assert issuer.fetches == 1


def test_where_the_clock_has_gone_back_the_keys_count_as_too_old(
    issuer: FakeSource, keys: KeySet, clock: Clock
) -> None:
    keys.key_for("rsa-1", "RS256")
    clock.now_s -= 10
    assert keys.key_for("rsa-1", "RS256") is not None
    assert issuer.fetches == 2
    issuer.answer = None
    clock.now_s -= 10
    for _ in range(5):
        with pytest.raises(KeySourceError):
            keys.key_for("rsa-1", "RS256")
    assert issuer.fetches == 3


def test_a_key_stays_the_same_object_while_the_issuer_has_it(issuer: FakeSource, keys: KeySet, clock: Clock) -> None:
    issuer.answer = document(jwk(RSA_KEY, "rsa-1"), jwk(EC_KEY, "ec-1"))
    kept, replaced = keys.key_for("rsa-1", "RS256"), keys.key_for("ec-1", "ES256")
    issuer.answer = document(jwk(EC_KEY, "ec-1", extra=1), jwk(RSA_KEY, "rsa-1"))
    clock.now_s += FRESH_S
    assert keys.key_for("rsa-1", "RS256") is kept
    assert keys.key_for("ec-1", "ES256") is not replaced
    assert issuer.fetches == 2


def test_a_key_that_was_gone_for_a_while_is_another_object(issuer: FakeSource, keys: KeySet, clock: Clock) -> None:
    first = keys.key_for("rsa-1", "RS256")
    for answer in (document(jwk(EC_KEY, "ec-1")), document(jwk(RSA_KEY, "rsa-1"))):
        issuer.answer = answer
        clock.now_s += FRESH_S
        keys.key_for("rsa-1", "RS256")
    assert keys.key_for("rsa-1", "RS256") is not first


def test_one_key_serves_each_algorithm_that_fits_it(keys: KeySet) -> None:
    assert keys.key_for("rsa-1", "RS256") is not keys.key_for("rsa-1", "PS512")
    for algorithm in ("ES256", "EdDSA", "HS256", "none", ""):
        assert keys.key_for("rsa-1", algorithm) is None


def test_no_kid_chooses_no_key(keys: KeySet) -> None:
    assert keys.key_for(None, "RS256") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"use": ["sig"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"key_ops": []},
        {"key_ops": ["verify", "verify"]},
        {"key_ops": ["verify", 1]},
        {"key_ops": {"verify": 1}},
        *[{name: "AQAB"} for name in ("d", "p", "q", "dp", "dq", "qi", "k")],
        {"oth": []},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kid": 7},
        {"kid": ["spoilt"]},
        {"kid": None},
        {"kty": ["RSA"]},
        {"kty": None},
        {"kty": "rsa"},
    ],
)
def test_a_key_that_is_not_for_checking_signatures_is_left_out(changes: dict[str, Any]) -> None:
    spoilt = jwk(RSA_KEY, "spoilt", **changes)
    assert set(read_key_set(document(spoilt, jwk(EC_KEY, "ec-1")))) == {"ec-1"}


@pytest.mark.parametrize(
    "changes",
    [
        {"use": None},
        {"key_ops": None},
        {"key_ops": ["verify", "sign"]},
        {"x5c": ["MIIB"]},
        {"x5u": "http://127.0.0.1/"},
    ],
)
def test_a_key_that_says_less_or_more_is_taken(changes: dict[str, Any]) -> None:
    assert set(read_key_set(document(jwk(RSA_KEY, "rsa-1", **changes)))) == {"rsa-1"}


def test_a_kid_that_stands_twice_is_no_key() -> None:
    both = document(jwk(RSA_KEY, "twin"), jwk(EC_KEY, "twin"), jwk(EC_KEY, "ec-1"))
    assert set(read_key_set(both)) == {"ec-1"}


def test_a_kid_that_an_unusable_key_has_too_is_no_key() -> None:
    assert read_key_set(document(jwk(RSA_KEY, "twin"), jwk(RSA_KEY, "twin", use="enc"))) == {}


def test_a_key_with_a_member_twice_is_no_key_and_spoils_no_other() -> None:
    text = json.dumps(jwk(RSA_KEY, "spoilt")).replace('"kty"', '"n": "AQAB", "kty"')
    assert text.count('"n"') == 2
    assert set(read_key_set(f'{{"keys": [{text}, {json.dumps(jwk(EC_KEY, "ec-1"))}]}}'.encode())) == {"ec-1"}


def test_what_is_no_object_among_the_keys_spoils_no_other() -> None:
    listed: list[Any] = [None, 7, "key", [], jwk(EC_KEY, "ec-1")]
    assert set(read_key_set(json.dumps({"keys": listed}).encode())) == {"ec-1"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 5}',
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b'{"keys": NaN}',
        b"\xff",
        '{"keys": []}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"keys": [' + b"[" * 40 + b"]" * 40 + b"]}",
    ],
)
def test_what_is_no_key_set_is_an_error(answer: bytes) -> None:
    with pytest.raises(KeySourceError):
        read_key_set(answer)


def test_too_many_keys_are_an_error() -> None:
    listed = [jwk(EC_KEY, f"ec-{number}") for number in range(MAX_KEYS + 1)]
    with pytest.raises(KeySourceError):
        read_key_set(document(*listed))
    assert len(read_key_set(document(*listed[1:]))) == MAX_KEYS


def test_a_document_over_the_limit_is_an_error() -> None:
    whole = document(jwk(EC_KEY, "ec-1"))
    assert set(read_key_set(whole.ljust(MAX_DOCUMENT_BYTES))) == {"ec-1"}
    with pytest.raises(KeySourceError):
        read_key_set(whole.ljust(MAX_DOCUMENT_BYTES + 1))
