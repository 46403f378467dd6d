"""JWTs: whom a good one names, which issuer's rules it is checked by, and for how long the answer is kept."""

from typing import Any

import pytest

from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.tokens import TokenVerifier
from sallyport.identity.verification_keys import KeySourceError
from tests.support.issuer import (
    EC384_KEY,
    EC521_KEY,
    EC_KEY,
    ED_KEY,
    ISSUER,
    OTHER_ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    RULES,
    Desk,
    document,
    jwk,
    token,
)


def refusal(desk: Desk, text: str) -> str:
    with pytest.raises(CredentialRefusedError) as caught:
        desk.verify(text)
    return caught.value.reason


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (RSA_KEY, "RS256", "rsa-1"),
        (RSA_KEY, "PS256", "rsa-1"),
        (EC_KEY, "ES256", "ec-1"),
        (EC384_KEY, "ES384", "ec-384"),
        (EC521_KEY, "ES512", "ec-521"),
        (ED_KEY, "EdDSA", "ed-1"),
    ],
)
def test_a_good_token_gives_its_identity(key: Any, algorithm: str, kid: str) -> None:
    desk = Desk()
    identity = desk.verify(token(desk.claims(), key=key, algorithm=algorithm, kid=kid))
    assert (identity.method, identity.tenant, identity.subject) == ("jwt", "acme", "alice")
    assert (identity.scopes, identity.models, identity.residency) == (("chat",), None, None)


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
@pytest.mark.parametrize("wanted", ["at+jwt", "application/AT+JWT"])
def test_a_token_type_is_compared_without_case_and_prefix(kind: str, wanted: str) -> None:
    desk = Desk(RULES._replace(token_type=wanted))
    assert desk.verify(token(desk.claims(), typ=kind)).tenant == "acme"


@pytest.mark.parametrize("kind", ["JWT", "", None, 7, ["at+jwt"], "at+jwt ", "x/at+jwt", "at+jwt; x=1"])
def test_another_token_type_is_refused_before_a_key_is_asked_for(kind: Any) -> None:
    desk = Desk(RULES._replace(token_type="at+jwt"))
    assert refusal(desk, token(desk.claims(), typ=kind)) == "token_type_refused"
    assert desk.fetches == 0


def test_without_a_token_type_configured_any_will_do() -> None:
    desk = Desk()
    assert desk.verify(token(desk.claims(), typ=7)).tenant == "acme"


class TestSeveralIssuers:
    other = RULES._replace(issuer=OTHER_ISSUER, audiences=("other",), algorithms=("RS256",), tenant="globex")

    def desk(self) -> Desk:
        return Desk(RULES, self.other, documents={OTHER_ISSUER: document(jwk(OTHER_RSA_KEY, "rsa-1"))})

    def test_each_token_is_checked_by_its_own_issuer_s_rules(self) -> None:
        desk = self.desk()
        assert desk.verify(token(desk.claims())).tenant == "acme"
        theirs = desk.claims(iss=OTHER_ISSUER, aud="other", tenant=None)
        assert desk.verify(token(theirs, key=OTHER_RSA_KEY)).tenant == "globex"

    def test_an_issuer_s_key_is_nothing_to_another_issuer(self) -> None:
        desk = self.desk()
        assert refusal(desk, token(desk.claims(iss=OTHER_ISSUER, aud="other"))) == "token_signature_wrong"
        assert refusal(desk, token(desk.claims(), key=OTHER_RSA_KEY)) == "token_signature_wrong"

    def test_an_issuer_s_audience_and_algorithms_are_nothing_to_another_issuer(self) -> None:
        desk = self.desk()
        assert refusal(desk, token(desk.claims(iss=OTHER_ISSUER), key=OTHER_RSA_KEY)) == "token_audience_wrong"
        text = token(desk.claims(iss=OTHER_ISSUER, aud="other"), key=EC_KEY, algorithm="ES256", kid="ec-1")
        assert refusal(desk, text) == "token_algorithm_refused"

    def test_only_the_named_issuer_is_asked_for_keys(self) -> None:
        desk = self.desk()
        desk.verify(token(desk.claims()))
        assert (desk.sources[ISSUER].fetches, desk.sources[OTHER_ISSUER].fetches) == (1, 0)

    def test_an_issuer_that_is_down_is_nothing_to_another_issuer(self) -> None:
        desk = self.desk()
        desk.sources[OTHER_ISSUER].answer = None
        assert desk.verify(token(desk.claims())).tenant == "acme"
        with pytest.raises(KeySourceError):
            desk.verify(token(desk.claims(iss=OTHER_ISSUER, aud="other"), key=OTHER_RSA_KEY))

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            (ISSUER.rstrip("/"), "token_issuer_unknown"),
            (ISSUER.upper(), "token_issuer_unknown"),
            (ISSUER + "x", "token_issuer_unknown"),
            ("", "token_issuer_unknown"),
            ([ISSUER], "token_issuer_unknown"),
            ({ISSUER: 1}, "token_issuer_unknown"),
            (7, "token_issuer_unknown"),
            (None, "token_issuer_missing"),
        ],
    )
    def test_an_issuer_is_named_exactly_or_nobody_is_asked(self, name: Any, reason: str) -> None:
        desk = self.desk()
        assert refusal(desk, token(desk.claims(iss=name))) == reason
        assert desk.fetches == 0

    def test_an_issuer_that_stands_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="twice"):
            Desk(RULES, RULES)


@pytest.mark.parametrize("leeway_s", [-1, 61])
def test_more_leeway_than_a_minute_is_refused(leeway_s: int) -> None:
    with pytest.raises(ValueError, match="leeway"):
        Desk(RULES._replace(leeway_s=leeway_s))


