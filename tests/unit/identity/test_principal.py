"""A principal's way through API Gateway's authorizer context."""

import pytest

from sallyport.identity.principal import ContextRefusedError, Principal, from_context, is_subject, is_tenant, to_context

ACME = Principal("api_key", "acme", "demo", "k1", ("chat", "models"), ("gpt-a",), ("eu-central-1",), 5)


def test_a_principal_comes_back_as_it_went() -> None:
    assert from_context(to_context(ACME)) == ACME


def test_every_value_of_the_context_is_a_string() -> None:
    assert all(isinstance(value, str) for value in to_context(ACME).values())


def test_no_residency_comes_back_as_none_at_all() -> None:
    assert from_context(to_context(ACME._replace(residency=()))).residency == ()


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
        {"scopes": "a\x00b"},
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


@pytest.mark.parametrize("tenant", ["a", "Acme.Corp_1-x", "9" * 64])
def test_tenant_names(tenant: str) -> None:
    assert is_tenant(tenant)


@pytest.mark.parametrize("tenant", ["", "-a", "a/b", "a#b", "a b", "ä", "a" * 65, "a\n"])
def test_refused_tenant_names(tenant: str) -> None:
    assert not is_tenant(tenant)


@pytest.mark.parametrize("subject", ["", "a\n", "a" * 257, "\u202e"])
def test_refused_subjects(subject: str) -> None:
    assert not is_subject(subject)
