"""Makers of hostile JWTs: each takes a desk, for its clock, and gives a token."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sallyport.identity.credentials import CredentialRefusedError
from tests.support.issuer import AUDIENCE, ISSUER, OTHER_RSA_KEY, RSA_KEY, Desk, encode, signed_token, token

HEADER = {"alg": "RS256", "kid": "rsa-1"}


class Attack(NamedTuple):
    """`fetches`: how often the issuer is asked for its keys; never where the header alone decides."""

    name: str
    make: Callable[[Desk], str]
    reason: str
    fetches: int


def with_header(**changes: Any) -> Callable[[Desk], str]:
    """Give a token with a good signature by the issuer's RSA key under a header with these changes."""

    def make(desk: Desk) -> str:
        header = {name: value for name, value in ({**HEADER, **changes}).items() if value is not ...}
        return signed_token(header, desk.claims(), algorithm="RS256")

    return make


def with_claims(**changes: Any) -> Callable[[Desk], str]:
    """Give a well signed token with these claims changed."""
    return lambda desk: token(desk.claims(**changes))


def with_payload(old: str, new: str) -> Callable[[Desk], str]:
    """Give a well signed token, in whose payload's JSON one text was replaced before it was signed."""

    def make(desk: Desk) -> str:
        text = json.dumps(desk.claims(exp=1_700_000_600))
        assert old in text
        return signed_token(HEADER, text.replace(old, new).encode())

    return make


def with_raw_header(text: str) -> Callable[[Desk], str]:
    """Give a well signed token with this text as its header."""
    return lambda desk: signed_token(text.encode(), desk.claims(), algorithm="RS256")


def rewritten(change: Callable[[list[str]], object]) -> Callable[[Desk], str]:
    """Give a good token whose three parts were tampered with."""

    def make(desk: Desk) -> str:
        parts = token(desk.claims()).split(".")
        change(parts)
        return ".".join(parts)

    return make


def unsigned(algorithm: Any) -> Callable[[Desk], str]:
    """Give a token without a signature, under this algorithm."""
    return lambda desk: f"{encode({'alg': algorithm, 'kid': 'rsa-1'})}.{encode(desk.claims())}."


def signed_with_the_public_key(encoding: Encoding, form: PublicFormat) -> Callable[[Desk], str]:
    """Give a token whose HMAC secret is the issuer's public key, which everybody can read."""

    def make(desk: Desk) -> str:
        text = f"{encode({'alg': 'HS256', 'kid': 'rsa-1'})}.{encode(desk.claims())}"
        secret = RSA_KEY.public_key().public_bytes(encoding, form)
        return f"{text}.{encode(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    return make


def by_stranger(**header: Any) -> Callable[[Desk], str]:
    """Give a token that is signed by a key of the attacker's own."""
    return lambda desk: token(desk.claims(), key=OTHER_RSA_KEY, **header)


def dangling_bits(parts: list[str]) -> None:
    """A 256-byte signature ends in a character of which two bits count; another with the same two is the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts[2] = parts[2][:-1] + alphabet[alphabet.index(parts[2][-1]) + 1]


def change_part(index: int, change: Callable[[str], str]) -> Callable[[Desk], str]:
    """Give a good token with one of its three parts changed."""

    def tamper(parts: list[str]) -> None:
        parts[index] = change(parts[index])

    return rewritten(tamper)


def promote(parts: list[str]) -> None:
    """Put other claims before the signature."""
    parts[1] = encode({"iss": ISSUER, "aud": AUDIENCE, "exp": 1_700_000_600, "sub": "root", "tenant": "evil"})


def refusal(desk: Desk, text: str) -> str:
    """Give why a token is refused; fails the test if it isn't."""
    with pytest.raises(CredentialRefusedError) as caught:
        desk.verify(text)
    return caught.value.reason


def check_refused(attack: Attack) -> None:
    """Check that an attack is refused for its own reason, asks for no more keys than it must, and isn't remembered."""
    desk = Desk()
    text = attack.make(desk)
    assert refusal(desk, text) == attack.reason
    assert desk.fetches == attack.fetches
    assert desk.verifier.verify_known(text, desk.now_s) is None