class TestRememberedTokens:
    def test_a_token_is_known_again_without_a_check(self) -> None:
        desk = Desk()
        text = token(desk.claims())
        assert desk.verifier.verify_known(text, desk.now_s) is None
        first = desk.verify(text)
        assert desk.verifier.verify_known(text, desk.now_s) is first
        assert desk.verify(text) is first

    def test_looking_only_checks_nothing_and_asks_nobody(self) -> None:
        desk = Desk()
        assert desk.verifier.verify_known(token(desk.claims()), desk.now_s) is None
        assert desk.verifier.verify_known("\ud800" * 10_000, desk.now_s) is None
        assert desk.fetches == 0

    def test_tokens_that_begin_alike_are_told_apart(self) -> None:
        desk = Desk()
        good = token(desk.claims())
        desk.verify(good)
        last = "A" if good[-1] != "A" else "Q"  # both canonical ends of a 256-byte signature
        assert refusal(desk, good[:-1] + last) == "token_signature_wrong"
        assert refusal(desk, good[:-342] + "A" * 342) == "token_signature_wrong"
        assert refusal(desk, good.rpartition(".")[0] + ".") == "token_signature_wrong"
        assert desk.verify(good).subject == "alice"

    def test_a_remembered_token_expires_in_time(self) -> None:
        desk = Desk()
        text = token(desk.claims(exp=desk.now_s + 60))
        desk.verify(text)
        desk.now_s += 60 + RULES.leeway_s - 0.001
        assert desk.verify(text).subject == "alice"
        desk.now_s += 0.001
        with pytest.raises(CredentialRefusedError, match="token_expired"):
            desk.verifier.verify_known(text, desk.now_s)
        assert refusal(desk, text) == "token_expired"

    def test_a_clock_gone_back_before_nbf_is_noticed(self) -> None:
        desk = Desk()
        text = token(desk.claims(nbf=desk.now_s, iat=None))
        desk.verify(text)
        desk.now_s -= RULES.leeway_s + 1
        with pytest.raises(CredentialRefusedError, match="token_not_yet_valid"):
            desk.verifier.verify_known(text, desk.now_s)
        assert refusal(desk, text) == "token_not_yet_valid"

    def test_a_token_dies_with_its_key(self) -> None:
        desk = Desk()
        text = token(desk.claims(exp=desk.now_s + 3600))
        desk.verify(text)
        desk.sources[ISSUER].answer = document(jwk(EC_KEY, "ec-2"))
        desk.now_s += 299
        assert desk.verify(text).subject == "alice"
        desk.verify(token(desk.claims(), key=EC_KEY, algorithm="ES256", kid="ec-2"))  # an unknown kid: keys are fetched
        with pytest.raises(CredentialRefusedError, match="token_key_unknown"):
            desk.verifier.verify_known(text, desk.now_s)
        assert refusal(desk, text) == "token_key_unknown"

    def test_an_outage_does_not_make_a_known_token_unknown(self) -> None:
        desk = Desk()
        text = token(desk.claims(exp=desk.now_s + 36_000))
        desk.verify(text)
        answer, desk.sources[ISSUER].answer = desk.sources[ISSUER].answer, None
        desk.now_s += 3601
        with pytest.raises(KeySourceError):
            desk.verifier.verify_known(text, desk.now_s)
        desk.sources[ISSUER].answer = answer
        desk.now_s += 60
        assert desk.verifier.verify_known(text, desk.now_s) is not None

    def test_a_known_token_is_checked_again_when_that_is_due(self) -> None:
        desk = Desk()
        text = token(desk.claims(exp=desk.now_s + 3600))
        desk.verify(text)
        desk.now_s += 301
        known = desk.verifier.verify_known(text, desk.now_s)
        assert known is not None
        assert known.subject == "alice"

    def test_a_token_dies_when_its_kid_gets_another_key(self) -> None:
        desk = Desk()
        text = token(desk.claims(exp=desk.now_s + 3600))
        desk.verify(text)
        desk.sources[ISSUER].answer = document(jwk(OTHER_RSA_KEY, "rsa-1"))
        desk.now_s += 300
        assert refusal(desk, text) == "token_signature_wrong"

    def test_a_token_outlives_a_refresh_that_finds_its_key(self) -> None:
        desk = Desk()
        desk.verify(token(desk.claims()))
        desk.now_s += 200
        text = token(desk.claims())
        first = desk.verify(text)
        desk.now_s += 150
        assert desk.verify(text) is first
        assert desk.fetches == 2

    def test_a_remembered_token_is_no_good_once_the_keys_are_too_old(self) -> None:
        desk = Desk()
        desk.verify(token(desk.claims()))
        desk.sources[ISSUER].answer = None
        desk.now_s += 3500
        text = token(desk.claims())
        desk.verify(text)
        desk.now_s += 100
        with pytest.raises(KeySourceError):
            desk.verify(text)
        with pytest.raises(KeySourceError):
            desk.verify(text)

    def test_a_refused_token_is_not_remembered(self) -> None:
        desk = Desk()
        text = token(desk.claims(aud="other"))
        for _ in range(2):
            assert refusal(desk, text) == "token_audience_wrong"
            assert desk.verifier.verify_known(text, desk.now_s) is None

    def test_another_policy_s_verifier_remembers_nothing_of_it(self) -> None:
        desk = Desk()
        text = token(desk.claims())
        desk.verify(text)
        after = TokenVerifier([RULES._replace(tenants=("globex",))], desk._keys, {})
        with pytest.raises(CredentialRefusedError, match="token_tenant_not_the_issuers"):
            after.verify(text, desk.now_s)
