"""Attacks by claims: tokens well signed, and refused for what they say."""

import pytest

from tests.support.issuer import AUDIENCE, ISSUER, OTHER_ISSUER, RULES
from tests.support.token_attacks import Attack, check_refused, with_claims, with_payload

ATTACKS = [
    Attack("expired exactly now", with_claims(exp=1_700_000_000 - RULES.leeway_s), "token_expired", 1),
    Attack("exp missing", with_claims(exp=None), "token_exp_missing", 1),
    Attack("exp null", with_payload("1700000600", "null"), "token_exp_malformed", 1),
    Attack("exp as text", with_claims(exp="1700000600"), "token_exp_malformed", 1),
    Attack("exp true", with_claims(exp=True), "token_exp_malformed", 1),
    Attack("exp as list", with_claims(exp=[1_700_000_600]), "token_exp_malformed", 1),
    Attack("exp NaN", with_payload("1700000600", "NaN"), "token_malformed", 0),
    Attack("exp Infinity", with_payload("1700000600", "Infinity"), "token_malformed", 0),
    Attack("exp 1e400", with_payload("1700000600", "1e400"), "token_exp_malformed", 1),
    Attack("exp -1e400", with_payload("1700000600", "-1e400"), "token_exp_malformed", 1),
    Attack("exp of 400 digits", with_payload("1700000600", "9" * 400), "token_exp_malformed", 1),
    Attack("exp of 5000 digits", with_payload("1700000600", "9" * 5000), "token_malformed", 0),
    Attack("exp in milliseconds", with_claims(exp=1_700_000_600_000), "token_exp_malformed", 1),
    Attack("exp 1.5e9, in the past", with_payload("1700000600", "1.5e9"), "token_expired", 1),
    Attack("exp twice", with_payload('"exp"', '"exp": 1, "exp"'), "token_malformed", 0),
    Attack("exp twice, once escaped", with_payload('"exp"', '"\\u0065xp": 1, "exp"'), "token_malformed", 0),
    Attack("nbf to come", with_claims(nbf=1_700_000_031), "token_not_yet_valid", 1),
    Attack("nbf as text", with_claims(nbf="0"), "token_nbf_malformed", 1),
    Attack("iat to come", with_claims(iat=1_700_000_031), "token_issued_in_future", 1),
    Attack("iat false", with_claims(iat=False), "token_iat_malformed", 1),
    Attack("aud missing", with_claims(aud=None), "token_audience_missing", 1),
    Attack("aud another", with_claims(aud=OTHER_ISSUER), "token_audience_wrong", 1),
    Attack("aud in another case", with_claims(aud=AUDIENCE.upper()), "token_audience_wrong", 1),
    Attack("aud a prefix", with_claims(aud=AUDIENCE[:-1]), "token_audience_wrong", 1),
    Attack("aud of two in one text", with_claims(aud=f"{AUDIENCE} other"), "token_audience_wrong", 1),
    Attack("aud an empty list", with_claims(aud=[]), "token_audience_malformed", 1),
    Attack("aud a nested list", with_claims(aud=[[AUDIENCE]]), "token_audience_malformed", 1),
    Attack("aud ours and no text", with_claims(aud=[AUDIENCE, 7]), "token_audience_malformed", 1),
    Attack("aud an object", with_claims(aud={AUDIENCE: 1}), "token_audience_malformed", 1),
    Attack("aud null", with_payload(f'"{AUDIENCE}"', "null"), "token_audience_malformed", 1),
    Attack("iss another", with_claims(iss=OTHER_ISSUER), "token_issuer_unknown", 0),
    Attack("iss a list", with_claims(iss=[ISSUER]), "token_issuer_unknown", 0),
    Attack("iss twice", with_payload('"iss"', f'"iss": "{OTHER_ISSUER}", "iss"'), "token_malformed", 0),
    Attack("tenant of two", with_claims(tenant=["acme", "globex"]), "token_tenant_missing", 1),
    Attack("tenant as a path", with_claims(tenant="../globex"), "token_tenant_missing", 1),
    Attack("subject with a line break", with_claims(sub="alice\nroot"), "token_subject_missing", 1),
    Attack("scopes as an object", with_claims(scope={"chat": True}), "token_scopes_malformed", 1),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_for_its_own_reason(attack: Attack) -> None:
    check_refused(attack)
