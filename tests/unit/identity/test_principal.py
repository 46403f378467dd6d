"""A principal's way through API Gateway's authorizer context."""

import json

import pytest

from sallyport.identity.principal import ContextRefusedError, Principal, from_context, is_subject, is_tenant, to_context
from sallyport.policy.limit_rules import LimitRule
from sallyport.policy.limit_texts import parse_limit, parse_limits, per_minute

ACME = Principal("api_key", "acme", "demo", "k1", ("chat", "models"), ("gpt-a",), ("eu-central-1",), (per_minute(5),))


def test_a_principal_comes_back_as_it_went() -> None:
    assert from_context(to_context(ACME)) == ACME


def test_every_value_of_the_context_is_a_string() -> None:
    assert all(isinstance(value, str) for value in to_context(ACME).values())


def test_no_residency_comes_back_as_none_at_all() -> None:
    assert from_context(to_context(ACME._replace(residency=()))).residency == ()


def test_limits_and_address_come_back_too() -> None:
    limits = parse_limits("tokens=50000/1m,usd=0.25/month,requests=10/1s,concurrent=4")
    acme = ACME._replace(limits=limits, source_ip="2001:db8::1", key_family="k0")
    assert from_context(to_context(acme)) == acme


def test_a_reader_of_before_still_finds_requests_per_minute() -> None:
    acme = ACME._replace(limits=(parse_limit("tokens=1/1m"), per_minute(7)))
    limits = json.loads(to_context(acme)["limits"])
    assert limits == {"requests_per_minute": 7, "rules": ["tokens=1/1m", "requests=7/1m"]}
    assert "requests_per_minute" not in to_context(ACME._replace(limits=(parse_limit("requests=7/1s"),)))["limits"]


@pytest.mark.parametrize(("limits", "expected"), [("{}", ()), ('{"requests_per_minute":7}', (per_minute(7),))])
def test_the_context_of_an_older_authorizer_is_read(limits: str, expected: tuple[LimitRule, ...]) -> None:
    acme = from_context({**to_context(ACME._replace(limits=())), "limits": limits})
    assert (acme.limits, acme.source_ip) == (expected, "")


@pytest.mark.parametrize("version", ["0", "2"])
def test_a_neighbouring_version_is_accepted(version: str) -> None:
    assert from_context({**to_context(ACME), "version": version}) == ACME


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "3"},
        {"version": "one"},
        {"tenant": ""},
        {"tenant": "../x"},
        {"subject": ""},
        {"residency": "everywhere"},
        {"limits": "{"},
        {"limits": "[]"},
        {"limits": '{"requests_per_minute": "many"}'},
        {"limits": '{"requests_per_minute": []}'},
        {"limits": '{"requests_per_minute": 0}'},
        {"limits": '{"requests_per_minute": 1e400}'},
        {"limits": "[" * 100_000},
        {"limits": '{"rules": ["tokens=many/1m"]}'},
        {"limits": '{"rules": ["tokens=1/1m", "tokens=2/1m"]}'},
        {"limits": '{"rules": 5}'},
        {"scopes": "a\x00b"},
        {"country": "Germany"},
        {"country": "de"},
        {"country": "?"},
        {"claims": "{"},
        {"claims": "[]"},
        {"claims": "7"},
    ],
)
def test_a_broken_context_names_nobody(changes: dict[str, str]) -> None:
    with pytest.raises(ContextRefusedError):
        from_context({**to_context(ACME), **changes})


@pytest.mark.parametrize("name", list(to_context(ACME)))
def test_a_context_that_lacks_anything_names_nobody(name: str) -> None:
    context = to_context(ACME)
    del context[name]
    with pytest.raises(ContextRefusedError):
        from_context(context)


def test_a_context_over_8_kb_is_refused() -> None:
    with pytest.raises(ValueError, match="8 KB"):
        to_context(ACME._replace(models=tuple(f"model-{n}" for n in range(1000))))


def test_country_and_claims_come_back_and_are_strings() -> None:
    alice = ACME._replace(country="DE", claims=(("plan", "beta"), ("/app/team,x", 'a "b" \u00e4')))
    context = to_context(alice)
    assert from_context(context) == alice
    assert all(isinstance(value, str) for value in context.values())


def test_the_context_of_an_authorizer_that_knows_neither_country_nor_claims_is_read() -> None:
    context = to_context(ACME)
    assert not {"country", "claims"} & set(context)
    assert (from_context(context).country, from_context(context).claims) == ("", ())


def test_claims_that_have_no_room_are_left_out_and_nobody_is_refused() -> None:
    claims = tuple((f"claim-{number}", "\u00e4" * 256) for number in range(10))
    context = to_context(ACME._replace(country="DE", claims=claims))
    assert from_context(context) == ACME._replace(country="DE")


@pytest.mark.parametrize("models", range(1000, 8000, 250))
def test_claims_and_country_leave_room_for_the_rest_of_the_answer(models: int) -> None:
    """They never make an answer too large that had room without them; what was too large before still is refused."""
    acme = ACME._replace(models=("m" * models,))
    context = to_context(acme._replace(country="DE", claims=(("plan", "b" * 256),)))
    if len(json.dumps(context)) > 8192 - 500:
        assert not {"country", "claims"} & set(context)
        assert context == to_context(acme)


def test_ten_of_the_longest_claims_have_room_beside_a_usual_principal() -> None:
    claims = tuple((f"claim-{number}", "b" * 256) for number in range(10))
    assert from_context(to_context(ACME._replace(country="DE", claims=claims))).claims == claims


@pytest.mark.parametrize("tenant", ["a", "Acme.Corp_1-x", "9" * 64])
def test_tenant_names(tenant: str) -> None:
    assert is_tenant(tenant)


@pytest.mark.parametrize("tenant", ["", "-a", "a/b", "a#b", "a b", "ä", "a" * 65, "a\n"])
def test_refused_tenant_names(tenant: str) -> None:
    assert not is_tenant(tenant)


@pytest.mark.parametrize("subject", ["", "a\n", "a" * 257, "\u202e"])
def test_refused_subjects(subject: str) -> None:
    assert not is_subject(subject)
