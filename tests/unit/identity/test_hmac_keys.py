"""An issuer with a shared secret: long enough, a secret indeed, and asked for seldom."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sallyport.errors import SecretUnavailableError
from sallyport.identity.hmac_keys import RETRY_S, HmacKeys
from sallyport.identity.verification_keys import KeySourceError
from tests.support.issuer import EC_KEY, RSA_KEY


class FakeSecret:
    """A secret whose text the test holds; empty: it can't be read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reads = 0
        self.now_s = 1_700_000_000.0

    def read(self) -> str:
        self.reads += 1
        if not self.text:
            raise SecretUnavailableError("down")
        return self.text


def keys(secret: FakeSecret, *algorithms: str) -> HmacKeys:
    return HmacKeys(secret, algorithms, lambda: secret.now_s)


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_as_long_as_the_hash_checks_signatures(algorithm: str, length: int) -> None:
    secret = FakeSecret("s" * length)
    key = keys(secret, algorithm).key_for("any kid", algorithm)
    assert key is not None
    good = hmac.digest(secret.text.encode(), b"signed", f"sha{algorithm[2:]}")
    assert key.verifies(b"signed", good)
    assert not key.verifies(b"other", good)
    assert not key.verifies(b"signed", good[:-1])
    assert not key.verifies(b"signed", b"")


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 31), ("HS384", 47), ("HS512", 63)])
def test_a_shorter_secret_is_an_error_that_lets_nobody_in(algorithm: str, length: int) -> None:
    short = keys(FakeSecret("s" * length), algorithm)
    for _ in range(2):
        with pytest.raises(KeySourceError):
            short.key_for(None, algorithm)


def test_a_secret_is_as_long_as_the_longest_hash_whatever_a_token_names() -> None:
    both = keys(FakeSecret("s" * 63), "HS256", "HS512")
    for algorithm in ("HS256", "HS512"):
        with pytest.raises(KeySourceError):
            both.key_for(None, algorithm)


@pytest.mark.parametrize("algorithm", ["HS384", "RS256", "none", ""])
def test_another_algorithm_has_no_key_and_the_secret_is_not_read(algorithm: str) -> None:
    secret = FakeSecret("s" * 64)
    assert keys(secret, "HS256", "RS256").key_for(None, algorithm) is None
    assert secret.reads == 0


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY])
def test_a_public_key_is_no_secret(key: object) -> None:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()  # type: ignore[attr-defined]
    with pytest.raises(KeySourceError):
        keys(FakeSecret(pem), "HS256").key_for(None, "HS256")


def test_a_jwk_is_no_secret() -> None:
    with pytest.raises(KeySourceError):
        keys(FakeSecret('{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0"}'), "HS256").key_for(None, "HS256")


def test_a_key_is_the_same_object_until_its_secret_changes() -> None:
    secret = FakeSecret("s" * 32)
    shared = keys(secret, "HS256")
    first = shared.key_for(None, "HS256")
    assert shared.key_for("x", "HS256") is first
    secret.text = "t" * 32
    second = shared.key_for(None, "HS256")
    assert second is not first
    assert second is not None
    assert second.verifies(b"signed", hmac.digest(b"t" * 32, b"signed", hashlib.sha256))


def test_a_secret_that_cannot_be_read_is_an_error_and_asked_for_seldom() -> None:
    secret = FakeSecret("")
    shared = keys(secret, "HS256")
    for _ in range(5):
        with pytest.raises(KeySourceError):
            shared.key_for(None, "HS256")
    assert secret.reads == 1
    secret.now_s += RETRY_S
    secret.text = "s" * 32
    assert shared.key_for(None, "HS256") is not None
