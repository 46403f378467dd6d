"""API keys: minted, taken apart, checked against the store."""

import hashlib
import re
import string
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.identity.api_keys import KEY_PATTERN, ApiKeyVerifier, KeyParts, NewKey, mint, parse
from sallyport.identity.credentials import CredentialRefusedError

NOW_S = 1_800_000_000.0


class RecordingStore:
    def __init__(self, items: Mapping[str, Mapping[str, str | int]]) -> None:
        self._items = items
        self.reads: list[str] = []

    def read_key(self, key_id: str) -> Mapping[str, str | int] | None:
        self.reads.append(key_id)
        return self._items.get(key_id)


def item_of(key: NewKey, **changes: str | int) -> dict[str, str | int]:
    item: dict[str, str | int] = {
        "secret_sha256": key.secret_sha256,
        "tenant": "acme",
        "subject": "demo",
        "scopes": "chat models",
    }
    return item | changes


def verifier_of(key: NewKey, **changes: str | int) -> tuple[ApiKeyVerifier, RecordingStore]:
    store = RecordingStore({key.key_id: item_of(key, **changes)})
    return ApiKeyVerifier(store, ("eu-central-1",)), store


def refusal_of(verifier: ApiKeyVerifier, text: str) -> str:
    with pytest.raises(CredentialRefusedError) as caught:
        verifier.verify(text, NOW_S)
    return caught.value.reason


def test_a_minted_key_has_the_published_form_and_stores_only_a_hash() -> None:
    key = mint()
    secret = key.text.removeprefix(f"sp_{key.key_id}_")[:43]
    assert re.fullmatch(KEY_PATTERN, key.text)
    assert parse(key.text) == KeyParts(key.key_id, hashlib.sha256(secret.encode()).hexdigest())
    assert key.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()


def test_minted_keys_differ() -> None:
    assert len({mint().text for _ in range(100)}) == 100


def test_check_digits_are_the_crc_32_in_base62() -> None:
    body = "sp_" + "0" * 16 + "_" + "0" * 43
    crc, alphabet = zlib.crc32(body.encode()), string.digits + string.ascii_uppercase + string.ascii_lowercase
    check = "".join(alphabet[crc // 62**place % 62] for place in range(5, -1, -1))
    assert parse(body + check) is not None


@given(st.integers(0, 68), st.sampled_from("0aZ_-é "))
def test_a_typo_is_refused_without_a_read(place: int, letter: str) -> None:
    key = mint()
    typo = key.text[:place] + letter + key.text[place + 1 :]
    verifier, store = verifier_of(key)
    if typo != key.text:
        assert refusal_of(verifier, typo) == "key_malformed"
        assert store.reads == []


def test_a_good_key_gives_its_principal() -> None:
    key = mint()
    verifier, _ = verifier_of(key, models="gpt-a,gpt-b", residency="eu-west-1", requests_per_minute=7)
    principal = verifier.verify(key.text, NOW_S)
    assert principal.tenant == "acme"
    assert principal.key_id == key.key_id
    assert principal.scopes == ("chat", "models")
    assert principal.models == ("gpt-a", "gpt-b")
    assert principal.residency == ("eu-west-1",)
    assert principal.requests_per_minute == 7


def test_a_key_without_residency_has_the_default_one() -> None:
    key = mint()
    verifier, _ = verifier_of(key)
    assert verifier.verify(key.text, NOW_S).residency == ("eu-central-1",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revoked_at": 1}, "key_revoked"),
        ({"not_after": int(NOW_S)}, "key_expired"),
        ({"secret_sha256": "0" * 64}, "key_secret_wrong"),
        ({"secret_sha256": ""}, "key_secret_wrong"),
    ],
)
def test_revoked_expired_and_wrong_keys_are_refused_after_one_read(changes: dict[str, str | int], reason: str) -> None:
    key = mint()
    verifier, store = verifier_of(key, **changes)
    assert refusal_of(verifier, key.text) == reason
    assert store.reads == [key.key_id]


def test_an_unknown_key_is_refused_after_one_read() -> None:
    verifier, store = verifier_of(mint())
    other = mint()
    assert refusal_of(verifier, other.text) == "key_unknown"
    assert store.reads == [other.key_id]


def test_a_key_works_until_the_second_it_expires() -> None:
    key = mint()
    verifier, _ = verifier_of(key, not_after=int(NOW_S) + 1)
    assert verifier.verify(key.text, NOW_S).tenant == "acme"


def test_a_broken_record_lets_nobody_in() -> None:
    key = mint()
    store = RecordingStore({key.key_id: {"secret_sha256": key.secret_sha256}})
    with pytest.raises(KeyError):
        ApiKeyVerifier(store, ()).verify(key.text, NOW_S)
